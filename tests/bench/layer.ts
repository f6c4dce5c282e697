// deno-lint-ignore-file no-console -- a benchmark prints what it measured
/**
 * The one-pass layer writer beside `tar c | gzip -1` and `gzip -6`: throughput, ratio and peak memory, interleaved in one
 * job. Run alone with `deno run -A tests/bench/layer.ts [mib]`.
 */
import { openCompressPool } from "../../registry/layer/compress_pool.ts";
import { walkTree } from "../../registry/layer/tree.ts";
import { hashLayer, writeLayer } from "../../registry/layer/write_layer.ts";

/** Options of {@linkcode benchLayer}. */
export interface LayerBenchOptions {
  /** Size of the tree that is packed. */
  readonly mib: number;
}

interface Sample {
  readonly name: string;
  readonly seconds: number;
  /** Bytes out; 0 where nothing is kept. */
  readonly bytes: number;
  /** Peak resident memory of the process, where it was asked. */
  readonly peakMib?: number;
}

const ROUNDS = 3;

/** Prints a table: each way of packing `mib` MiB of mixed files, as a ratio to `tar | gzip -1` first. */
export async function benchLayer(options: LayerBenchOptions): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-bench-" });
  try {
    const files = makeTree(`${dir}/tree`, options.mib);
    await sh(`cat $(find '${dir}/tree' -type f) > /dev/null || true`); // all of it in the page cache
    const all = new Map<string, Sample[]>();
    for (let round = 0; round < ROUNDS; round++) {
      for (const way of ways(dir)) {
        const sample = await way();
        all.set(sample.name, [...all.get(sample.name) ?? [], sample]);
      }
    }
    report(options.mib, files, all);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function ways(dir: string): (() => Promise<Sample>)[] {
  const tar = `tar -C '${dir}' -c tree`;
  const out = `${dir}/out`;
  return [
    () => shell("tar | gzip -1", `${tar} | gzip -1 > '${out}'`, out),
    () => wherry("wherry, gzip", dir, "gzip"),
    () => shell("tar | gzip -6", `${tar} | gzip -6 > '${out}'`, out),
    () => wherry("wherry, zstd", dir, "zstd"),
    () => shell("tar | sha256sum", `${tar} | sha256sum > '${out}'`),
    () => wherry("wherry, diffID only", dir, "hash"),
  ];
}

async function shell(name: string, script: string, out?: string): Promise<Sample> {
  const start = performance.now();
  await sh(script);
  const seconds = (performance.now() - start) / 1000;
  return { name, seconds, bytes: out === undefined ? 0 : (await Deno.stat(out)).size };
}

async function sh(script: string): Promise<void> {
  const { success } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  if (!success) throw new Error(`Cannot run ${script}`);
}

/** In a process of its own, whose peak memory the kernel counts. */
async function wherry(name: string, dir: string, how: string): Promise<Sample> {
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      "--config",
      config,
      import.meta.filename!,
      "--child",
      dir,
      how,
    ],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return { name, ...JSON.parse(new TextDecoder().decode(stdout)) };
}

/** The child's part: packs once, prints a JSON line. */
async function child(dir: string, how: string): Promise<void> {
  const entries = walkTree({ outside: `${dir}/tree`, inside: "/layers/bench/tree" }, {
    owner: { uid: 1000, gid: 1000 },
  });
  const start = performance.now();
  let bytes = 0;
  if (how === "hash") await hashLayer(entries);
  else {
    using pool = openCompressPool();
    using file = Deno.createSync(`${dir}/out`);
    const write = async (chunk: Uint8Array) => {
      for (let at = 0; at < chunk.byteLength;) at += await file.write(chunk.subarray(at));
    };
    const layer = await writeLayer(entries, { write }, {
      pool,
      compression: how === "zstd" ? "zstd" : "gzip",
    });
    bytes = layer.descriptor.size;
  }
  const seconds = (performance.now() - start) / 1000;
  const status = Deno.readTextFileSync("/proc/self/status");
  const peakMib = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
  console.log(JSON.stringify({ seconds, bytes, peakMib }));
}

