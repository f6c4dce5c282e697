/**
 * The machine we stand on as build image: in a view of it when namespaces can be had, on its own
 * tree otherwise, fenced as well as the kernel can.
 */

import { join } from "node:path";
import { describeNamespaces } from "./describe.ts";
import type { Command, Dir, Executor, Outcome } from "./executor.ts";
import { carve, lookAtMachine, type Machine } from "./machine.ts";
import { chooseNamespaces, explainAttempt, type Namespaces, type Probe } from "./probe.ts";
import { probeMachine } from "./probe_machine.ts";
import { groupWords, runBehind, tryWalls } from "./run.ts";
import { handOver, removeTrees } from "./trees.ts";

/** A directory for the build, and whether it may be written. */
export type SandboxDir = Dir & {
  readonly access: "ro" | "rw";
  /** The user's own: it is not given to the build user. */
  readonly foreign?: boolean | undefined;
};

/** What an in-place sandbox is made from. All paths are absolute. */
export interface InPlaceOptions {
  /** The helper's executable. */
  readonly helper: string;
  /** An existing directory; a private one is made in it and removed in the end. When we are root
   * on the machine's own tree, the build user must be able to pass through its parents. */
  readonly scratchDir: string;
  /** Layers, application, platform, each buildpack. Order does not matter. */
  readonly dirs: readonly SandboxDir[];
  /** The ids builds run with (`CNB_USER_ID`, `CNB_GROUP_ID`), where we can choose. */
  readonly uid: number;
  /** See `uid`. */
  readonly gid: number;
  /** The search path that buildpacks get. */
  readonly path: string;
  /** HOME of the caller, which is hidden. */
  readonly home?: string;
  /** Other directories that are hidden: the store, where credentials are. */
  readonly hide?: readonly string[];
  /** `view`: a root of its own or nothing. `direct`: the machine's own tree. Default: the first
   * that works. */
  readonly mode?: "auto" | "view" | "direct";
  /** `none`: only the loopback of an empty network. Needs a view. Default: the host's. */
  readonly network?: "host" | "none";
  /** Most processes and threads a build may have. Default 8192 in a view, else as it is. */
  readonly maxProcesses?: number;
  /** The control group of what runs. Default: ours. */
  readonly cgroup?: string | undefined;
  /** Let builds run as root when we are root and may not change. Default false. */
  readonly allowRootBuild?: boolean;
  /** What is made in `scratchDir` is left to whoever removes that. */
  readonly leavesScratch?: boolean;
}

