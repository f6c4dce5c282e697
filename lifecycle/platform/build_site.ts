/** Where buildpacks are run: the app, the buildpacks and the walls around them, made ready for detect and build. */
import { dirname, join } from "node:path";
import type { Context } from "../../registry/context.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import type { GroupOrder } from "../file/module.ts";
import type { ProjectMetadata } from "../file/project_metadata_toml.ts";
import type { System } from "../file/system_toml.ts";
import type { BuildpackInput, RunTarget } from "../phase/detect_types.ts";
import type { Dir } from "../sandbox/executor.ts";
import type { BuildGroup } from "../sandbox/cgroup.ts";
import { prepareInPlace, type Sandbox, type SandboxDir } from "../sandbox/in_place.ts";
import { prepareRoot } from "../sandbox/root.ts";
import { chooseNamespaces } from "../sandbox/probe.ts";
import { probeMachine, removeTrees } from "../sandbox/run.ts";
import { prepareApp } from "./app_source.ts";
import { type CarriedDependency, writeDependencies, writeMapping } from "./bundle_dependencies.ts";
import type { BuilderRoot } from "./builder_root.ts";
import {
  bringNear,
  type BuildpackRequest,
  gatherBuildpacks,
  type Gathered,
  type OpenPackage,
  withDirs,
} from "./buildpack_source.ts";
import { takeFirst } from "./own_place.ts";
import { journalOf, type Placed, placeInside } from "./place_inside.ts";
import { prepareChroot } from "../sandbox/chroot.ts";
import { type GatheredExtensions, gatherExtensions } from "./extension_source.ts";
import { readDistro } from "./distro.ts";
import { isPassable } from "./passable.ts";
import { filterOf, findProject, metadataOf, wantedOf } from "./project.ts";
import { openWorkDir, type WorkDir } from "./work_dir.ts";

/** What buildpacks are given; everything is resolved, nothing is a flag. Paths are absolute. */
export interface SiteRequest {
  /** Platform API of the image. */
  readonly platformApi: string;
  /** The app: a directory, a zip or jar, or a tar. */
  readonly app: string;
  /** Where the app is for buildpacks and in the image. Usually `/workspace`. */
  readonly appDir: string;
  /** Buildpacks and order as the user named them. */
  readonly buildpacks: {
    /** See `BuildpackRequest.buildpacks`. */
    readonly named: readonly string[];
    /** See `BuildpackRequest.orderFile`. */
    readonly orderFile?: string | undefined;
    /** See `BuildpackRequest.platform`. */
    readonly platform?: BuildpackRequest["platform"];
    /** See `BuildpackRequest.buildpacksDir`. */
    readonly dir?: string | undefined;
    /** What relative names are relative to. */
    readonly cwd: string;
  };
  /** Image extensions as the user named them, and where ids of an order are looked up. */
  readonly extensions?: {
    readonly named: readonly string[];
    readonly dir?: string | undefined;
  } | undefined;
  /** The builder to enter; without one the machine itself is the build image. */
  readonly builder?: BuilderRoot | undefined;
  /** In front of every group, behind every group: as the user named them. Those of the descriptor come without. */
  readonly around?: {
    readonly pre: readonly string[];
    readonly post: readonly string[];
  } | undefined;
  /** See `BuildpackRequest.openPackage`. */
  readonly openPackage?: OpenPackage | undefined;
  /** More directories for buildpacks. */
  readonly volumes?: readonly SandboxDir[] | undefined;
  /** A project descriptor; without one `project.toml` of the app counts. */
  readonly descriptor?: string | undefined;
  /** Variables for buildpacks, from the user; they win over those of the descriptor. */
  readonly env: Readonly<Record<string, string>>;
  /** Service bindings: a name, and the directory that holds its entries. */
  readonly bindings?: Readonly<Record<string, string>> | undefined;
  /** Files that a binding leads buildpacks to, instead of downloading them. */
  readonly dependencies?: readonly CarriedDependency[] | undefined;
  /** Where they run. */
  readonly machine: Machine;
  /** Owner of layers and app. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** `production`, `test`, ... */
  readonly execEnv: string;
}