function report(mib: number, files: number, all: ReadonlyMap<string, readonly Sample[]>): void {
  const best = [...all.values()].map((samples) =>
    samples.reduce((a, b) => a.seconds < b.seconds ? a : b)
  );
  const base = best[0]!.seconds;
  console.log(
    `\nOne layer of ${mib} MiB in ${files} files, best of ${ROUNDS} (times: ratio to ${
      best[0]!.name
    })`,
  );
  for (const { name, seconds, bytes, peakMib } of best) {
    const cells = [
      name.padEnd(20),
      `${(base / seconds).toFixed(2)} x as fast`.padEnd(17),
      bytes === 0 ? "".padEnd(15) : `${(bytes / mib / 2 ** 20).toFixed(3)} of size`.padEnd(15),
      `${(mib / seconds).toFixed(0)} MiB/s`.padEnd(11),
      `${(seconds * 1000).toFixed(0)} ms`.padEnd(9),
      peakMib === undefined ? "" : `peak ${peakMib.toFixed(0)} MiB`,
    ];
    console.log("  " + cells.join(" ").trimEnd());
  }
}

/** A tree like a language runtime with its packages: a few large files, many small ones, some that is noise. */
function makeTree(dir: string, mib: number): number {
  const noise = new Uint8Array(1024 * 1024);
  for (let at = 0; at < noise.byteLength; at += 65536) {
    crypto.getRandomValues(noise.subarray(at, at + 65536));
  }
  const text = sourceText(1024 * 1024);
  let files = 0;
  let left = mib * 2 ** 20;
  const put = (path: string, bytes: Uint8Array) => {
    Deno.writeFileSync(path, bytes);
    files++;
    left -= bytes.byteLength;
  };
  for (let group = 0; left > 0; group++) {
    const sub = `${dir}/pkg-${group}`;
    Deno.mkdirSync(sub, { recursive: true });
    // 8 MiB of "binary" (half text, a quarter noise, a quarter zeros), then 8 MiB of sources of about 8 KiB.
    const large = new Uint8Array(Math.min(8 * 2 ** 20, Math.max(left, 0)));
    for (let at = 0; at < large.byteLength; at += 65536) {
      const kind = at / 65536 % 4;
      const from = kind === 0 ? noise : kind === 1 ? undefined : text;
      const offset = at * 7 % (from?.byteLength ?? 1) % (1024 * 1024 - 65536);
      if (from) {
        large.set(from.subarray(offset, offset + Math.min(65536, large.byteLength - at)), at);
      }
    }
    put(`${sub}/lib.so`, large);
    for (let file = 0; file < 1024 && left > 0; file++) {
      const size = Math.min(512 + file * 7919 % 16384, left);
      const offset = file * 104729 % (text.byteLength - size);
      put(`${sub}/file-${file}.src`, text.subarray(offset, offset + size));
    }
  }
  return files;
}

/** Words in the order of a fixed generator, so that it compresses about as sources do. */
function sourceText(size: number): Uint8Array {
  const words = Array.from(
    { length: 2000 },
    (_, at) => (at * 2654435761 >>> 0).toString(36).slice(0, 2 + at % 8),
  );
  let state = 7;
  let text = "";
  while (text.length < size) {
    state = Math.imul(state, 1664525) + 1013904223 >>> 0;
    const word = words[Math.floor((state / 2 ** 32) ** 3 * words.length)]!;
    text += word + (state % 11 === 0 ? " {\n    " : state % 5 === 0 ? "." : " ");
  }
  return new TextEncoder().encode(text.slice(0, size));
}

if (import.meta.main) {
  const [first, dir, how] = Deno.args;
  if (first === "--child") await child(dir!, how!);
  else await benchLayer({ mib: Number(first ?? 1024) });
}
