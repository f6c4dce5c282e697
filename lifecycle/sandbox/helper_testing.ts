/**
 * For tests: the helper compiled on demand, and processes that stand where users stand: root, a
 * plain user, a pod without any right.
 */

import { fileURLToPath } from "node:url";
import type { InPlaceOptions, SandboxPlan } from "./in_place.ts";
import type { Outcome } from "./executor.ts";

/** Who runs wherry: real root, uid 1000, or one of them as in a locked pod: no capabilities, no
 * new privileges, namespaces refused. */
export type Caller = "root" | "user" | "locked user" | "locked root";

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
let bundled: Promise<string> | undefined;

/** The path of the helper, compiled from the sources beside this file, once per change of them. */
export function compiledHelper(): Promise<string> {
  return compiled ??= once("helper", async (to) => {
    const folder = fileURLToPath(new URL("helper/", import.meta.url));
    const sources = [...Deno.readDirSync(folder)].map((entry) => folder + entry.name)
      .filter((path) => path.endsWith(".c")).sort();
    await check("musl-gcc", ["-static", "-Os", "-Wall", "-Wextra", "-o", to, ...sources]);
  });
}

/** Runs `job` in a process of its own as `caller`, started with `inherit` open as descriptor 9. */
export async function drive(
  caller: Caller,
  job: Job,
  options: { readonly env?: Record<string, string>; readonly inherit?: string } = {},
): Promise<Report> {
  const { deno, driver } = await driverFiles();
  const spec = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(spec, JSON.stringify(job));
  await Deno.chmod(spec, 0o644);
  const words = [deno, "run", "-A", "--no-config", "--no-remote", "--no-lock", driver, spec];
  const opened = options.inherit ? ["sh", "-c", 'exec 9<"$0"; exec "$@"', options.inherit] : [];
  const [program, ...args] = [...opened, ...await callerWords(caller), ...words];
  try {
    const { stdout, stderr } = await new Deno.Command(program!, {
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
      return isRoot ? ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"] : [];
    // What the helper does to a build is what a locked pod does to us.
    case "locked user":
      return [helper, "run", ...(isRoot ? ids : []), "--"].concat(["/usr/bin/env"]);
    case "locked root":
      return [helper, "run", "--", "/usr/bin/env"];
  }
}

function driverFiles(): Promise<{ deno: string; driver: string }> {
  bundled ??= once("driver.js", async (to) => {
    const { buildSync } = await import("esbuild");
    buildSync({
      entryPoints: [fileURLToPath(new URL("in_place_driver_testing.ts", import.meta.url))],
      outfile: to,
      bundle: true,
      platform: "node",
      format: "esm",
      logLevel: "error",
    });
  });
  return bundled.then((driver) => ({ deno: Deno.execPath(), driver }));
}

/** Makes `name` where other users can read it, unless it was made from the same sources before. */
async function once(name: string, make: (to: string) => Promise<void>): Promise<string> {
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", await sources())).toHex();
  const dir = `${Deno.env.get("TMPDIR") ?? "/tmp"}/wherry-test-${Deno.uid()}-${sum.slice(0, 16)}`;
  const path = `${dir}/${name}`;
  try {
    await Deno.lstat(path);
    return path;
  } catch {
    await Deno.mkdir(dir, { recursive: true, mode: 0o755 });
    const fresh = await Deno.makeTempFile({ dir });
    await make(fresh);
    await Deno.chmod(fresh, 0o755);
    await Deno.rename(fresh, path); // another test may have been as fast
    return path;
  }
}

async function sources(): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (const folder of ["./", "./helper/"]) {
    const url = new URL(folder, import.meta.url);
    const names = [...Deno.readDirSync(url)].filter((entry) => entry.isFile)
      .map((entry) => entry.name).sort();
    for (const name of names) parts.push(await Deno.readFile(new URL(name, url)));
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function check(program: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(`${program} failed: ${new TextDecoder().decode(stderr)}`);
}