/** The machine buildpacks run on. */
export interface Machine {
  /** The sandbox helper's executable. */
  readonly helper: string;
  /** Its environment; buildpacks get the few variables of ENV-1 from it. */
  readonly env: Readonly<Record<string, string>>;
  /** Work directories are made below the first one that will do. */
  readonly workDirs: readonly [string, ...string[]];
  /** HOME of the caller: hidden. */
  readonly home?: string | undefined;
  /** Other directories that are hidden: the store, where credentials are. */
  readonly hide: readonly string[];
  /** See `InPlaceOptions.network`. */
  readonly network?: "host" | "none" | undefined;
  /** The control group of what buildpacks run, where there is one. */
  readonly group?: BuildGroup | undefined;
  /** See `InPlaceOptions.allowRootBuild`. */
  readonly allowRootBuild?: boolean | undefined;
}

/** App and buildpacks in a work directory. Disposing removes it. */
export interface Site extends AsyncDisposable {
  /** The work directory. */
  readonly work: WorkDir;
  /** Its directories lie elsewhere: where buildpacks see them. */
  readonly placed: boolean;
  /** `/layers`, as the image calls it. */
  readonly layers: Dir;
  /** The app, as the image calls it. */
  readonly app: Dir;
  /** Groups to try. */
  readonly order: GroupOrder;
  /** Groups of image extensions. */
  readonly orderExtensions: GroupOrder;
  /** What surrounds every group. */
  readonly system?: System | undefined;
  /** What the descriptor says for the image's label. */
  readonly project?: ProjectMetadata | undefined;
  /**
   * Makes the walls. The caller disposes them before the site.
   *
   * @param builder The request's as extensions made it; from then on directories are where {@linkcode Enclosure.input}
   * says. Default: as it is.
   */
  enclose(target: RunTarget, builder?: BuilderRoot): Promise<Enclosure>;
}

/** Walls, and what buildpacks inside them are given. */
export interface Enclosure extends AsyncDisposable {
  /** The walls. */
  readonly sandbox: Sandbox;
  /** For detect and build. */
  readonly input: BuildpackInput;
}

/**
 * Copies the app, finds the buildpacks, writes the platform directory. Runs nothing of theirs.
 *
 * @throws {LifecycleError} When app, descriptor or a buildpack cannot be had.
 */
