/** Commands in a root file system of their own: an unpacked image. */
import { join } from "node:path";
import { describeNamespaces } from "./describe.ts";
import type { Command, Outcome } from "./executor.ts";
import type { Sandbox, SandboxDir, SandboxPlan } from "./in_place.ts";
import { chooseNamespaces, explainAttempt, type Namespaces, type Probe } from "./probe.ts";
import { probeMachine } from "./probe_machine.ts";
import { groupWords, runBehind, tryWalls } from "./run.ts";
import { handOver, removeTrees } from "./trees.ts";
import type { HeldTree } from "./held.ts";
import { locate, readUsers } from "./tree_files.ts";
import { binds, type Mount, underlay } from "./underlay.ts";

/** What {@linkcode prepareRoot} starts from. All paths are absolute. */
export interface RootOptions {
  /** The helper's executable. */
  readonly helper: string;
  /** An existing private directory; one of ours is made in it and removed in the end, unless `leavesScratch`. */
  readonly scratchDir: string;
  /** An unpacked image (see {@linkcode unpackLayers}, `furnish`). Written to only with `in-tree`. */
  readonly tree: string;
  /** The tree is what this holds over one that others use too. */
  readonly held?: Pick<HeldTree, "pid" | "place"> | undefined;
  /** How it was unpacked; must be what {@linkcode chooseEntry} says for this machine. */
  readonly owner: "self" | "real";
  /** Bound into it, whether the image has the place or not. */
  readonly dirs: readonly SandboxDir[];
  /** Whom commands run as. With 0 they keep root's rights over files, as in a container. */
  readonly uid: number;
  /** See `uid`. */
  readonly gid: number;
  /**
   * `read-only`: the image's files stay as they are; HOME, `/tmp` and `dirs` can be written. `copy-on-write`: all can
   * be written, and {@linkcode RootSandbox.upper} holds the difference; needs overlay. `in-tree`: what is written is
   * written into the tree, which must be nobody else's.
   */
  readonly root: "read-only" | "copy-on-write" | "in-tree";
  /** `none`: only the loopback of an empty network. Default: the host's. */
  readonly network?: "host" | "none" | undefined;
  /** The control group of what runs. Default: ours. */
  readonly cgroup?: string | undefined;
  /** Most processes and threads. Default 8192, none as root. */
  readonly maxProcesses?: number | undefined;
  /** What is made in `scratchDir` is left to whoever removes that. */
  readonly leavesScratch?: boolean | undefined;
}

/** A place where commands run in a root of their own. Disposing removes what was written. */
export interface RootSandbox extends Sandbox {
  /**
   * With `copy-on-write`: the overlay's upper directory, which holds all that commands changed. What is gone is a
   * character device 0:0; a directory that hides the one below has `trusted.overlay.opaque` (`user.overlay.opaque`
   * in user namespaces) set to `y`. Owners are those of this machine: the caller's everywhere with `self`. Absent with `read-only`.
   */
  readonly upper?: string | undefined;
}

const MAX_PROCESSES = 8192;

/** How trees have to be unpacked for {@linkcode prepareRoot} on this machine, and why it cannot be done if not. */
export function treeOwner(probe: Probe): "self" | "real" | { readonly reason: string } {
  const namespaces = chooseNamespaces(probe);
  if (namespaces === undefined) return { reason: explainAttempt(probe.usernsWithoutPids) };
  return namespaces.user ? "self" : "real";
}

/**
 * Makes walls around an unpacked image and tries them once around nothing.
 *
 * @throws {Error} When they do not stand, with the reason.
 */
export async function prepareRoot(options: RootOptions): Promise<RootSandbox> {
  const probe = await probeMachine(options.helper);
  if (probe.seccomp !== 0) {
    throw new Error("Cannot enter an image: the kernel refuses a system call filter");
  }
  const namespaces = chooseNamespaces(probe);
  if (namespaces === undefined) {
    throw new Error(`Cannot enter an image: ${explainAttempt(probe.usernsWithoutPids)}`);
  }
  const scratch = await Deno.realPath(
    await Deno.makeTempDir({ dir: options.scratchDir, prefix: "root-" }),
  );
  try {
    for (const name of ["stage", "home", "tmp", "upper", "work", "files"]) {
      await Deno.mkdir(join(scratch, name), { mode: 0o755 });
    }
    const site = { options, probe, namespaces, scratch };
    const home = homeOf(options.tree, options.uid);
    const args = await wallsOf(site, home);
    await Deno.chmod(join(scratch, "tmp"), 0o1777);
    const written = options.dirs.filter(({ access, foreign }) => access === "rw" && !foreign)
      .map(({ outside }) => outside);
    const reason = await tryWalls(
      options.helper,
      [...args, "--cwd", "/"],
      join(scratch, "status-0"),
      namespaces.user ? [] : [join(scratch, "home"), join(scratch, "tmp"), ...written],
    );
    if (reason !== undefined) throw new Error(`Cannot enter an image: ${reason}`);
    return sandboxOf(site, args, home);
  } catch (cause) {
    await removeTrees(options.helper, [scratch]);
    throw cause;
  }
}

interface Site {
  readonly options: RootOptions;
  readonly probe: Probe;
  readonly namespaces: Namespaces;
  readonly scratch: string;
}