/** What was decided, before anything runs. */
export interface SandboxPlan {
  /** A root of its own, or the machine's tree. */
  readonly mode: "view" | "direct";
  /** Ids as the build sees them. */
  readonly uid: number;
  /** See `uid`. */
  readonly gid: number;
  /** The directories in the order given. On the machine's own tree `inside` is `outside`. */
  readonly dirs: readonly SandboxDir[];
  /** A fresh private directory inside, for HOME. */
  readonly home: string;
  /** Directory for temporary files inside, when it is not /tmp. */
  readonly tmp?: string;
  /** Whether files are kept from the build by something better than their modes. */
  readonly fenced: boolean;
  /** Whose files must be on this machine for builds to write them; absent where that is the caller. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

/** A place where executables of buildpacks run. Disposing removes its private directory. */
export interface Sandbox extends Executor, AsyncDisposable {
  /** What was decided. */
  readonly plan: SandboxPlan;
  /** Gives trees to the build user again, after we wrote into them. */
  handOver(paths: readonly string[]): Promise<void>;
}

/** Where HOME of the build lies in a view. */
const VIEW_HOME = "/home/cnb";
const VIEW_PROCESSES = 8192;

/**
 * Decides by trying, gives the writable directories to the build user where that takes root, and
 * makes the walls once around nothing, so that what cannot work fails here.
 *
 * @throws {Error} When nothing works or the mode asked for does not, with the reason of each try.
 */
export async function prepareInPlace(options: InPlaceOptions): Promise<Sandbox> {
  const probe = await probeMachine(options.helper);
  if (probe.seccomp !== 0) {
    throw new Error("Cannot run buildpacks in place: the kernel refuses a system call filter");
  }
  const mode = options.mode ?? "auto";
  const namespaces = mode === "direct" ? undefined : chooseNamespaces(probe);
  const reasons: string[] = [];
  if (mode !== "direct" && namespaces === undefined) {
    reasons.push(`no view of its own: ${explainAttempt(probe.usernsWithoutPids)}`);
  }
  const scratch = await makeScratch(options.scratchDir, probe.uid === 0);
  try {
    const asRoot = probe.uid === 0 && (namespaces?.user === true || !canDrop(probe, options));
    const machine = await lookAtMachine({
      asRoot,
      path: options.path,
      home: options.home,
      hide: options.hide ?? [],
      taken: [scratch, ...options.dirs.map((dir) => dir.outside)],
    });
    const site = { options, probe, scratch, machine };
    if (namespaces !== undefined) {
      const walls = await viewWalls(site, namespaces);
      const reason = await raise(site, walls);
      if (reason === undefined) return sandbox(site, walls);
      reasons.push(`no view of its own: ${reason}`);
    }
    if (mode !== "view") {
      const walls = await directWalls(site, reasons);
      const reason = await raise(site, walls);
      if (reason === undefined) return sandbox(site, walls);
      reasons.push(`not on the machine's own tree: ${reason}`);
    }
    throw new Error(`Cannot run buildpacks in place: ${reasons.join("; ")}`);
  } catch (cause) {
    await removeTrees(options.helper, [scratch]);
    throw cause;
  }
}

/** What the decision is made from. */
interface Site {
  readonly options: InPlaceOptions;
  readonly probe: Probe;
  readonly scratch: string;
  readonly machine: Machine;
}

/** A way to run, ready to be tried. */
interface Walls {
  readonly plan: SandboxPlan;
  readonly describe: string;
  /** Options of `helper run`. */
  readonly args: readonly string[];
  /** Whose the files must be on this machine, when we are root and drop to another user. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

async function viewWalls(site: Site, namespaces: Namespaces): Promise<Walls> {
  const { options, probe, scratch, machine } = site;
  const { uid, gid } = options;
  const stage = join(scratch, "stage");
  const writable = ["/tmp", "/var/tmp", "/dev", VIEW_HOME];
  const args = ["--view", stage, "--uid", `${uid}`, "--gid", `${gid}`];
  if (namespaces.user) args.push("--userns");
  if (namespaces.pid) args.push("--pidns");
  if (options.network === "none") args.push("--netns");
  args.push("--nproc", `${options.maxProcesses ?? VIEW_PROCESSES}`);
  for (const tree of machine.trees) args.push("--ro-bind", tree, tree);
  for (const link of machine.links) args.push("--link", link.target, link.path);
  args.push("--bind", join(scratch, "tmp"), "/tmp", "--bind", join(scratch, "tmp"), "/var/tmp");
  args.push("--bind", join(scratch, "home"), VIEW_HOME);
  // After those, since parts of PATH may lie under /tmp or /home.
  for (const path of machine.extras) args.push("--ro-bind", path, path);
  args.push("--ro-bind", "/sys", "/sys");
  for (const path of machine.secrets) args.push("--mask", path);
  for (const file of await writeUsers(scratch, uid, gid)) {
    args.push("--ro-bind", file.outside, file.inside);
  }
  // A parent before what is bound inside it.
  for (const dir of [...options.dirs].sort((a, b) => a.inside < b.inside ? -1 : 1)) {
    args.push(dir.access === "rw" ? "--bind" : "--ro-bind", dir.outside, dir.inside);
    if (dir.access === "rw") writable.push(dir.inside);
  }
  // A second fence. The first version of Landlock cannot allow renames between directories, which
  // builds need, so there the view stands alone.
  const landlock = probe.landlock >= 2;
  if (landlock) {
    args.push("--landlock", "--ll-ro", "/");
    for (const path of writable) args.push("--ll-rw", path);
  }
  return {
    plan: { mode: "view", uid, gid, dirs: options.dirs, home: VIEW_HOME, fenced: true },
    describe: describeNamespaces({
      what: "in-place, own view of this machine",
      ...{ probe, namespaces, landlock, uid, gid, network: options.network },
      more: namespaces.user && probe.uid === 0 ? ["builds own what root owns outside /etc"] : [],
    }),
    args,
    ...(namespaces.user ? {} : { owner: { uid, gid } }),
  };
}

async function directWalls(site: Site, reasons: readonly string[]): Promise<Walls> {
  const { options, probe, scratch, machine } = site;
  if (options.network === "none") {
    throw new Error('Cannot give buildpacks network "none": this machine allows no namespaces');
  }
  const drop = canDrop(probe, options);
  const uid = drop ? options.uid : probe.uid;
  const gid = drop ? options.gid : probe.gid;
  if (uid === 0 && options.allowRootBuild !== true) {
    throw new Error(
      "Cannot run buildpacks in place: they would run as root. Run as another user, or give the " +
        "container SETUID, SETGID and KILL, or allow builds as root",
    );
  }
  const home = join(scratch, "home");
  const privateTmp = !await holdsOnly("/tmp", scratch);
  const tmp = join(scratch, "tmp");
  const dirs = options.dirs.map((dir) => ({ ...dir, inside: dir.outside }));
  const args = drop ? ["--uid", `${uid}`, "--gid", `${gid}`] : [];
  if (options.maxProcesses !== undefined) args.push("--nproc", `${options.maxProcesses}`);
  const fenced = probe.landlock >= 1;
  if (fenced) {
    const readable = ["/proc", "/sys"]; // of /dev only harmless nodes: root without rights owns disks
    for (const path of [...machine.trees, ...machine.links.map((link) => link.path)]) {
      readable.push(...await carve(path, machine.secrets));
    }
    readable.push(...machine.extras, ...paths(dirs, "ro"));
    const nodes = ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"];
    const writable = [...nodes.map((node) => `/dev/${node}`), home, tmp, ...paths(dirs, "rw")];
    if (!privateTmp) writable.push("/tmp");
    args.push("--landlock");
    for (const path of readable) args.push("--ll-ro", path);
    for (const path of writable) args.push("--ll-rw", path);
  }
  const moved = options.dirs.find((dir) => dir.inside !== dir.outside);
  const open = [
    ...reasons,
    ...(moved ? [`${moved.outside} keeps that path instead of ${moved.inside}`] : []),
    fenced
      ? "the host's network, Unix sockets and the list of processes are open"
      : `NOT FENCED: this kernel has no Landlock, so buildpacks can read every file that user ${uid} can`,
    ...(probe.landlock === 1 ? ["renames between directories fail"] : []),
    ...(fenced && probe.landlock < 6 ? ["processes of this user can be signalled"] : []),
    ...(uid === 0 ? ["builds run as root"] : []),
  ];
  return {
    plan: {
      ...{ mode: "direct", uid, gid, dirs, home, fenced },
      ...(privateTmp ? { tmp } : {}),
    },
    describe: `in-place, on this machine's own tree (no_new_privs, seccomp${
      fenced ? `, Landlock ${probe.landlock}` : ""
    }) as ${uid}:${gid}; ${open.join("; ")}`,
    args,
    ...(drop ? { owner: { uid, gid } } : {}),
  };
}

/** Whether we are root and can become the build user. */
function canDrop(probe: Probe, options: InPlaceOptions): boolean {
  return probe.uid === 0 && probe.setuid && probe.setgid && probe.kill && options.uid !== 0;
}

function paths(dirs: readonly SandboxDir[], access: "ro" | "rw"): string[] {
  return dirs.filter((dir) => dir.access === access).map((dir) => dir.outside);
}

/** Makes the walls around nothing; why that failed, or `undefined`. */
async function raise(site: Site, walls: Walls): Promise<string | undefined> {
  const { helper } = site.options;
  const ours = walls.plan.dirs.filter((dir) => dir.foreign !== true);
  const own = [join(site.scratch, "home"), join(site.scratch, "tmp"), ...paths(ours, "rw")];
  const args = [...walls.args, "--cwd", walls.plan.home];
  return await tryWalls(helper, args, join(site.scratch, "status-0"), walls.owner ? own : []);
}

function sandbox(site: Site, walls: Walls): Sandbox {
  let runs = 0;
  const { helper } = site.options;
  const { tmp } = walls.plan;
  return {
    plan: { ...walls.plan, ...(walls.owner ? { owner: walls.owner } : {}) },
    describe: walls.describe,
    async handOver(paths) {
      if (walls.owner) await handOver(helper, paths, walls.owner.uid, walls.owner.gid);
    },
    run(command: Command): Promise<Outcome> {
      const env = tmp === undefined ? command.env : { TMPDIR: tmp, ...command.env };
      const status = join(site.scratch, `status-${++runs}`);
      const args = [...groupWords(site.options.cgroup), ...walls.args];
      return runBehind(helper, args, { ...command, env }, status);
    },
    async [Symbol.asyncDispose](): Promise<void> {
      if (!site.options.leavesScratch) await removeTrees(helper, [site.scratch]);
    },
  };
}

async function makeScratch(parent: string, root: boolean): Promise<string> {
  const scratch = await Deno.makeTempDir({ dir: parent, prefix: "sandbox-" });
  // Root's builds pass through it to HOME and TMPDIR as another user; they cannot list it.
  await Deno.chmod(scratch, root ? 0o711 : 0o700);
  for (const name of ["stage", "home", "tmp"]) {
    await Deno.mkdir(join(scratch, name), { mode: 0o700 });
  }
  return await Deno.realPath(scratch);
}

/** Whether `dir` holds nothing but what leads to `path`: then it is nobody else's. */
async function holdsOnly(dir: string, path: string): Promise<boolean> {
  try {
    for await (const entry of Deno.readDir(dir)) {
      if (!`${path}/`.startsWith(`${dir}/${entry.name}/`)) return false;
    }
    return true;
  } catch {
    return false;
  }
}

/** Users and groups with the build user first: Java and ssh take HOME from there. */
async function writeUsers(scratch: string, uid: number, gid: number): Promise<Dir[]> {
  const lines = {
    passwd: `cnb:x:${uid}:${gid}::${VIEW_HOME}:/bin/sh\n`,
    group: `cnb:x:${gid}:\n`,
  };
  const files: Dir[] = [];
  for (const [name, line] of Object.entries(lines)) {
    const inside = `/etc/${name}`;
    let own: string;
    try {
      own = await Deno.readTextFile(inside);
    } catch {
      continue; // a machine without one cannot have one bound over it
    }
    const outside = join(scratch, name);
    await Deno.writeTextFile(outside, line + own);
    await Deno.chmod(outside, 0o644); // whatever our umask is
    files.push({ inside, outside });
  }
  return files;
}
