/** Gathering everything one executable is made of, and assembling it. */
import { HELPER_FD } from "../../cli/assets.ts";
import { HASH_FD } from "../../registry/oci/native_sha256.ts";
import { compileC } from "../compile_c.ts";
import { type Ahead, compileAhead } from "./ahead.ts";
import { assemble, type PartInput } from "./assemble.ts";
import { type Bundle, bundle } from "./bundle.ts";
import { DENO_ARGS, DENO_SETTINGS } from "./deno_args.ts";
import { prepareEntry } from "./entry.ts";
import { fetchDeno, fetchLibraries, type InputRecord, type Say } from "./inputs.ts";
import { ZOD_CHUNK } from "./lazy_zod.ts";
import { lightVm } from "./light_vm.ts";
import { writeNotices } from "./notices.ts";
import { type Arch, DENO_VERSION, PINS } from "./pins.ts";
import { compileStub } from "./stub.ts";
import { sha256 } from "./tool.ts";

const ROOT = decodeURIComponent(new URL("../..", import.meta.url).pathname);

/** The processors the executable is assembled for. */
export const ARCHES: readonly Arch[] = ["amd64", "arm64"];

/** Bundles that workers run: name to module. */
const WORKERS = {
  compress: "registry/layer/compress_worker.ts",
  checkpoint: "registry/store/checkpoint_worker.ts",
  rebase: "lifecycle/platform/rebase_worker.ts",
};

