/**
 * Compiles the native programs: `launcher` (what an image starts with: no libc at all) and
 * `helper` (what enters a sandbox: musl, static), and `hash.so`, the SHA-256 of the helper as a library for the main
 * program; for amd64 and arm64, into dist/native/<arch>/.
 *
 * The same sources and compiler give the same bytes: sources are named relative to their folder, in
 * byte order, with no build id and no symbols.
 *
 * Run it to compile all that exists: deno run -A scripts/compile_c.ts
 */

/** A native program of wherry. */
export type Program = "launcher" | "helper" | "hash.so";
/** A processor, as OCI names it. */
export type Arch = "amd64" | "arm64";

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const ARCHES: readonly Arch[] = ["amd64", "arm64"];

/** Where the sources may be: the first folder with a C file counts. */
const FOLDERS: Readonly<Record<Program, readonly string[]>> = {
  launcher: ["lifecycle/launcher"],
  helper: ["lifecycle/sandbox/helper", "lifecycle/sandbox"],
  "hash.so": ["lifecycle/sandbox/helper"],
};
/** The sources of those that are not made of all in their folder. */
const ONLY: Partial<Record<Program, readonly string[]>> = {
  "hash.so": ["sha256.c", "sha256_plain.c"],
};

/** The Debian package that brings a tool. */
const PACKAGES: Readonly<Record<string, string>> = {
  "gcc": "gcc libc6-dev",
  "x86_64-linux-gnu-gcc": "gcc-x86-64-linux-gnu linux-libc-dev-amd64-cross",
  "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu linux-libc-dev-arm64-cross",
  "musl-gcc": "musl-tools",
  "apt-get": "apt",
  "dpkg-deb": "dpkg",
};

const GNU: Readonly<Record<Arch, string>> = {
  amd64: "x86_64-linux-gnu",
  arm64: "aarch64-linux-gnu",
};

const WARNINGS: readonly string[] = ["-Wall", "-Wextra"];
const SMALL: readonly string[] = [
  "-Os",
  "-fno-ident",
  "-fno-asynchronous-unwind-tables",
  "-fno-unwind-tables",
  "-ffunction-sections",
  "-fno-pie",
  "-no-pie",
  "-static",
  // noseparate-code: arm64 pages may be 64 KiB, which would pad a file of 24 KiB to 128
  "-Wl,--build-id=none,--gc-sections,-z,noexecstack,-z,noseparate-code,-s",
];
const NO_LIBC: readonly string[] = [
  "-std=gnu11",
  "-ffreestanding",
  "-fno-stack-protector",
  "-fno-tree-loop-distribute-patterns",
  "-nostdlib",
];

/** What to run, in the folder of the sources; `-o FILE` is still to come. */
interface Plan {
  readonly compiler: string;
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** A C compiler, or a tool beside it, is not on this machine. */
class MissingTool extends Error {}

async function run(command: string, args: readonly string[], cwd?: string): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(command, {
      args: [...args],
      ...(cwd === undefined ? {} : { cwd }),
      stdin: "null",
    }).output();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new MissingTool(`${command} not found; apt-get install ${PACKAGES[command] ?? command}`, {
      cause,
    });
  }
  const said = new TextDecoder().decode(output.stderr).trim();
  if (/fatal error: (asm|linux)\/.*No such file/.test(said)) {
    // A cross compiler only recommends its kernel headers, so a lean installation lacks them.
    throw new MissingTool(`${command} has no kernel headers; apt-get install ${PACKAGES[command]}`);
  }
  if (!output.success) throw new Error(`${command} ended with ${output.code}: ${said}`);
  return new TextDecoder().decode(output.stdout).trim();
}

