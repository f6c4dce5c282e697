/** For tests: unpacks nothing, runs one command in a root, as whoever this process runs as. */
import { prepareChroot } from "./chroot.ts";
import { prepareRoot, type RootOptions, type RootSandbox } from "./root.ts";
import type { Outcome } from "./executor.ts";

/** What it is told: a command in a root. */
export interface RootJob {
  /** See {@linkcode prepareRoot}. */
  readonly options: RootOptions;
  /** A shell script. */
  readonly script: string;
  /** The whole environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** By chroot(2), without a mount: `dirs` must lie in the tree. */
  readonly chroot?: boolean;
  /** Printed after the script: the upper directory's tree. */
  readonly listUpper?: boolean;
}

/** What it answers. */
export interface RootReport {
  readonly describe?: string;
  readonly home?: string;
  readonly outcome?: Outcome;
  readonly error?: string;
  readonly output: string;
  readonly upper?: readonly string[];
}

/** Carries `job` out. */
async function runJob(job: RootJob): Promise<RootReport> {
  let report: RootReport = { output: "" };
  let output = "";
  const text = new TextDecoder();
  try {
    await using sandbox: RootSandbox = job.chroot
      ? await prepareChroot(job.options)
      : await prepareRoot(job.options);
    report = { ...report, describe: sandbox.describe, home: sandbox.plan.home };
    const outcome = await sandbox.run({
      program: "/bin/sh",
      args: ["-c", job.script],
      cwd: "/",
      env: { PATH: "/bin", HOME: sandbox.plan.home, ...job.env },
      signal: new AbortController().signal,
      onOutput: (chunk) => output += text.decode(chunk),
    });
    report = { ...report, outcome, output };
    if (job.listUpper && sandbox.upper !== undefined) {
      report = { ...report, upper: (await list(sandbox.upper)).sort() };
    }
    return report;
  } catch (cause) {
    return { ...report, error: String(cause), output };
  }
}

async function list(dir: string, below = ""): Promise<string[]> {
  const lines: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${dir}/${below}`)) {
    const path = below === "" ? name : `${below}/${name}`;
    const about = await Deno.lstat(`${dir}/${path}`);
    lines.push(`${about.isCharDevice ? "gone " : ""}${path} ${about.uid}:${about.gid}`);
    if (isDirectory) lines.push(...await list(dir, path));
  }
  return lines;
}

if (import.meta.main) {
  const job: RootJob = JSON.parse(await Deno.readTextFile(Deno.args[0]!));
  await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(await runJob(job))));
}
