/** Turns the flags about app and buildpacks into a request of the platform. */
import { join, normalize } from "node:path";
import type { SiteRequest } from "../lifecycle/platform/build_site_types.ts";
import { findProject } from "../lifecycle/platform/project.ts";
import { type BuildGroup, openGroup } from "../lifecycle/sandbox/cgroup.ts";
import type { SandboxDir } from "../lifecycle/sandbox/in_place.ts";
import { helperPath } from "./assets.ts";
import { readEnvFlags } from "./build_env.ts";
import { credentialPaths } from "./credential_paths.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import { platformOf } from "./platform.ts";
import type { Session } from "./session.ts";
import type { SiteFlags } from "./site_flags.ts";
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
  if (!/^\/[^/]/.test(flags.workspace)) {
    throw new UsageError(
      `Cannot use --workspace ${JSON.stringify(flags.workspace)}: want an absolute path below /`,
    );
  }
  if (flags.order !== undefined && flags.buildpack !== undefined) {
    throw new UsageError("Cannot use --order and --buildpack at once: want one of them");
  }
  const platform = platformOf(flags);
  const name = await builderName(session, flags);
  const { openBuilder, packageOpener } = await import("./open_builder.ts");
  const builder = name === undefined ? undefined : await openBuilder(session, name, flags, stack);
  if (builder === undefined && !/^(auto|in-place)$/.test(flags.isolation)) {
    throw new UsageError(
      `Cannot use --isolation ${flags.isolation} without a builder to enter: want --builder NAME, or auto or in-place`,
    );
  }
  const given = (variable: string) => builder ? undefined : io.env[variable];
  const owner = builder?.owner;
  return {
    platformApi: PLATFORM_API,
    builder,
    extensions: {
      named: flags.extension ?? [],
      dir: builder ? undefined : io.env["CNB_EXTENSIONS_DIR"] ?? "/cnb/extensions",
    },
    around: { pre: flags.preBuildpack ?? [], post: flags.postBuildpack ?? [] },
    openPackage: packageOpener(session, flags, platform, stack),
    volumes: await volumesOf(session, flags.volume ?? [], [...CNB_DIRS, flags.workspace]),
    app: session.path(flags.path),
    appDir: flags.workspace,
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
    env: await readEnvFlags(io, flags),
    bindings: bindingsOf(session, flags),
    dependencies: await session.dependencies(),
    machine: {
      helper: helperPath(),
      env: io.env,
      workDirs: workParents(session),
      home: io.env["HOME"],
      hide: [session.storeDir(), ...credentialPaths(io.env)],
      group: await groupOf(session, flags, stack),
      network: flags.network as "host" | "none" | undefined,
      allowRootBuild: flags.allowRootBuild,
    },
    owner: {
      uid: readId("--uid", flags.uid, owner ? `${owner.uid}` : given("CNB_USER_ID")),
      gid: readId("--gid", flags.gid, owner ? `${owner.gid}` : given("CNB_GROUP_ID")),
    },
    execEnv: flags.execEnv,
  };
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
  if (flags.isolation === "in-place") {
    if (flags.builder === undefined) return undefined;
    throw new UsageError(
      "Cannot use --isolation in-place with --builder: in-place builds with this machine as it is",
    );
  }
  if (flags.builder !== undefined) return flags.builder;
  const descriptor = flags.descriptor && session.path(flags.descriptor);
  const found = await findProject(descriptor, session.path(flags.path), flags.execEnv).catch(
    () => undefined, // whoever reads it next says what is wrong with it
  );
  return found?.project.builder || undefined;
}

/** Where volumes would hide what builds are made of. */
const CNB_DIRS = ["/cnb", "/layers", "/platform"];

/** `--volume HOST:TARGET[:ro|rw]`, as pack has it; none may cover one of `taken`. */
export async function volumesOf(
  session: Session,
  texts: readonly string[],
  taken: readonly string[],
): Promise<readonly SandboxDir[]> {
  return await Promise.all(texts.map(async (text): Promise<SandboxDir> => {
    const bad = (why: string) =>
      new UsageError(`Cannot use --volume ${JSON.stringify(text)}: ${why}`);
    const [, host = "", target = "", mode = "ro"] = /^([^:]+):(\/[^:]*)(?::(ro|rw))?$/.exec(text) ??
      [];
    if (host === "") throw bad("want HOST:TARGET, HOST:TARGET:ro or HOST:TARGET:rw");
    const inside = normalize(target).replace(/(?<=.)\/$/, "");
    const covered = ["/", "/proc", "/sys", "/dev", ...taken].find((dir) =>
      inside === dir || (dir !== "/" && inside.startsWith(`${dir}/`))
    );
    if (covered !== undefined) throw bad(`it would cover ${covered}`);
    const outside = await Deno.realPath(session.path(host)).catch(() => {
      throw bad(`${host} is not there`);
    });
    return { inside, outside, access: mode === "rw" ? "rw" : "ro", foreign: true };
  }));
}

function bindingsOf(session: Session, flags: SiteFlags): Readonly<Record<string, string>> {
  return Object.fromEntries((flags.binding ?? []).map((text) => {
    const at = text.indexOf("=");
    const name = text.slice(0, Math.max(at, 0));
    if (!/^[\w.-]+$/.test(name) || /^\.+$/.test(name) || at === text.length - 1) {
      throw new UsageError(`Cannot use --binding ${JSON.stringify(text)}: want NAME=DIR`);
    }
    return [name, session.path(text.slice(at + 1))];
  }));
}

/** `--uid`, else the build image's own variable, else 1000: never who happens to run us. */
function readId(flag: string, given: string | undefined, fromImage: string | undefined): number {
  const text = given ?? fromImage ?? "1000";
  const id = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (id < 2 ** 31) return id;
  throw new UsageError(
    `Cannot use ${flag} ${JSON.stringify(text)}: want a number from 0 to 2147483647`,
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
