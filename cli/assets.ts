/**
 * Where things are: the one family of functions that knows whether wherry runs as the executable or from source.
 *
 * In the executable the sandbox helper is a memory file behind a fixed descriptor, and everything else is a run
 * of bytes in the executable itself. From source they are files under `dist/native`, made by
 * `scripts/compile_c.ts`.
 */

/**
 * The descriptor that holds the sandbox helper in the executable. Close-on-exec; below 256 so that a hard limit
 * of 256 open files is enough. The libraries take the numbers before it.
 */
export const HELPER_FD = 248;

/** A processor that images are built for, in OCI's spelling. */
export type Arch = "amd64" | "arm64";

/** Something the executable was made of. */
export interface BuildInput {
  /** For example `@deno/linux-x64-glibc`, `libc6:amd64`, `npm:zod`. */
  readonly name: string;
  /** The version, or the empty string for our own files. */
  readonly version: string;
  /** SHA-256, lower-case hex. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** What `scripts/onefile/entry.js` leaves for us. */
interface Executable {
  /** The file that holds the assets, usually this executable. */
  readonly file: string;
  readonly argv0: string;
  readonly environment: Readonly<Record<string, string>>;
  /** [offset, size] in `file`, bytes. */
  readonly assets: Readonly<Record<string, readonly [number, number]>>;
  readonly helper: string;
}

function executable(): Executable | undefined {
  return (globalThis as { readonly __wherry?: Executable }).__wherry;
}

/** Whether this is the executable, as opposed to a run from source. */
export function isExecutable(): boolean {
  return executable() !== undefined;
}

/**
 * The file of this executable; from source, the one that `deno task build` makes, which may not be there.
 */
export function executableFile(): string {
  const file = executable()?.file;
  if (file === undefined) {
    return decodeURIComponent(new URL("../dist/wherry", import.meta.url).pathname);
  }
  try {
    // `/proc/self/exe`: whoever packs the file wants no link, and others are looked for beside it.
    return Deno.realPathSync(file);
  } catch {
    return file; // removed while it runs: still readable by this name
  }
}

/** What starts this program once more, without arguments of the user. */
export function ownCommand(): { readonly program: string; readonly args: readonly string[] } {
  if (isExecutable()) return { program: executableFile(), args: [] };
  const main = decodeURIComponent(new URL("main.ts", import.meta.url).pathname);
  return { program: Deno.execPath(), args: ["run", "-A", "--no-check", main] };
}

/**
 * The name this program was called by (`argv[0]`, as given, perhaps with folders), which selects a lifecycle
 * phase when it is `analyzer` and the like. Always `wherry` from source.
 */
export function calledAs(): string {
  return executable()?.argv0 ?? "wherry";
}

/**
 * The environment wherry was started with, which is what its children should see, or undefined when the process's own
 * is that already (from source).
 *
 * In the executable the process's own lacks `DENO_*` and `OTEL_*`, because Deno reads some of these late and they must not
 * change what wherry does.
 */
export function startEnvironment(): Readonly<Record<string, string>> | undefined {
  return executable()?.environment;
}

/**
 * The path to execute for the sandbox helper.
 *
 * Throws Error when there is none: not compiled yet, or the kernel and every writable directory refused to hold an executable
 * memory file.
 */
export function helperPath(): string {
  const here = executable();
  const path = here?.helper ?? nativePath("helper", hostArch());
  try {
    Deno.statSync(path);
  } catch (cause) {
    const why = here === undefined
      ? `${path} is missing, make it with: deno task build`
      : "the kernel refuses executable memory files (vm.memfd_noexec=2) and no directory of " +
        "/dev/shm, /tmp, /var/tmp, /run and . allows to execute files";
    throw new Error(`Cannot start the sandbox helper: ${why}`, { cause });
  }
  return path;
}

/** As {@linkcode helperPath}; `undefined` when there is none, for what only takes longer then. */
export function helperIfAny(): string | undefined {
  try {
    return helperPath();
  } catch {
    return undefined;
  }
}

/**
 * The launcher for `arch`, a static ELF program to be put into images; the caller owns the bytes.
 *
 * Throws Error when it was not built.
 */
export function launcherBytes(arch: Arch): Uint8Array<ArrayBuffer> {
  const asset = readAsset(`launcher-${arch}`);
  if (asset) return asset;
  if (isExecutable()) {
    throw new Error(`Cannot add the launcher for ${arch}: this file was built without it`);
  }
  const path = nativePath("launcher", arch);
  try {
    return Deno.readFileSync(path);
  } catch (cause) {
    throw new Error(
      `Cannot add the launcher for ${arch}: ${path} is missing, make it with: deno task build`,
      {
        cause,
      },
    );
  }
}

/** Everything the executable was made of, in a fixed order; empty from source. */
export function buildInputs(): readonly BuildInput[] {
  const asset = readAsset("inputs.json");
  return asset === undefined ? [] : JSON.parse(new TextDecoder().decode(asset)) as BuildInput[];
}

/** The licences and notices of everything in the executable; from source, where to find them. */
export function notices(): string {
  const asset = readAsset("notices.txt");
  if (asset) return new TextDecoder().decode(asset);
  return "wherry runs from source here and carries nothing: see LICENSE, node_modules and Deno's own licence.\n";
}

function hostArch(): Arch {
  return Deno.build.arch === "aarch64" ? "arm64" : "amd64";
}

function nativePath(name: string, arch: Arch): string {
  return decodeURIComponent(new URL(`../dist/native/${arch}/${name}`, import.meta.url).pathname);
}

/** The bytes of a part of the executable, or undefined from source and for a part it was built without. */
function readAsset(name: string): Uint8Array<ArrayBuffer> | undefined {
  const here = executable();
  const place = here?.assets[name];
  if (here === undefined || place === undefined) return undefined;
  const [offset, size] = place;
  const bytes = new Uint8Array(size);
  using opened = Deno.openSync(here.file);
  opened.seekSync(offset, Deno.SeekMode.Start);
  for (let at = 0; at < size;) {
    const count = opened.readSync(bytes.subarray(at));
    if (count === null) {
      throw new Error(`Cannot read ${name} from ${here.file}: the file ends too early`);
    }
    at += count;
  }
  return bytes;
}
