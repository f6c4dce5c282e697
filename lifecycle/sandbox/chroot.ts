/**
 * Commands in an unpacked image as their root where nothing can be mounted: chroot(2). The directories for the build
 * lie in the tree itself, and there is no `/proc` and no `/sys`.
 */
import { join } from "node:path";
import type { Command, Outcome } from "./executor.ts";
import type { Sandbox, SandboxDir, SandboxPlan } from "./in_place.ts";
import type { Probe } from "./probe.ts";
import { handOver, probeMachine, removeTrees, runBehind, tryWalls } from "./run.ts";

/** What {@linkcode prepareChroot} starts from. All paths are absolute. */
export interface ChrootOptions {
  /** The helper's executable. */
  readonly helper: string;
  /** An existing private directory outside of the tree. */
  readonly scratchDir: string;
  /** An image unpacked with real owners, which nobody else uses meanwhile. */
  readonly tree: string;
  /** Each `outside` is `inside` of the tree. */
  readonly dirs: readonly SandboxDir[];
  /** Whom commands run as: not root. */
  readonly uid: number;
  /** See `uid`. */
  readonly gid: number;
}

/** Why this machine does not allow it; `undefined` when it does. */
export function whyNoChroot(probe: Probe): string | undefined {
  if (probe.uid !== 0) return "only root may change the root directory";
  const { setuid, setgid, kill, chroot, chown } = probe;
  const needs = { SYS_CHROOT: chroot, SETUID: setuid, SETGID: setgid, KILL: kill, CHOWN: chown };
  const lacking = Object.entries(needs).filter(([, has]) => !has).map(([name]) => name);
  return lacking.length === 0 ? undefined : `root lacks ${lacking.join(", ")}`;
}

/** HOME in there: fresh, since nothing can be mounted over the image's. */
const HOME = "/tmp/home";

/**
 * Makes the walls and tries them once around nothing. `/tmp` of the tree is emptied before and after.
 *
 * @throws {Error} When they do not stand, with the reason.
 */
export async function prepareChroot(options: ChrootOptions): Promise<Sandbox> {
  const { helper, tree, uid, gid, dirs } = options;
  const probe = await probeMachine(helper);
  const lacking = whyNoChroot(probe);
  if (lacking !== undefined) throw new Error(`Cannot change the root: ${lacking}`);
  const tmp = join(tree, "tmp");
  const clear = async () => {
    await removeTrees(helper, [tmp]);
    await Deno.mkdir(tmp);
    await Deno.chmod(tmp, 0o1777);
  };
  const scratch = await Deno.makeTempDir({ dir: options.scratchDir, prefix: "chroot-" });
  try {
    await clear();
    await Deno.mkdir(join(tree, HOME));
    const written = dirs.filter(({ access }) => access === "rw").map(({ outside }) => outside);
    await handOver(helper, [join(tree, HOME), ...written], uid, gid);
    const args = ["--chroot", tree, "--uid", `${uid}`, "--gid", `${gid}`];
    if (probe.landlock >= 2) {
      args.push("--landlock", "--ll-ro", "/");
      const writable = [
        "/tmp",
        "/var/tmp",
        "/dev",
        ...dirs.filter((dir) => dir.access === "rw").map((dir) => dir.inside),
      ];
      for (const path of writable) args.push("--ll-rw", path);
    }
    const reason = await tryWalls(helper, [...args, "--cwd", "/"], join(scratch, "status-0"));
    if (reason !== undefined) throw new Error(`Cannot change the root: ${reason}`);
    let runs = 0;
    const plan: SandboxPlan = {
      mode: "direct",
      uid,
      gid,
      dirs,
      home: HOME,
      fenced: true,
      owner: { uid, gid },
    };
    return {
      plan,
      describe:
        `chroot, the image's own root (no_new_privs, seccomp${
          probe.landlock >= 2 ? `, Landlock ${probe.landlock}` : ""
        }) as ${uid}:${gid}; there is no /proc and no /sys, the host's network and abstract sockets are open; ` +
        "--isolation takeover gives both where the container may be used up",
      async handOver(paths) {
        await handOver(helper, paths, uid, gid);
      },
      run: (command: Command): Promise<Outcome> =>
        runBehind(helper, args, command, join(scratch, `status-${++runs}`)),
      async [Symbol.asyncDispose](): Promise<void> {
        await removeTrees(helper, [scratch]);
        await clear();
      },
    };
  } catch (cause) {
    await removeTrees(helper, [scratch]);
    throw cause;
  }
}