async function wallsOf(site: Site, home: string): Promise<string[]> {
  const { options, probe, namespaces, scratch } = site;
  const { uid, gid } = options;
  const args = ["--view", join(scratch, "stage"), "--uid", `${uid}`, "--gid", `${gid}`];
  if (namespaces.user) args.push("--userns");
  if (namespaces.pid) args.push("--pidns");
  if (options.network === "none") args.push("--netns");
  const { held, tree } = options;
  const place = held?.place ?? tree;
  if (held !== undefined) args.push("--join", `${held.pid}`);
  const most = options.maxProcesses ?? (uid === 0 ? 0 : MAX_PROCESSES);
  if (most > 0) args.push("--nproc", `${most}`);
  const tmp = join(scratch, "tmp");
  const mounts: Mount[] = [
    { inside: "/tmp", outside: tmp, access: "rw" },
    { inside: "/var/tmp", outside: tmp, access: "rw" },
    { inside: "/sys", outside: "/sys", access: "ro" },
    ...await machineFiles(options),
    ...options.dirs,
  ];
  if (options.root !== "read-only") {
    const overlay = ["--overlay", tree, join(scratch, "upper"), join(scratch, "work")];
    args.push(...options.root === "in-tree" ? ["--whole", place] : overlay);
    // /tmp stays the image's where what is written there may become part of a layer.
    const isKept = uid === 0 || options.root === "in-tree";
    const kept = mounts.filter(({ inside }) => !isKept || !/^(\/var)?\/tmp$/.test(inside));
    args.push(...binds(tree, kept));
  } else {
    mounts.push({ inside: home, outside: join(scratch, "home"), access: "rw" });
    mounts.push(...await usersWith(options, scratch, home));
    args.push(...underlay(tree, mounts, place));
  }
  if (uid === 0) args.push("--keep-caps");
  else if (probe.landlock >= 2) args.push("--landlock", ...landlock(options, home));
  return args;
}

/** A second fence behind the mounts. */
function landlock({ root, dirs }: RootOptions, home: string): string[] {
  if (root !== "read-only") return ["--ll-rw", "/"];
  const writable = ["/tmp", "/var/tmp", "/dev", home];
  for (const { inside, access } of dirs) if (access === "rw") writable.push(inside);
  return ["--ll-ro", "/", ...writable.flatMap((path) => ["--ll-rw", path])];
}

/** Name service as this machine has it; without a network there is none. */
async function machineFiles({ network }: RootOptions): Promise<readonly Mount[]> {
  const mounts: Mount[] = [];
  if (network === "none") return mounts;
  for (const inside of ["/etc/resolv.conf", "/etc/hosts"]) {
    const outside = await Deno.realPath(inside).catch(() => undefined);
    if (outside !== undefined) mounts.push({ inside, outside, access: "ro" });
  }
  return mounts;
}

/** HOME of the user in the image, or one we make. */
function homeOf(tree: string, uid: number): string {
  const user = readUsers(tree).find((one) => one.uid === uid);
  const home = user?.home ?? "";
  return /^\/[^/]/.test(home) && !/^\/(nonexistent|dev|proc|sys|tmp)\b/.test(home)
    ? home
    : "/home/cnb";
}

/** Users of the image with the build user among them, so that Java and ssh find a HOME; nothing when it is. */
async function usersWith(options: RootOptions, scratch: string, home: string): Promise<Mount[]> {
  const { tree, uid, gid } = options;
  if (readUsers(tree).some((user) => user.uid === uid)) return [];
  const mounts: Mount[] = [];
  const lines = { passwd: `cnb:x:${uid}:${gid}::${home}:/bin/sh\n`, group: `cnb:x:${gid}:\n` };
  for (const [name, line] of Object.entries(lines)) {
    const real = locate(tree, `/etc/${name}`);
    const own = real === undefined
      ? undefined
      : await Deno.readTextFile(real).catch(() => undefined);
    if (own === undefined) continue;
    const outside = join(scratch, "files", name);
    await Deno.writeTextFile(outside, line + own);
    mounts.push({ inside: `/etc/${name}`, outside, access: "ro" });
  }
  return mounts;
}

function sandboxOf(site: Site, args: readonly string[], home: string): RootSandbox {
  const { options, probe, namespaces, scratch } = site;
  const { helper, uid, gid, dirs } = options;
  const plan: SandboxPlan = {
    ...{ mode: "view", uid, gid, dirs, home, fenced: true },
    ...(namespaces.user ? {} : { owner: { uid, gid } }),
  };
  let runs = 0;
  const words = [...groupWords(options.cgroup), ...args];
  return {
    plan,
    describe: describeNamespaces({
      what: "namespaces, the image's own root",
      ...{ probe, namespaces, uid, gid, network: options.network },
      landlock: uid !== 0 && probe.landlock >= 2,
    }),
    upper: options.root === "copy-on-write" ? join(scratch, "upper") : undefined,
    async handOver(paths) {
      if (!namespaces.user) await handOver(helper, paths, uid, gid);
    },
    run: (command: Command): Promise<Outcome> =>
      runBehind(helper, words, command, join(scratch, `status-${++runs}`)),
    async [Symbol.asyncDispose](): Promise<void> {
      if (!options.leavesScratch) await removeTrees(helper, [scratch]);
    },
  };
}