export async function openSite(request: SiteRequest, ctx: Context): Promise<Site> {
  const { machine } = request;
  // Root that can make no namespaces drops to the build's user on the machine's own tree: that user has to get
  // to all that it shall see.
  const probe = await probeMachine(machine.helper);
  const { builder } = request;
  const takenOver = builder?.entry.mode === "takeover";
  const onOwnTree = builder === undefined && chooseNamespaces(probe) === undefined;
  const exposed = takenOver || (onOwnTree && probe.uid === 0);
  const parent = exposed ? machine.workDirs.find(isPassable) : machine.workDirs[0];
  await using undo = new AsyncDisposableStack();
  const own = undo.use(
    await openWorkDir(
      parent ?? machine.workDirs[0],
      (paths) => removeTrees(machine.helper, paths),
    ),
  );
  // Where nothing can be mounted, what buildpacks see lies in the builder's own root.
  const placed = builder === undefined || builder.entry.mode === "namespaces"
    ? undefined
    : undo.use(placeInside(builder.tree, machine.helper, journalOf(builder.tree)));
  const visible: WorkDir = placed === undefined ? own : {
    ...own,
    layers: await placed.place("/layers"),
    app: await placed.place(request.appDir),
    platform: await placed.place("/platform"),
    temp: await placed.place("/cnb/plans"),
  };
  // Paths of the machine end up in the image: those it should have, else the same for every build in this store.
  const steady = async (name: "layers" | "app", inside: string) => {
    const parent = dirname(own.path);
    const taken = await takeFirst([inside, join(parent, name)], parent, machine.helper);
    return taken === undefined ? own[name] : undo.use(taken).path;
  };
  const work: WorkDir = onOwnTree
    ? {
      ...visible,
      layers: await steady("layers", "/layers"),
      app: await steady("app", request.appDir),
    }
    : visible;
  const { named, platform, orderFile, dir, cwd } = request.buildpacks;
  const found = await findProject(request.descriptor, request.app, request.execEnv);
  const project = found?.project;
  for (const warning of project?.warnings ?? []) ctx.log.warn(warning);
  if (project?.builder && builder === undefined) {
    ctx.log.warn(`project.toml asks for builder ${project.builder}, which was not entered`);
  }
  const list = (part: "group" | "pre" | "post") =>
    found ? wantedOf(found.project[part], found.dir) : [];
  const gathered = await gatherBuildpacks({
    buildpacks: named.length > 0 ? named : list("group"),
    pre: request.around?.pre.length ? request.around.pre : list("pre"),
    post: request.around?.post.length ? request.around.post : list("post"),
    builder,
    openPackage: request.openPackage,
    orderFile,
    buildpacksDir: dir,
    cwd,
    platform,
    scratch: work.buildpacks,
  });
  for (const warning of gathered.warnings) ctx.log.warn(warning);
  const extensions = await gatherExtensions({
    named: request.extensions?.named ?? [],
    builder,
    orderFile,
    dir: request.extensions?.dir,
    cwd,
    // Where nothing can be mounted they lie where the builder would have them.
    place: placed && ((inside) => placed.place(inside)),
    scratch: work.buildpacks,
  }, ctx);
  const near = placed
    ? await bringInside(gathered, request, placed, ctx.signal)
    : exposed
    ? await bringNear(gathered, work.buildpacks, ctx.signal)
    : gathered;
  const filter = project && filterOf(project);
  const app = await prepareApp(request.app, work.app, ctx.signal, filter);
  for (const name of app.skipped) ctx.log.warn(`${name} is no file and was left out`);
  const projectEnv = Object.fromEntries(
    (project?.env ?? []).map(({ name, value }) => [name, value]),
  );
  await writePlatform(work.platform, {
    ...builder?.platformEnv,
    ...projectEnv,
    ...request.env,
  });
  await writeBindings(work.platform, request.bindings ?? {}, ctx.signal);
  await writeDependencies(work.platform, request.dependencies ?? [], ctx.signal);
  const kept = undo.move();
  return {
    work,
    placed: onOwnTree || placed !== undefined,
    layers: { inside: onOwnTree ? work.layers : "/layers", outside: work.layers },
    app: { inside: request.appDir, outside: work.app },
    order: near.order,
    orderExtensions: extensions.order,
    system: builder?.system,
    project: project && metadataOf(project),
    async enclose(target, entered = builder) {
      if (entered === undefined || entered.tree === builder?.tree || placed === undefined) {
        return await enclose(request, entered, work, near, extensions, target);
      }
      const moved = await moveInto(entered.tree, request, work, near);
      const none = { ...extensions, near: [] };
      return await enclose(request, entered, moved.work, moved.gathered, none, target);
    },
    [Symbol.asyncDispose]: async () => await kept.disposeAsync(),
  };
}

/** Copies of the buildpacks that the builder does not bring, where it would have them. */
async function bringInside(
  gathered: Gathered,
  { builder }: SiteRequest,
  placed: Placed,
  signal: AbortSignal,
): Promise<Gathered> {
  const own = new Set(builder?.buildpacks.map(({ dir }) => dir.outside));
  return await withDirs(gathered, async ({ dir }) => {
    if (own.has(dir.outside)) return dir.outside;
    const copy = await placed.place(dir.inside);
    await prepareApp(dir.outside, copy, signal);
    return copy;
  });
}

