/**
 * Builds the executable: `deno task build [--arch amd64|arm64|all] [--out DIR]`.
 *
 * Writes `dist/wherry` and `dist/wherry.zst` for amd64, `dist/wherry-arm64` for arm64. The same sources and
 * pinned inputs give the same bytes wherever the checkout lies. How the file works: docs/decision/0001-one-file.md.
 */
import { parseArgs } from "node:util";
import { stop } from "esbuild";
import { HELPER_FD } from "../cli/assets.ts";
import { assemble, type PartInput } from "./onefile/assemble.ts";
import { type Bundle, bundle } from "./onefile/bundle.ts";
import { DENO_ARGS, DENO_SETTINGS, makeCodeCache } from "./onefile/code_cache.ts";
import { prepareEntry } from "./onefile/entry.ts";
import { fetchDeno, fetchLibraries, type InputRecord } from "./onefile/inputs.ts";
import { writeNotices } from "./onefile/notices.ts";
import { type Arch, DENO_VERSION, PINS } from "./onefile/pins.ts";
import { compileStub } from "./onefile/stub.ts";
import { runTool, sha256 } from "./onefile/tool.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const LIMIT = 105_000_000;
const ZSTD_LIMIT = 40_000_000;
const ARCHES = ["amd64", "arm64"] as const;

/** Bundles that workers run: name to module. */
const WORKERS = { compress: "registry/layer/compress_worker.ts" };

function say(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`build: ${line}\n`));
}

interface Options {
  readonly arches: readonly Arch[];
  readonly out: string;
  readonly entry: string;
  /** Leaves `wherry.zst` out: for trying things. */
  readonly fast: boolean;
}

function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      arch: { type: "string", default: "amd64" },
      out: { type: "string", default: `${ROOT}dist` },
      entry: { type: "string", default: "cli/main.ts" },
      fast: { type: "boolean", default: false },
    },
  });
  const arches = values.arch === "all" ? ARCHES : ARCHES.filter((arch) => arch === values.arch);
  if (arches.length === 0) {
    throw new Error(`Cannot build for "${values.arch}": wanted amd64, arm64 or all`);
  }
  return { arches, out: values.out, entry: values.entry, fast: values.fast };
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** What `scripts/compile_c.ts` exports. */
interface CompileC {
  compileC(name: "launcher" | "helper", arch: Arch): Promise<Uint8Array<ArrayBuffer>>;
}

