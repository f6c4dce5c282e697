/** Where buildpacks are run: the app, the buildpacks and the walls around them, made ready for detect and build. */
import { dirname, join } from "node:path";
import type { Context } from "../../registry/context.ts";
import { chooseNamespaces } from "../sandbox/probe.ts";
import { probeMachine } from "../sandbox/probe_machine.ts";
import { removeTrees } from "../sandbox/trees.ts";
import { prepareApp } from "./app_source.ts";
import type { Site, SiteRequest } from "./build_site_types.ts";
import { writeDependencies } from "./bundle_dependencies.ts";
import { gatherBuildpacks } from "./buildpack_source.ts";
import { bringNear } from "./gathered.ts";
import { gatherExtensions } from "./extension_source.ts";
import { takeFirst } from "./own_place.ts";
import { isPassable } from "./passable.ts";
import { journalOf, placeInside } from "./place_inside.ts";
import { filterOf, findProject, metadataOf, wantedOf } from "./project.ts";
import { bringInside, moveInto } from "./site_places.ts";
import { writeBindings, writeCertificates, writePlatform } from "./site_platform.ts";
import { enclose } from "./site_walls.ts";
import { openWorkDir, type WorkDir } from "./work_dir.ts";

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
    download: request.download,
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
    openPackage: request.openPackage,
    download: request.download,
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
  await writeCertificates(work.platform, request.caCerts ?? []);
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