/** What lies in the builder's root moves to its copy, which is removed as a whole. */
async function moveInto(
  tree: string,
  { appDir, builder, machine }: SiteRequest,
  work: WorkDir,
  gathered: Gathered,
): Promise<{ readonly work: WorkDir; readonly gathered: Gathered }> {
  const placed = placeInside(tree, machine.helper);
  const move = async ({ inside, outside }: Dir) => {
    const path = await placed.place(inside);
    await Deno.rename(outside, path);
    return path;
  };
  const own = new Set(builder?.buildpacks.map(({ dir }) => dir.outside));
  return {
    work: {
      ...work,
      layers: await move({ inside: "/layers", outside: work.layers }),
      app: await move({ inside: appDir, outside: work.app }),
      platform: await move({ inside: "/platform", outside: work.platform }),
      temp: await move({ inside: "/cnb/plans", outside: work.temp }),
    },
    gathered: await withDirs(
      gathered,
      async ({ dir }) => own.has(dir.outside) ? dir.outside : await move(dir),
    ),
  };
}

async function enclose(
  request: SiteRequest,
  entered: BuilderRoot | undefined,
  work: WorkDir,
  gathered: Gathered,
  extensions: GatheredExtensions,
  target: RunTarget,
): Promise<Enclosure> {
  const sandbox = await raiseWalls(request, entered, work, [...gathered.all, ...extensions.near]);
  const seen = (outside: string): Dir => {
    const { inside } = sandbox.plan.dirs.find((one) => one.outside === outside)!;
    return { inside, outside };
  };
  const { machine, builder, dependencies = [] } = request;
  await writeMapping(work.platform, seen(work.platform).inside, dependencies);
  // Those of the builder lie where it has them.
  const own = new Set(builder?.buildpacks.map(({ dir }) => dir.outside));
  const input: BuildpackInput = {
    platformApi: request.platformApi,
    store: {
      find: (id, version) => {
        const found = gathered.store.find(id, version);
        if (found === undefined || own.has(found.dir.outside)) return found;
        return { ...found, dir: seen(found.dir.outside) };
      },
    },
    extensionStore: {
      find: (id, version) => {
        const found = extensions.store.find(id, version);
        if (found === undefined || !extensions.near.includes(found)) return found;
        return { ...found, dir: seen(found.dir.outside) };
      },
    },
    executor: sandbox,
    appDir: seen(work.app),
    layersDir: seen(work.layers),
    platformDir: seen(work.platform),
    tempDir: seen(work.temp),
    buildConfigDir: entered?.buildConfig,
    env: {
      ...(entered ? enteredEnv(entered.env, machine.env) : machine.env),
      HOME: sandbox.plan.home,
    },
    execEnv: request.execEnv,
    target,
    buildDistro: entered ? entered.distro : await readDistro("/etc/os-release"),
    // Where buildpacks run under another user of this machine, what we make for them must be theirs.
    ...(sandbox.plan.owner ? { owner: sandbox.plan.owner } : {}),
  };
  return {
    sandbox,
    input,
    [Symbol.asyncDispose]: async () => await sandbox[Symbol.asyncDispose](),
  };
}

/** A builder brings its own variables; of the machine's only the ways out of its network mean anything in there. */
function enteredEnv(
  builder: Readonly<Record<string, string>>,
  machine: Readonly<Record<string, string>>,
): Record<string, string> {
  const proxies = Object.entries(machine).filter(([name]) => /^(https?|no)_proxy$/i.test(name));
  return { PATH: STANDARD_PATH, ...builder, ...Object.fromEntries(proxies) };
}

const STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

