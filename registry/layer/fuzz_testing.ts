/**
 * Fuzzing of the tar reader against two others: what we accept, GNU tar and Python must read as the very same
 * entries. What we refuse is no find, since we refuse on purpose what is ambiguous.
 */
import { goesOn, type Span } from "../span_testing.ts";
import { TarParser } from "./tar_reader.ts";
import { BLOCK, FIELD, GNU_MAGIC, type TarHeader } from "./tar_format.ts";
import { joined, patchHeader, type Sample, tarOf } from "./tar_testing.ts";

/** What a run found. */
export interface TarFuzzResult {
  /** Archives tried. */
  readonly runs: number;
  /** Of them, those that our reader took. */
  readonly accepted: number;
  /** Each with the archive, to become a fixture. */
  readonly finds: readonly { readonly why: string; readonly archive: Uint8Array }[];
}

const BATCH = 200;

/**
 * Mutates archives for a span and compares the listings of those our reader accepts. The same seed tries the same
 * archives. Needs `python3` and GNU `tar`.
 */
export async function fuzzTar(span: Span, seed: number): Promise<TarFuzzResult> {
  const random = randomOf(seed);
  const finds: { why: string; archive: Uint8Array }[] = [];
  const more = goesOn(span);
  const dir = await Deno.makeTempDir();
  let runs = 0;
  let accepted = 0;
  try {
    do {
      const batch: { readonly archive: Uint8Array; readonly ours: string }[] = [];
      while (batch.length < BATCH && more(runs)) {
        const archive = mutate(seedArchive(random), random);
        if (archive.byteLength === 0) continue; // nothing at all: an empty tar to us and Go, an error to others
        runs++;
        let ours: string;
        try {
          ours = listing(archive);
        } catch (error) {
          const known = error instanceof SyntaxError || error instanceof RangeError;
          if (!known || !error.message.startsWith("Cannot ")) {
            finds.push({ why: `threw ${error}`, archive });
          }
          continue;
        }
        batch.push({ archive, ours });
      }
      accepted += batch.length;
      finds.push(...await compare(dir, batch));
    } while (more(runs));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
  return { runs, accepted, finds };
}

/** One line an entry: type, mode, owner, size, name, link target. */
function listing(archive: Uint8Array): string {
  const lines: string[] = [];
  const parser = new TarParser({ header: (header) => lines.push(line(header)) });
  const half = archive.byteLength >> 1;
  parser.push(archive.subarray(0, half));
  parser.push(archive.subarray(half));
  parser.finish();
  return lines.join("\n");
}

function line({ type, mode, uid, gid, size, name, linkName }: TarHeader): string {
  const path = name.replace(/\/+$/, "") || "/";
  return JSON.stringify([type, mode & 0o7777, uid, gid, size, path, linkName]);
}

/** Prints, for each archive, the entries as Python sees them, and how many GNU tar lists. */
const PYTHON = `
import json, subprocess, sys, tarfile
kinds = {b'0':'file', b'\\0':'file', b'7':'file', b'1':'link', b'2':'symlink', b'3':'char', b'4':'block', b'5':'directory', b'6':'fifo'}
for path in sys.argv[1:]:
  try:
    with tarfile.open(path, 'r:', errors='surrogateescape') as t:
      rows = [json.dumps([kinds.get(m.type, m.type.decode('latin1')), m.mode & 0o7777, m.uid, m.gid, m.size, m.name.rstrip('/') or '/', m.linkname if m.type in (b'1', b'2') else ''], ensure_ascii=False, separators=(',', ':')) for m in t]
  except Exception as e:
    rows = ['error ' + type(e).__name__ + ' ' + str(e)]
  gnu = subprocess.run(['tar', '-tPf', path, '--quoting-style=escape'], capture_output=True)
  print(json.dumps({'python': '\\n'.join(rows), 'gnu': gnu.returncode, 'count': gnu.stdout.count(b'\\n')}))
`;

async function compare(
  dir: string,
  batch: readonly { readonly archive: Uint8Array; readonly ours: string }[],
): Promise<{ why: string; archive: Uint8Array }[]> {
  if (batch.length === 0) return [];
  const paths = batch.map(({ archive }, at) => {
    const path = `${dir}/${at}.tar`;
    Deno.writeFileSync(path, archive);
    return path;
  });
  const output = await new Deno.Command("python3", { args: ["-c", PYTHON, ...paths] }).output();
  if (!output.success) throw new Error(new TextDecoder().decode(output.stderr));
  const rows = new TextDecoder().decode(output.stdout).trim().split("\n");
  return batch.flatMap(({ archive, ours }, at) => {
    const theirs = JSON.parse(rows[at]!) as { python: string; gnu: number; count: number };
    if (theirs.python === ours || hasGnuTimes(archive)) return [];
    // Python gives up on some that hide nothing, such as a global header at the end: then GNU tar decides.
    const count = ours === "" ? 0 : ours.split("\n").length;
    const gnuAgrees = theirs.gnu === 0 && theirs.count === count;
    if (theirs.python.startsWith("error") && gnuAgrees) return [];
    return [{ why: `ours:\n${ours}\npython:\n${theirs.python}\ngnu: exit ${theirs.gnu}`, archive }];
  });
}

/** Python takes the access times of GNU headers for a name prefix; GNU tar, Go and we do not. */
function hasGnuTimes(archive: Uint8Array): boolean {
  for (let at = 0; at + BLOCK <= archive.byteLength; at += BLOCK) {
    const magic = String.fromCharCode(...archive.subarray(at + 257, at + 265));
    if (magic === GNU_MAGIC && archive[at + FIELD.gnuAtime[0]] !== 0) return true;
  }
  return false;
}

const NAMES = [
  "a",
  "dir/",
  "dir/file",
  "/abs/file",
  "x".repeat(99),
  "d".repeat(80) + "/" + "f".repeat(90),
];
const LONG = ["n".repeat(150), "\u00e9/\u00e8", "p/".repeat(120) + "q"];

function seedArchive(random: () => number): Uint8Array<ArrayBuffer> {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const samples = Array.from({ length: 1 + Math.floor(random() * 3) }, (): Sample => {
    const name = pick(random() < 0.3 ? LONG : NAMES);
    const dialect = pick(["ustar", "gnu", "pax"] as const);
    const common = { name, dialect, uid: pick([0, 1000, 2_500_000]), mode: pick([0o644, 0o4755]) };
    if (name.endsWith("/")) return { ...common, type: "directory" };
    const type = pick(["file", "file", "symlink", "link", "fifo"] as const);
    if (type === "file") return { ...common, text: "x".repeat(Math.floor(random() * 1200)) };
    return { ...common, type, ...(type === "fifo" ? {} : { linkName: pick([...NAMES, ...LONG]) }) };
  });
  return tarOf(...samples);
}

/** A few changes where readers are known to differ, most with a checksum that is right again. */
export function mutate(
  archive: Uint8Array<ArrayBuffer>,
  random: () => number,
): Uint8Array<ArrayBuffer> {
  const fields = Object.values(FIELD);
  const below = (limit: number) => Math.floor(random() * limit);
  for (let change = below(4); change > 0; change--) {
    const block = below(archive.byteLength / BLOCK) * BLOCK;
    const kind = below(6);
    if (kind === 0) {
      archive = archive.slice();
      archive[below(archive.byteLength)] = below(256);
    } else if (kind === 1) {
      archive = joined(archive.subarray(0, block), archive.subarray(block + BLOCK));
    } else if (kind === 2) {
      const again = archive.subarray(block, block + BLOCK);
      archive = joined(archive.subarray(0, block), again, archive.subarray(block));
    } else {
      const field = fields[below(fields.length)]!;
      const value = Uint8Array.from(
        { length: field[1] },
        () => below(4) === 0 ? below(256) : 48 + below(8),
      );
      if (below(2) === 0) value[field[1] - 1] = 0;
      if (kind === 5) value[0] = 0x80;
      const flag = "01234567xgLKS\0"[below(14)]!;
      archive = patchHeader(
        archive,
        block,
        field,
        field === FIELD.typeflag ? flag : value,
      );
    }
  }
  return archive;
}

/** A small generator with a seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = state + 0x6d2b79f5 >>> 0;
    let mixed = Math.imul(state ^ state >>> 15, 1 | state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
}
