/** The walls around buildpacks, and what those inside are told about where things are. */
import { ExitCode, LifecycleError } from "../error.ts";
import type { BuildpackInput, RunTarget } from "../phase/detect_types.ts";
import { prepareChroot } from "../sandbox/chroot.ts";
import type { Dir } from "../sandbox/executor.ts";
import { prepareInPlace, type Sandbox, type SandboxDir } from "../sandbox/in_place.ts";
import { prepareRoot } from "../sandbox/root.ts";
import type { Enclosure, SiteRequest } from "./build_site_types.ts";
import type { BuilderRoot } from "./builder_root.ts";
import { writeMapping } from "./bundle_dependencies.ts";
import { proxiesOf } from "./proxies.ts";
import type { Gathered } from "./gathered.ts";
import { readDistro } from "./distro.ts";
import type { GatheredExtensions } from "./extension_source.ts";
import type { WorkDir } from "./work_dir.ts";

/**
 * Makes the walls around a site.
 *
 * @param entered The builder as extensions made it; `undefined` for this machine.
 * @throws {Error} When they cannot be made.
 */
export async function enclose(
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
    // A builder brings its own variables; of the machine's only the ways out of its network mean anything in there.
    env: {
      ...(entered ? { PATH: STANDARD_PATH, ...entered.env } : machine.env),
      ...proxiesOf(machine.env),
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
    leavesScratch: true,
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
    return await prepareRoot({
      ...common,
      ...{ tree, held, owner, root: "read-only", network, leavesScratch: true },
    });
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
    leavesScratch: true,
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