async function raiseWalls(
  request: SiteRequest,
  entered: BuilderRoot | undefined,
  work: WorkDir,
  buildpacks: readonly { readonly dir: Dir }[],
): Promise<Sandbox> {
  const { machine, owner, builder } = request;
  const own = new Set(builder?.buildpacks.map(({ dir }) => dir.outside));
  const dirs: readonly SandboxDir[] = [
    { outside: work.layers, inside: "/layers", access: "rw" },
    { outside: work.app, inside: request.appDir, access: "rw" },
    { outside: work.platform, inside: "/platform", access: "ro" },
    { outside: work.temp, inside: "/cnb/plans", access: "rw" },
    ...buildpacks.filter(({ dir }) => !own.has(dir.outside))
      .map(({ dir }) => ({ ...dir, access: "ro" as const })),
    ...request.volumes ?? [],
  ];
  if (entered !== undefined) return await enterBuilder(request, entered, work, dirs);
  return await prepareInPlace({
    helper: machine.helper,
    cgroup: machine.group?.path,
    scratchDir: work.path,
    dirs,
    ...owner,
    path: machine.env["PATH"] ?? STANDARD_PATH,
    ...(machine.home === undefined ? {} : { home: machine.home }),
    hide: machine.hide,
    ...(machine.network === undefined ? {} : { network: machine.network }),
    ...(machine.allowRootBuild === undefined ? {} : { allowRootBuild: machine.allowRootBuild }),
  });
}

async function enterBuilder(
  request: SiteRequest,
  builder: BuilderRoot,
  work: WorkDir,
  dirs: readonly SandboxDir[],
): Promise<Sandbox> {
  const { machine } = request;
  const { helper, network } = machine;
  const cgroup = machine.group?.path;
  const common = { helper, cgroup, scratchDir: work.path, dirs, ...request.owner };
  const { mode } = builder.entry;
  if (mode === "namespaces") {
    const { tree, held, entry: { owner } } = builder;
    return await prepareRoot({ ...common, tree, held, owner, root: "read-only", network });
  }
  if (request.volumes?.length) {
    throw new LifecycleError(
      ExitCode.arguments,
      `Cannot use --volume with --isolation ${mode}: nothing can be mounted`,
    );
  }
  if (network === "none") {
    throw new LifecycleError(
      ExitCode.arguments,
      `Cannot use --network none with --isolation ${mode}: it takes namespaces`,
    );
  }
  if (mode === "chroot") return await prepareChroot({ ...common, tree: builder.tree });
  const modules = [...builder.buildpacks, ...builder.extensions];
  const shown = [...modules.map(({ dir }) => dir), builder.buildConfig].filter((dir) =>
    dir !== undefined
  );
  const sandbox = await prepareInPlace({
    ...common,
    dirs: [...dirs, ...shown.map((dir) => ({ ...dir, access: "ro" as const }))],
    mode: "direct",
    path: builder.env["PATH"] ?? STANDARD_PATH,
    ...(machine.home === undefined ? {} : { home: machine.home }),
    hide: machine.hide,
  });
  const describe = sandbox.describe.replace(
    /^in-place, on this machine's own tree/,
    "takeover, the builder unpacked over this container",
  );
  return { ...sandbox, describe };
}

/** `<platform>/env/<NAME>`, one file a variable, contents verbatim (ENV-3). */
async function writePlatform(dir: string, env: Readonly<Record<string, string>>): Promise<void> {
  await Deno.mkdir(join(dir, "env"));
  for (const [name, value] of Object.entries(env)) {
    await Deno.writeTextFile(join(dir, "env", name), value);
  }
}

/** `<platform>/bindings/<name>/<entry>`, as copies: the originals stay out of reach. */
async function writeBindings(
  dir: string,
  bindings: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  for (const [name, from] of Object.entries(bindings)) {
    const stat = await Deno.stat(from).catch(() => undefined);
    if (!stat?.isDirectory) {
      throw new LifecycleError(
        ExitCode.arguments,
        `Cannot use binding ${JSON.stringify(name)}: ${from} is not a directory`,
      );
    }
    const into = join(dir, "bindings", name);
    await Deno.mkdir(into, { recursive: true });
    await prepareApp(from, into, signal);
  }
}
