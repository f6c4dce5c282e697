/**
 * For tests: the helper compiled on demand, and processes that stand where users stand: root, a
 * plain user, a pod without any right.
 */

import { fileURLToPath } from "node:url";
import { compileC } from "../../scripts/compile_c.ts";
import type { InPlaceOptions, SandboxPlan } from "./in_place.ts";
import type { Outcome } from "./executor.ts";

/**
 * Who runs wherry: real root, uid 1000, or one of them as in a locked pod: no capabilities, no new
 * privileges, namespaces refused. `masked user`: namespaces, but engines have covered parts of
 * /proc, so that the kernel refuses another one. `masked root`: root that may do everything but
 * mount, as in podman's containers.
 */
export type Caller =
  | "root"
  | "user"
  | "masked root"
  | "masked user"
  | "locked user"
  | "locked root";

/** Whether tests may change their ids here; without that only one caller can be tried. */
export const isRoot = Deno.uid() === 0;

/** What `in_place_driver_testing.ts` is told: a command in a sandbox, each string as it is there. */
export interface Job {
  readonly options: InPlaceOptions;
  /** A shell script; `$1` is the first of `options.dirs` inside. */
  readonly script: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Abort as soon as this is seen in the output. */
  readonly abortAt?: string;
}

/** What it answers. */
export interface Report {
  readonly describe?: string;
  readonly plan?: SandboxPlan;
  readonly outcome?: Outcome;
  readonly error?: string;
  readonly output: string;
}

/** Says on the test's output that something was not tried, and why. */
export function skipped(why: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`skipped: ${why}\n`));
}

let compiled: Promise<string> | undefined;
const bundled = new Map<string, Promise<string>>();
let reachable: Promise<string> | undefined;

/** The path of the helper, compiled from the sources here when they changed. */
export function compiledHelper(): Promise<string> {
  return compiled ??= (async () => {
    const arch = Deno.build.arch === "x86_64" ? "amd64" : "arm64";
    return await keep("helper", new Uint8Array(await compileC("helper", arch)));
  })();
}

/**
 * Runs `job` in a process of its own as `caller`, started by the words `within` or with `inherit`
 * open as descriptor 9.
 */
export async function drive(
  caller: Caller,
  job: Job,
  options: DriveOptions = {},
): Promise<Report> {
  return await driveWith<Report>("in_place_driver_testing.ts", caller, job, options);
}

/** How {@linkcode drive} starts its process. */
export interface DriveOptions {
  readonly env?: Record<string, string>;
  readonly inherit?: string;
  readonly within?: string[];
}

/** As {@linkcode drive}, with any driver of this folder: a program that reads its job from a file and prints JSON. */
export async function driveWith<T>(
  program: string,
  caller: Caller,
  job: unknown,
  options: DriveOptions = {},
): Promise<T> {
  const { deno, driver } = await driverFiles(program);
  const spec = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(spec, JSON.stringify(job));
  await Deno.chmod(spec, 0o644);
  const words = [deno, "run", "-A", "--no-config", "--no-remote", "--no-lock", driver, spec];
  const opened = options.inherit
    ? ["sh", "-c", 'exec 9<"$0"; exec "$@"', options.inherit]
    : options.within ?? [];
  const [first, ...args] = [...opened, ...await callerWords(caller), ...words];
  try {
    const { stdout, stderr } = await new Deno.Command(first!, {
      args,
      clearEnv: true,
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", DENO_DIR: "/dev/null/x", ...options.env },
    }).output();
    const text = new TextDecoder();
    const said = text.decode(stdout);
    if (said === "") throw new Error(`the driver said nothing: ${text.decode(stderr)}`);
    return JSON.parse(said);
  } finally {
    await Deno.remove(spec);
  }
}

/** A directory that `caller` owns, below one that everybody may enter. Remove it with `remove`. */
export async function placeFor(caller: Caller): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-sandbox-" });
  await Deno.chmod(dir, 0o755);
  if (isRoot && caller.endsWith("user")) await Deno.chown(dir, 1000, 1000);
  return dir;
}

async function callerWords(caller: Caller): Promise<string[]> {
  const helper = await compiledHelper();
  const ids = ["--uid", "1000", "--gid", "1000"];
  switch (caller) {
    case "root":
      return [];
    case "user":
      return isRoot ? ["setpriv", "--reuid", "1000", "--regid", "1000", "--groups", "4"] : [];
    case "masked user":
    case "masked root":
      return [
        ...["unshare", "--mount", "sh", "-c"],
        ...['mount --bind /dev/null /proc/version && exec "$@"', "sh", "setpriv"],
        ...caller === "masked root"
          ? ["--bounding-set", "-sys_admin", "--inh-caps", "-all", "--"]
          : ["--reuid", "1000", "--regid", "1000", "--groups", "4"],
      ];
    // What the helper does to a build is what a locked pod does to us.
    case "locked user":
      return [helper, "run", ...(isRoot ? ids : []), "--"].concat(["/usr/bin/env"]);
    case "locked root":
      return [helper, "run", "--", "/usr/bin/env"];
  }
}

function driverFiles(program: string): Promise<{ deno: string; driver: string }> {
  let bundle = bundled.get(program);
  if (bundle === undefined) bundled.set(program, bundle = bundleDriver(program));
  // Deno itself may lie in root's own cache, where the other users of these tests cannot go.
  reachable ??= Deno.readFile(Deno.execPath()).then((bytes) => keep("deno", bytes));
  return Promise.all([reachable, bundle]).then(([deno, driver]) => ({ deno, driver }));
}

/** In a process of its own: esbuild keeps ports open, which test sanitizers take for leaks. */
async function bundleDriver(program: string): Promise<string> {
  const options = {
    entryPoints: [fileURLToPath(new URL(program, import.meta.url))],
    ...{ bundle: true, platform: "node", format: "esm", logLevel: "error" },
  };
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", `import { buildSync } from "esbuild"; buildSync(${JSON.stringify(options)});`],
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
  }).output();
  if (!success) throw new Error(`esbuild failed: ${new TextDecoder().decode(stderr)}`);
  return await keep(program.replace(/^.*\//, "").replace(/\.ts$/, ".js"), stdout);
}

/** Writes `data` where every user can read and run it; the checkout may be closed to them. */
async function keep(name: string, data: Uint8Array<ArrayBuffer>): Promise<string> {
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", data)).toHex().slice(0, 16);
  const dir = `${Deno.env.get("TMPDIR") ?? "/tmp"}/wherry-test-${Deno.uid()}`;
  const path = `${dir}/${sum}-${name}`;
  await Deno.mkdir(dir, { recursive: true, mode: 0o755 });
  try {
    await Deno.lstat(path);
  } catch {
    const fresh = await Deno.makeTempFile({ dir });
    await Deno.writeFile(fresh, data);
    await Deno.chmod(fresh, 0o755);
    await Deno.rename(fresh, path); // another test may have been as fast
  }
  return path;
}