interface Native {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Our own C that `arch`'s executable carries: its helper, its hash, and the launchers of all processors. */
async function compileNative(arch: Arch): Promise<readonly Native[]> {
  const launchers = ARCHES.map(async (each) => ({
    name: `launcher-${each}`,
    bytes: await compileC("launcher", each),
  }));
  return [
    { name: "helper", bytes: await compileC("helper", arch) },
    { name: "hash.so", bytes: await compileC("hash.so", arch) },
    ...await Promise.all(launchers),
  ];
}

async function bundleWorkers(): Promise<readonly Bundle[]> {
  const workers: Bundle[] = [];
  for (const [name, module] of Object.entries(WORKERS)) {
    const worker = await bundle(`${name}_worker`, module, ROOT);
    // Without zod: what a schema has to judge fails there, and is left to the main thread.
    const chunks = new Map(worker.chunks);
    chunks.delete(`${ZOD_CHUNK}.js`);
    if (chunks.size !== 1) {
      throw new Error(`Cannot bundle ${module}: a worker must not import on demand`);
    }
    workers.push({ ...worker, chunks });
  }
  return workers;
}

/** What an executable is made from. */
export interface ExecutableInput {
  readonly arch: Arch;
  /** The program's first module, relative to the checkout. */
  readonly entry: string;
  /** Folder that keeps what was downloaded. */
  readonly cache: string;
  /** Told of every input and every shortcoming. */
  readonly say: Say;
}

/** Builds the executable's bytes. The same checkout and inputs give the same bytes. */
export async function buildExecutable(input: ExecutableInput): Promise<Uint8Array> {
  const { arch, say, cache } = input;
  const pins = PINS[arch];
  if (pins.deno.version !== DENO_VERSION) {
    say(`WARNING: the ${arch} executable carries Deno ${pins.deno.version}, not ${DENO_VERSION}`);
  }
  const deno = await fetchDeno(arch, cache, say);
  const libraries = await fetchLibraries(arch, cache, say);
  const stub = await compileStub(arch);
  const native = await compileNative(arch);
  const main = await bundle("main", input.entry, ROOT);
  const workers = await bundleWorkers();
  const bundles = [main, ...workers];

  const assets = new Map<string, Uint8Array>(bundles.flatMap((each) => [...each.chunks]));
  for (const { name, bytes } of native) {
    if (name.startsWith("launcher")) assets.set(name, bytes);
  }
  const text = new TextEncoder();
  const notices = await writeNotices({
    arch,
    root: ROOT,
    debian: libraries.records.map((record) => `${record.name} ${record.version}`),
    copyrights: libraries.copyrights,
    packages: [...new Set(bundles.flatMap((each) => each.packages))].sort(),
  });
  assets.set("notices.txt", text.encode(notices));

  const modules = new Map(
    bundles.flatMap((each) => each.records).map((record) => [record.name, record]),
  );
  const records: InputRecord[] = [
    deno.record,
    ...libraries.records,
    ...[...modules.values()].toSorted((a, b) => a.name < b.name ? -1 : 1),
    await ownRecord("stub", [stub]),
    ...await Promise.all(native.map((each) => ownRecord(each.name, [each.bytes]))),
    await ownRecord("bundle", bundles.flatMap((each) => [...each.chunks.values()])),
    await ownRecord("deno.lock", [await Deno.readFile(`${ROOT}deno.lock`)]),
  ];
  for (const record of records) {
    say(`  ${record.sha256} ${record.size} ${record.name} ${record.version}`);
  }
  assets.set("inputs.json", text.encode(JSON.stringify(records)));
  const ahead = await compiledAhead(arch, main, deno.bytes, say);
  for (const [name, { bytes }] of ahead) assets.set(`${name}.ahead`, bytes);

  const { bytes, index } = packAssets(assets, main.needs, ahead);
  const firstFd = HELPER_FD - 1 - pins.libraries.length; // above HASH_FD
  const own = (name: string) => native.filter((each) => each.name === name);
  const file = (name: string) => libraries.files.get(name) ?? new Uint8Array();
  const parts: PartInput[] = [
    { name: pins.loader, kind: "loader", fd: 0, bytes: file(pins.loader) },
    ...pins.libraries.map((name, index): PartInput => ({
      name,
      kind: "library",
      fd: firstFd + index,
      bytes: file(name),
    })),
    { name: "assets", kind: "data", fd: 0, bytes },
    ...own("hash.so").map((part) => ({ ...part, kind: "library" as const, fd: HASH_FD })),
    ...own("helper").map((part) => ({ ...part, kind: "program" as const, fd: HELPER_FD })),
  ];
  return assemble({
    pins,
    deno: deno.bytes,
    changes: ahead.size > 0 ? lightVm(deno.bytes) : [],
    stub,
    parts,
    entryScript: await prepareEntry(index),
    entryFd: HELPER_FD - 1,
    args: ["wherry", ...DENO_ARGS],
    settings: DENO_SETTINGS,
  });
}

/** Only amd64 on amd64: what is made on another processor, or in an emulator, need not be the same. */
async function compiledAhead(
  arch: Arch,
  main: Bundle,
  deno: Uint8Array,
  say: Say,
): Promise<Ahead> {
  if (arch === "amd64" && Deno.build.arch === "x86_64") return await compileAhead(main, deno);
  say(`WARNING: the ${arch} executable compiles all code when it starts`);
  return new Map();
}

async function ownRecord(name: string, pieces: readonly Uint8Array[]): Promise<InputRecord> {
  const bytes = concat(pieces);
  return { name, version: "", sha256: await sha256(bytes), size: bytes.length };
}

function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** One run of bytes with every asset in it, sorted by name, and their index behind them. */
function packAssets(
  assets: ReadonlyMap<string, Uint8Array>,
  needs: Bundle["needs"],
  ahead: Ahead,
): { readonly bytes: Uint8Array; readonly index: readonly [number, number] } {
  const sorted = [...assets].toSorted(([a], [b]) => a < b ? -1 : 1);
  const places: Record<string, readonly [number, number]> = {};
  let at = 0;
  for (const [name, bytes] of sorted) {
    places[name] = [at, bytes.length];
    at += bytes.length;
  }
  const index = new TextEncoder().encode(
    JSON.stringify({
      places,
      needs: Object.fromEntries(needs),
      ahead: Object.fromEntries([...ahead].map(([name, { names }]) => [name, names])),
    }),
  );
  return { bytes: concat([...sorted.map(([, bytes]) => bytes), index]), index: [at, index.length] };
}
