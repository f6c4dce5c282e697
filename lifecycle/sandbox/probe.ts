/** What the machine allows, as the helper found by trying, and which walls that makes possible. */

import { z } from "zod";

const attempt = z.object({ stage: z.string(), errno: z.number().int() });

const probeSchema = z.lazy(() =>
  z.object({
    kernel: z.string(),
    uid: z.number().int(),
    gid: z.number().int(),
    userns: attempt,
    usernsWithoutPids: attempt,
    rootns: attempt,
    rootnsWithoutPids: attempt,
    landlock: z.number().int(),
    seccomp: z.number().int(),
    noNewPrivs: z.boolean(),
    setuid: z.boolean(),
    setgid: z.boolean(),
    chown: z.boolean(),
    kill: z.boolean(),
    chroot: z.boolean(),
  })
);

/** How far an attempt at namespaces came: `stage` is `ok` or the step that failed with `errno`. */
export type Attempt = z.infer<typeof attempt>;

/** Everything `helper probe` tells. `landlock` is its ABI, 0 for none; `seccomp` an errno. */
export type Probe = z.infer<typeof probeSchema>;

/** The namespaces a view is made with. */
export interface Namespaces {
  /** A user namespace with one id in it; otherwise real root changes its ids. */
  readonly user: boolean;
  /** A PID namespace with its own /proc. */
  readonly pid: boolean;
}

/**
 * Reads the line that `helper probe` prints.
 *
 * @throws {SyntaxError} When it is not what this version's helper prints.
 */
export function parseProbe(text: string): Probe {
  try {
    return probeSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new SyntaxError("Cannot read what the sandbox helper found out about this machine", {
      cause,
    });
  }
}

/**
 * The strongest namespaces that can be had, or `undefined`. Own PIDs count for more than real
 * owners, since without them a build sees every process of the machine.
 */
export function chooseNamespaces(probe: Probe): Namespaces | undefined {
  const root = probe.uid === 0 && probe.setuid && probe.setgid && probe.kill;
  if (root && probe.rootns.stage === "ok") return { user: false, pid: true };
  if (probe.userns.stage === "ok") return { user: true, pid: true };
  if (root && probe.rootnsWithoutPids.stage === "ok") return { user: false, pid: false };
  if (probe.usernsWithoutPids.stage === "ok") return { user: true, pid: false };
  return undefined;
}

const ERRNO: Readonly<Record<number, string>> = {
  1: "EPERM",
  13: "EACCES",
  22: "EINVAL",
  28: "ENOSPC",
  38: "ENOSYS",
};

const STAGE: Readonly<Record<string, string>> = {
  clone: "making namespaces",
  map: "mapping ids",
  private: "unsharing mounts",
  proc: "mounting /proc",
  tmpfs: "mounting tmpfs",
  pivot: "changing the root",
};

/** Why an attempt failed, in words for the line that tells what is missing. */
export function explainAttempt(attempt: Attempt): string {
  const act = STAGE[attempt.stage] ?? attempt.stage;
  return `${act} is refused (${ERRNO[attempt.errno] ?? `errno ${attempt.errno}`})`;
}