/** The compiler for `arch` that links against the machine's own glibc or none: tests use it too. */
function gccFor(arch: Arch): string {
  const own = Deno.build.arch === "x86_64" ? "amd64" : "arm64";
  return arch === own ? "gcc" : `${GNU[arch]}-gcc`;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** C files in folders below `folder`, at any depth, relative to it and in byte order. */
async function filesBelow(folder: string, below = ""): Promise<string[]> {
  const files: string[] = [];
  if (!(await exists(folder))) return files;
  for await (const { name, isDirectory } of Deno.readDir(`${folder}/${below}`)) {
    if (isDirectory) files.push(...await filesBelow(folder, `${below}${name}/`));
    else if (below !== "" && /\.[ch]$/.test(name)) files.push(below + name);
  }
  return files.sort();
}

/** The folder and the C files of a program in byte order; undefined where there are none yet. */
async function sourcesOf(
  name: Program,
): Promise<{ folder: string; sources: readonly string[]; headers: string[] } | undefined> {
  for (const folder of FOLDERS[name].map((each) => `${ROOT}/${each}`)) {
    const files: string[] = [];
    if (await exists(folder)) {
      for await (const entry of Deno.readDir(folder)) if (entry.isFile) files.push(entry.name);
    }
    files.sort();
    const sources = ONLY[name] ?? files.filter((file) => /^(?!fuzz_|test_).*\.c$/.test(file));
    // Also those of libraries that a source includes whole.
    const headers = [
      ...files.filter((file) => file.endsWith(".h")),
      ...await filesBelow(folder),
    ];
    if (sources.length > 0) return { folder, sources, headers };
  }
  return undefined;
}

function cacheHome(): string {
  const base = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;
  return `${base}/wherry-build`;
}

/**
 * The folder of Debian's musl-dev for `arch`, unpacked where only this script looks: the machine's
 * own package lists and architectures stay as they are.
 */
async function foreignMusl(arch: Arch): Promise<string> {
  const home = `${cacheHome()}/musl-${arch}`;
  if (await exists(`${home}/.complete`)) return home;
  await Deno.mkdir(cacheHome(), { recursive: true });
  const work = await Deno.makeTempDir({ dir: cacheHome(), prefix: "musl-" });
  try {
    await Deno.chmod(work, 0o755);
    for (const dir of ["lists/partial", "apt/archives/partial", "deb", "root"]) {
      await Deno.mkdir(`${work}/${dir}`, { recursive: true });
    }
    await Deno.writeTextFile(`${work}/status`, "");
    const options = [
      `APT::Architecture=${arch}`,
      `APT::Architectures=${arch}`,
      `Dir::State::Lists=${work}/lists`,
      `Dir::State::status=${work}/status`,
      `Dir::Cache=${work}/apt`,
      "APT::Sandbox::User=root",
      "Debug::NoLocking=true",
      "APT::Update::Post-Invoke::=",
    ].flatMap((option) => ["-o", option]);
    await run("apt-get", [...options, "-q", "update"]);
    await run("apt-get", [...options, "-q", "download", "musl-dev"], `${work}/deb`);
    for await (const entry of Deno.readDir(`${work}/deb`)) {
      await run("dpkg-deb", ["-x", `${work}/deb/${entry.name}`, `${work}/root`]);
    }
    await Deno.writeTextFile(`${work}/root/.complete`, "");
    await Deno.rename(`${work}/root`, home).catch(async (error) => {
      if (!(await exists(`${home}/.complete`))) throw error; // somebody else was quicker
    });
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return home;
}

function launcherPlan(arch: Arch, sources: readonly string[]): Plan {
  return {
    compiler: gccFor(arch),
    before: [...WARNINGS, ...SMALL, ...NO_LIBC, ...sources],
    after: [],
  };
}

/** What it calls (`memcpy`) the process that loads it has. */
function libraryPlan(arch: Arch, sources: readonly string[]): Plan {
  const flags = ["-O2", "-fno-ident", "-fno-stack-protector", "-fPIC", "-shared", "-nostdlib"];
  const link = "-Wl,--build-id=none,-z,noexecstack,-z,noseparate-code,-s";
  return { compiler: gccFor(arch), before: [...WARNINGS, ...flags, link, ...sources], after: [] };
}

async function helperPlan(arch: Arch, sources: readonly string[]): Promise<Plan> {
  const own = Deno.build.arch === "x86_64" ? "amd64" : "arm64";
  const common = [...WARNINGS, ...SMALL];
  if (arch === own) return { compiler: "musl-gcc", before: [...common, ...sources], after: [] };
  const compiler = gccFor(arch);
  await run(compiler, ["-dumpversion"]); // named first when missing
  const triple = GNU[arch].replace("gnu", "musl");
  const musl = await foreignMusl(arch);
  const lib = `${musl}/usr/lib/${triple}`;
  return {
    compiler,
    before: [
      ...common,
      "-nostdinc",
      ...["-isystem", `${musl}/usr/include/${triple}`],
      ...["-isystem", (await run(compiler, ["-print-file-name=include"])).trim()],
      "-nostdlib",
      `${lib}/crt1.o`,
      `${lib}/crti.o`,
      ...sources,
    ],
    after: [`${lib}/libc.a`, "-lgcc", `${lib}/libc.a`, `${lib}/crtn.o`],
  };
}

async function sha256(data: Uint8Array): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(data)));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Changes when a source, a header, a flag or the compiler changes. */
async function keyOf(plan: Plan, folder: string, files: readonly string[]): Promise<string> {
  const parts = [plan.compiler, await run(plan.compiler, ["--version"]), ...plan.before];
  for (const file of files) parts.push(file, await Deno.readTextFile(`${folder}/${file}`));
  return await sha256(new TextEncoder().encode([...parts, ...plan.after].join("\0")));
}

