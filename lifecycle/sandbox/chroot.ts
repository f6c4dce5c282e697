/**
 * Commands in an unpacked image as their root where nothing can be mounted: chroot(2). The directories for the build
 * lie in the tree itself, and there is no `/proc` and no `/sys`.
 */
import { join } from "node:path";
import type { Command, Outcome } from "./executor.ts";
import type { Sandbox, SandboxDir, SandboxPlan } from "./in_place.ts";
import type { Probe } from "./probe.ts";
import { locate } from "./tree_files.ts";
import { probeMachine } from "./probe_machine.ts";
import { groupWords, runBehind, tryWalls } from "./run.ts";
import { handOver, removeTrees } from "./trees.ts";

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
  /** The control group of what runs. Default: ours. */
  readonly cgroup?: string | undefined;
  /** Whether all of the tree may be written; default: only `/tmp` and `dirs`, where Landlock is there to say so. */
  readonly writable?: boolean | undefined;
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

/** Name service as this machine has it: nothing can be mounted there. */
export async function bringNames(tree: string): Promise<void> {
  for (const path of ["/etc/resolv.conf", "/etc/hosts"]) {
    const into = locate(tree, path);
    const bytes = await Deno.readFile(path).catch(() => undefined);
    if (into === undefined || bytes === undefined || !(await Deno.lstat(into)).isFile) continue;
    await Deno.writeFile(into, bytes);
  }
}

/** What {@linkcode prepareWholeChroot} starts from. */
export interface WholeChrootOptions {
  /** See {@linkcode ChrootOptions}. */
  readonly helper: string;
  /** An existing private directory outside of the tree; what is written to it stays. */
  readonly scratchDir: string;
  /** An image unpacked with real owners, nobody else's. */
  readonly tree: string;
  /** Whom commands run as. 0 keeps root's rights over files, but not the one to change the root again. */
  readonly uid: number;
  /** See `uid`. */
  readonly gid: number;
}

/**
 * Commands that may change all of the tree, as those of a Dockerfile do. Root in there is the machine's: what keeps it
 * in is the lack of rights, and Landlock where there is some; it can signal other processes of root.
 *
 * @throws {Error} When it cannot be done, with the reason.
 */
export async function prepareWholeChroot(
  { helper, scratchDir, tree, uid, gid }: WholeChrootOptions,
): Promise<Pick<Sandbox, "run">> {
  const probe = await probeMachine(helper);
  const args = ["--chroot", tree, "--uid", `${uid}`, "--gid", `${gid}`];
  if (uid === 0) args.push("--keep-caps");
  if (probe.landlock >= 2) args.push("--landlock", "--ll-rw", "/");
  const status = (name: string) => join(scratchDir, `status-${uid}-${gid}-${name}`);
  const reason = await tryWalls(helper, [...args, "--cwd", "/"], status("0"));
  if (reason !== undefined) throw new Error(`Cannot change the root: ${reason}`);
  let runs = 0;
  return { run: (command) => runBehind(helper, args, command, status(`${++runs}`)) };
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
    const args = ["--chroot", tree, "--uid", `${uid}`, "--gid", `${gid}`];
    if (probe.landlock >= 2) {
      args.push("--landlock", options.writable ? "--ll-rw" : "--ll-ro", "/");
      const writable = options.writable ? [] : [
        "/tmp",
        "/var/tmp",
        "/dev",
        ...dirs.filter((dir) => dir.access === "rw").map((dir) => dir.inside),
      ];
      for (const path of writable) args.push("--ll-rw", path);
    }
    const reason = await tryWalls(helper, [...args, "--cwd", "/"], join(scratch, "status-0"), [
      join(tree, HOME),
      ...written,
    ]);
    if (reason !== undefined) throw new Error(`Cannot change the root: ${reason}`);
    let runs = 0;
    const words = [...groupWords(options.cgroup), ...args];
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
        runBehind(helper, words, command, join(scratch, `status-${++runs}`)),
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
