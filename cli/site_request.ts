/** Turns the flags about app and buildpacks into a request of the platform. */
import { join } from "node:path";
import type { SiteRequest } from "../lifecycle/platform/build_site_types.ts";
import { findProject } from "../lifecycle/platform/project.ts";
import { type BuildGroup, openGroup } from "../lifecycle/sandbox/cgroup.ts";
import { helperPath } from "./assets.ts";
import { readEnvFlags } from "./build_env.ts";
import { flaggedCerts } from "./ca_certs.ts";
import { credentialPaths } from "./credential_paths.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import { platformOf } from "./platform.ts";
import type { Session } from "./session.ts";
import type { SiteFlags } from "./site_flags.ts";
import {
  bindingsOf,
  CNB_DIRS,
  DEFAULT_ID,
  readId,
  readWorkspace,
  refuseAbsent,
  volumesOf,
} from "./site_words.ts";
import { parseSize } from "./ui/size.ts";

/** The platform API our images are made for. */
const PLATFORM_API = "0.15";

/**
 * What `flags` ask for.
 *
 * @throws {UsageError} For a flag that makes no sense.
 */
export async function siteRequest(
  session: Session,
  flags: SiteFlags,
  stack: AsyncDisposableStack,
): Promise<SiteRequest> {
  const { io } = session;
  const workspace = readWorkspace(flags.workspace);
  if (flags.order !== undefined && flags.buildpack !== undefined) {
    throw new UsageError("Cannot use --order and --buildpack at once: want one of them");
  }
  if (!/^[\w.-]+$/.test(flags.execEnv)) {
    throw new UsageError(
      `Cannot use --exec-env ${JSON.stringify(flags.execEnv)}: want letters, digits, "." and "-"`,
    );
  }
  const platform = platformOf(flags);
  const volumes = await volumesOf(session, flags.volume ?? [], [...CNB_DIRS, workspace]);
  const env = await readEnvFlags(io, flags);
  const bindings = await bindingsOf(session, flags.binding ?? []);
  const uid = readId("--uid", flags.uid);
  refuseRoot(uid, flags);
  const gid = readId("--gid", flags.gid);
  if (gid === 0) session.log.warn("--gid 0: buildpacks are members of the group root");
  await refuseAbsent(session, flags);
  const group = await groupOf(session, flags, stack);
  const dependencies = await session.dependencies();
  const name = await builderName(session, flags);
  if (name === undefined && !/^(auto|in-place)$/.test(flags.isolation)) {
    throw new UsageError(
      `Cannot use --isolation ${flags.isolation} without a builder to enter: want --builder NAME, or auto or in-place`,
    );
  }
  // All words are good: the work begins.
  const { openBuilder, packageOpener } = await import("./open_builder.ts");
  const builder = name === undefined ? undefined : await openBuilder(session, name, flags, stack);
  const idOf = (variable: string) => readId(variable, builder ? undefined : io.env[variable]);
  const owner = {
    uid: uid ?? builder?.owner.uid ?? idOf("CNB_USER_ID") ?? DEFAULT_ID,
    gid: gid ?? builder?.owner.gid ?? idOf("CNB_GROUP_ID") ?? DEFAULT_ID,
  };
  refuseRoot(owner.uid, flags, " of CNB_USER_ID");
  return {
    platformApi: PLATFORM_API,
    builder,
    extensions: {
      named: flags.extension ?? [],
      dir: builder ? undefined : io.env["CNB_EXTENSIONS_DIR"] ?? "/cnb/extensions",
    },
    around: { pre: flags.preBuildpack ?? [], post: flags.postBuildpack ?? [] },
    openPackage: packageOpener(session, flags, platform, stack),
    download: async (url) =>
      await (await import("./download.ts")).downloadFile(session, url, flags.pullPolicy),
    volumes,
    app: session.path(flags.path),
    appDir: workspace,
    buildpacks: {
      named: flags.buildpack ?? [],
      platform,
      orderFile: flags.order ?? (builder ? undefined : await defaultOrder(io)),
      dir: flags.buildpacks !== undefined
        ? session.path(flags.buildpacks)
        : builder
        ? undefined
        : io.env["CNB_BUILDPACKS_DIR"] ?? "/cnb/buildpacks",
      cwd: io.cwd,
    },
    descriptor: flags.descriptor && session.path(flags.descriptor),
    env,
    bindings,
    caCerts: flaggedCerts(io.cwd, flags),
    dependencies,
    machine: {
      helper: helperPath(),
      env: io.env,
      workDirs: workParents(session),
      home: io.env["HOME"],
      hide: [session.storeDir(), ...credentialPaths(io.env)],
      group,
      network: flags.network as "host" | "none" | undefined,
      allowRootBuild: flags.allowRootBuild,
    },
    owner,
    execEnv: flags.execEnv,
  };
}

/** As phases of the lifecycle refuse it (PRIV-1). */
function refuseRoot(uid: number | undefined, { allowRootBuild }: SiteFlags, of = ""): void {
  if (uid !== 0 || allowRootBuild) return;
  throw new UsageError(
    `Cannot use user 0${of}: buildpacks do not run as root; want another --uid, or --allow-root-build`,
  );
}

/** A control group for what buildpacks run, where there can be one. */
async function groupOf(
  { ctx }: Session,
  { memory }: SiteFlags,
  stack: AsyncDisposableStack,
): Promise<BuildGroup | undefined> {
  const most = memory === undefined ? undefined : parseSize(memory, "--memory");
  const group = await openGroup({ memory: most });
  if (!("reason" in group)) return stack.use(group);
  if (most !== undefined) throw new UsageError(`Cannot use --memory: ${group.reason}`);
  ctx.log.debug(`memory of buildpacks is not measured: ${group.reason}`);
  return undefined;
}

/** `--builder`, else what the descriptor says; none for `--isolation in-place`. */
async function builderName(session: Session, flags: SiteFlags): Promise<string | undefined> {
  const descriptor = flags.descriptor && session.path(flags.descriptor);
  const found = await findProject(descriptor, session.path(flags.path), flags.execEnv);
  if (flags.isolation !== "in-place") return flags.builder ?? (found?.project.builder || undefined);
  if (flags.builder === undefined) return undefined;
  throw new UsageError(
    "Cannot use --isolation in-place with --builder: it builds with the machine it is on; run it in a container of the builder image, without --builder",
  );
}

async function defaultOrder(io: Io): Promise<string | undefined> {
  const path = io.env["CNB_ORDER_PATH"] ?? "/cnb/order.toml";
  const stat = await Deno.stat(path).catch(() => undefined);
  return stat?.isFile ? path : undefined;
}

/**
 * Beside the store: same disk, so that large layers are never squeezed into a small /tmp. Where root has to build as
 * another user on the machine's own tree, that user must get there, which a store in /root forbids.
 */
function workParents(session: Session): readonly [string, ...string[]] {
  const { TMPDIR } = session.io.env;
  const shared = [...(TMPDIR?.startsWith("/") ? [TMPDIR] : []), "/var/tmp", "/tmp"];
  return [join(session.storeDir(), "work"), ...shared];
}