/** The program built before, when its key is `key` and nobody changed it. */
async function kept(path: string, key: string): Promise<Uint8Array | undefined> {
  try {
    const data = await Deno.readFile(path);
    const note = await Deno.readTextFile(`${path}.key`);
    return note === `${key} ${await sha256(data)}\n` ? data : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function writeAtomically(path: string, data: Uint8Array, mode: number): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}`;
  await Deno.writeFile(temporary, data, { mode });
  await Deno.rename(temporary, path);
}

async function build(plan: Plan, folder: string): Promise<Uint8Array> {
  const out = await Deno.makeTempDir({ prefix: "wherry-compile-" });
  try {
    await run(plan.compiler, [...plan.before, "-o", `${out}/program`, ...plan.after], folder);
    return await Deno.readFile(`${out}/program`);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

/**
 * The executable of a native program, compiled when its sources, flags or compiler are not those
 * of the one in dist/native/<arch>/<name>, which is replaced in one step. Safe to call from several
 * processes at once. The first build of the helper for the other processor fetches Debian's
 * musl-dev for it into ${XDG_CACHE_HOME:-$HOME/.cache}/wherry-build.
 *
 * @throws {Error} When a compiler is missing, with the package that brings it, or when it refuses.
 */
export async function compileC(name: Program, arch: Arch): Promise<Uint8Array> {
  try {
    const found = await sourcesOf(name);
    if (found === undefined) throw new Error(`no C file in ${FOLDERS[name].join(" or ")}`);
    const { folder, sources, headers } = found;
    const plan = name === "helper"
      ? await helperPlan(arch, sources)
      : (name === "launcher" ? launcherPlan : libraryPlan)(arch, sources);
    const key = await keyOf(plan, folder, [...sources, ...headers]);
    const path = `${ROOT}/dist/native/${arch}/${name}`;
    const before = await kept(path, key);
    if (before !== undefined) return before;
    const data = await build(plan, folder);
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await writeAtomically(path, data, 0o755);
    const note = new TextEncoder().encode(`${key} ${await sha256(data)}\n`);
    await writeAtomically(`${path}.key`, note, 0o644);
    return data;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Cannot compile ${name} for ${arch}: ${why}`, { cause });
  }
}

/** How a test wants its own program made of files of the launcher's folder. */
export interface Variant {
  /** Relative to lifecycle/launcher; those of the launcher itself when left out. */
  readonly sources?: readonly string[];
  /** Come last. */
  readonly flags?: readonly string[];
  /** Link against the machine's libc, with no size or freestanding flags. */
  readonly libc?: boolean;
}

/**
 * Compiles a program for tests and fuzzing, for this machine, to the file `out`. Nothing is kept.
 *
 * @throws {Error} When the compiler is missing or refuses.
 */
export async function compileVariant(out: string, variant: Variant): Promise<void> {
  const found = await sourcesOf("launcher");
  if (found === undefined) throw new Error("Cannot compile a variant of the launcher: no C file");
  const sources = variant.sources ?? found.sources;
  const arch = Deno.build.arch === "x86_64" ? "amd64" : "arm64";
  const plan = launcherPlan(arch, sources);
  const args = variant.libc ? [...WARNINGS, ...sources] : plan.before;
  await run(plan.compiler, [...args, ...variant.flags ?? [], "-o", out], found.folder);
}

async function print(line: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(line + "\n"));
}

if (import.meta.main) {
  for (const name of ["launcher", "helper", "hash.so"] as const) {
    if (await sourcesOf(name) === undefined) {
      await print(`${name}: no sources yet`);
      continue;
    }
    for (const arch of ARCHES) {
      const data = await compileC(name, arch);
      await print(`dist/native/${arch}/${name} ${data.length} bytes sha256:${await sha256(data)}`);
    }
  }
}