interface Native {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Our own C programs that `arch`'s executable carries: its helper, and the launchers of all processors. */
async function compileNative(arch: Arch): Promise<readonly Native[]> {
  const module = new URL("./compile_c.ts", import.meta.url);
  if (!await exists(module.pathname)) {
    say(
      "WARNING: scripts/compile_c.ts is missing: no launcher and no sandbox helper in this executable",
    );
    return [];
  }
  const { compileC } = await import(module.href) as CompileC;
  const wanted = [
    { file: "helper", program: "helper", source: "lifecycle/sandbox/helper.c", arch },
    ...ARCHES.map((each) => ({
      file: `launcher-${each}`,
      program: "launcher",
      source: "lifecycle/launcher/launcher.c",
      arch: each,
    } as const)),
  ] as const;
  const made: Native[] = [];
  for (const each of wanted) {
    if (!await exists(ROOT + each.source)) {
      say(`WARNING: ${each.source} is missing: no ${each.file} in this executable`);
      continue;
    }
    made.push({ name: each.file, bytes: await compileC(each.program, each.arch) });
  }
  return made;
}

async function bundleWorkers(): Promise<ReadonlyMap<string, Bundle>> {
  const workers = new Map<string, Bundle>();
  for (const [name, module] of Object.entries(WORKERS)) {
    if (await exists(ROOT + module)) workers.set(name, await bundle(module, ROOT));
    else say(`WARNING: ${module} is missing: no ${name} worker in this executable`);
  }
  return workers;
}

async function buildOne(arch: Arch, options: Options, cache: string): Promise<Uint8Array> {
  const pins = PINS[arch];
  if (pins.deno.version !== DENO_VERSION) {
    say(`WARNING: the ${arch} executable carries Deno ${pins.deno.version}, not ${DENO_VERSION}`);
  }
  const deno = await fetchDeno(arch, cache, say);
  const libraries = await fetchLibraries(arch, cache, say);
  const stub = await compileStub(arch);
  const native = await compileNative(arch);
  const main = await bundle(options.entry, ROOT);
  const workers = await bundleWorkers();
  const text = new TextEncoder();

  const data: { name: string; bytes: Uint8Array<ArrayBuffer> }[] = [{
    name: "bundle.js",
    bytes: main.code,
  }];
  if (arch === "amd64" && Deno.build.arch === "x86_64") {
    data.push({ name: "bundle.cache", bytes: await makeCodeCache(main.code, [Deno.execPath()]) });
  } else {
    say(
      `WARNING: no V8 code cache in the ${arch} executable: it is made by running that Deno; start-up is slower`,
    );
  }
  for (const [name, worker] of workers) {
    data.push({ name: `${name}_worker.js`, bytes: worker.code });
  }
  for (const { name, bytes } of native) if (name !== "helper") data.push({ name, bytes });
  const packages = new Set([main, ...workers.values()].flatMap((each) => each.packages));
  data.push({
    name: "notices.txt",
    bytes: text.encode(
      await writeNotices({
        arch,
        root: ROOT,
        copyrights: libraries.copyrights,
        packages: [...packages].sort(),
      }),
    ),
  });

  const own = async (name: string, bytes: Uint8Array): Promise<InputRecord> => ({
    name,
    version: "",
    sha256: await sha256(new Uint8Array(bytes)),
    size: bytes.length,
  });
  const modules = new Map(
    [main, ...workers.values()].flatMap((each) => each.records).map((
      record,
    ) => [record.name, record]),
  );
  const records: InputRecord[] = [
    deno.record,
    ...libraries.records,
    ...[...modules.values()].toSorted((a, b) => a.name < b.name ? -1 : 1),
    await own("stub", stub),
    ...await Promise.all(native.map((each) => own(each.name, each.bytes))),
    ...await Promise.all(
      data.map((each) => own(each.name, each.bytes)).filter((_, at) =>
        !data[at]?.name.startsWith("launcher")
      ),
    ),
    await own("deno.lock", await Deno.readFile(`${ROOT}deno.lock`)),
  ];
  data.push({ name: "inputs.json", bytes: text.encode(JSON.stringify(records)) });
  for (const record of records) {
    say(`  ${record.sha256} ${record.size} ${record.name} ${record.version}`);
  }

  const file = (name: string) => libraries.files.get(name) ?? new Uint8Array();
  const firstFd = HELPER_FD - 1 - pins.libraries.length;
  const helper = native.find((each) => each.name === "helper");
  const parts: PartInput[] = [
    { name: pins.loader, kind: "loader", fd: 0, bytes: file(pins.loader) },
    ...pins.libraries.map((name, index): PartInput => ({
      name,
      kind: "library",
      fd: firstFd + index,
      bytes: file(name),
    })),
    ...data.map(({ name, bytes }): PartInput => ({ name, kind: "data", fd: 0, bytes })),
    ...(helper ? [{ ...helper, kind: "program" as const, fd: HELPER_FD }] : []),
  ];
  return assemble({
    pins,
    deno: deno.bytes,
    stub,
    parts,
    entryScript: await prepareEntry(),
    entryFd: HELPER_FD - 1,
    args: ["wherry", ...DENO_ARGS],
    settings: DENO_SETTINGS,
  });
}

/** Writes beside and renames, so that a running wherry keeps its file and a reader never sees half of one. */
async function publish(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  await Deno.writeFile(`${path}.new`, bytes);
  await Deno.chmod(`${path}.new`, mode);
  await Deno.rename(`${path}.new`, path);
}

function checkSize(path: string, size: number, limit: number): void {
  say(`${path}: ${(size / 1e6).toFixed(1)} MB`);
  if (size > limit) throw new Error(`Cannot ship ${path}: ${size} bytes, wanted at most ${limit}`);
}

async function build(options: Options): Promise<void> {
  if (Deno.version.deno !== DENO_VERSION) {
    throw new Error(`Cannot build with Deno ${Deno.version.deno}: wanted ${DENO_VERSION}`);
  }
  const cache = `${
    Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") || "/root"}/.cache`
  }/wherry-build`;
  await Deno.mkdir(cache, { recursive: true });
  await Deno.mkdir(options.out, { recursive: true });
  for (const arch of options.arches) {
    const bytes = await buildOne(arch, options, cache);
    const path = `${options.out}/${arch === "amd64" ? "wherry" : `wherry-${arch}`}`;
    checkSize(path, bytes.length, LIMIT);
    await publish(path, bytes, 0o755);
    if (arch === "amd64") {
      if (options.fast) continue;
      say("compressing (about a minute)");
      await runTool("zstd", ["-19", "-q", "-f", "-T1", "-o", `${path}.zst`, path]);
      checkSize(`${path}.zst`, (await Deno.stat(`${path}.zst`)).size, ZSTD_LIMIT);
    }
  }
}

try {
  await build(readOptions(Deno.args));
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  Deno.exitCode = 1;
} finally {
  await stop();
}
