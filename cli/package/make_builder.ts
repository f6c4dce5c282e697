/** `wherry builder create`. */
import { dirname, join, resolve } from "node:path";
import type { Image } from "../../registry/image.ts";
import type { Platform } from "../../registry/oci/descriptor.ts";
import { formatPlatform } from "../../registry/oci/platform.ts";
import { walkTree } from "../../registry/layer/tree.ts";
import { untarTo } from "../../registry/layer/extract.ts";
import { type BuilderDescriptor, parseBuilderToml } from "../../lifecycle/file/builder_toml.ts";
import { readDocument } from "../../lifecycle/file/document.ts";
import {
  type BuilderLifecycle,
  createBuilder,
} from "../../lifecycle/platform/package/create_builder.ts";
import { readLifecycleToml } from "../../lifecycle/platform/package/lifecycle_toml.ts";
import {
  type FoundModule,
  locateModule,
  withoutTwins,
} from "../../lifecycle/platform/package/locate.ts";
import { keyOf, type ModuleKind } from "../../lifecycle/platform/package/module.ts";
import { type Destination, readDestination, refuseSeveral } from "../destination.ts";
import { isAddress } from "../../lifecycle/platform/address.ts";
import { downloadFile } from "../download.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import { readPlace } from "../places.ts";
import { suits } from "../platform.ts";
import { Session } from "../session.ts";
import { VERSION } from "../version.ts";
import type { BuilderFlags } from "./builder_flags.ts";
import { changeBuilder, SCRATCH } from "./change_builder.ts";
import { unpackFlattened } from "./flatten.ts";
import { putImages } from "./image_output.ts";
import { collectLabels } from "./labels.ts";
import { openPart } from "./part_image.ts";
import { ownLifecycle } from "./own_lifecycle.ts";
import { moduleSources } from "./sources.ts";
import { parseTarget, platformsOf } from "./targets.ts";

/** Makes a builder for each platform, or changes one. */
export async function makeBuilder(io: Io, name: string, flags: BuilderFlags): Promise<void> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  if ((flags.config === undefined) === (flags.from === undefined)) {
    throw new UsageError(
      "Cannot make a builder: want either --config builder.toml or --from BUILDER",
    );
  }
  const destination = await readDestination(session, name, flags);
  collectLabels(flags.label);
  if (flags.appendImageNameSuffix && destination.references.length === 0) {
    throw new UsageError(`Cannot append a suffix to ${name}: want the name of an image`);
  }
  await session.lendStore();
  const store = await session.store();
  stack.use(await store.lease());
  const images = flags.from === undefined
    ? await fromConfig(session, destination, flags, stack)
    : await changeBuilder(session, destination, flags.from, flags, stack);
  if (flags.appendImageNameSuffix) await putSuffixed(session, name, images, flags);
  const put = await putImages(session, destination, images, flags.publish);
  session.log.info(`Successfully created builder image ${put.name}`);
  io.stdout.write(
    flags.output === "json"
      ? JSON.stringify(
        {
          name: put.name,
          digest: put.digest,
          platforms: images.map(({ config, raw }) => ({
            platform: formatPlatform(config),
            digest: raw.digest,
          })),
        },
        null,
        2,
      ) + "\n"
      : `${put.repositoryName}@${put.digest}\n`,
  );
}

/** Each platform under a tag of its own, for registries whose tags never move. */
async function putSuffixed(
  session: Session,
  name: string,
  images: readonly Image[],
  flags: BuilderFlags,
): Promise<void> {
  for (const image of images) {
    const { os, architecture, variant } = image.config;
    const suffix = [os, architecture, ...(variant ? [variant] : [])].join("-");
    const base = name.includes(":", name.lastIndexOf("/") + 1) ? name : `${name}:latest`;
    const own = await readDestination(session, `${base}-${suffix}`, { publish: flags.publish });
    await putImages(session, own, [image], flags.publish);
  }
}

async function fromConfig(
  session: Session,
  destination: Destination,
  flags: BuilderFlags,
  stack: AsyncDisposableStack,
): Promise<readonly Image[]> {
  const file = session.path(flags.config!);
  const descriptor = await readDocument(file, parseBuilderToml);
  if (descriptor === undefined) throw new UsageError(`Cannot read --config ${file}: no such file`);
  if (descriptor.buildImage === "") {
    throw new UsageError(`Cannot make a builder of ${file}: build.image is missing`);
  }
  for (const name of descriptor.runImages.flatMap(({ image, mirrors }) => [image, ...mirrors])) {
    if (name === "" || readPlace(name).kind === "registry") continue; // images keep it for their rebase
    throw new UsageError(
      `Cannot use run image ${
        JSON.stringify(name)
      } of ${file}: want the name of an image, as its registry or the store has it`,
    );
  }
  if (descriptor.order.length === 0) {
    throw new UsageError(`Cannot make a builder of ${file}: it has no [[order]]`);
  }
  if ((flags.buildpack?.length ?? 0) > 0) {
    throw new UsageError("Cannot use --buildpack with --config: it goes with --from");
  }
  const asked = (flags.target ?? []).map(parseTarget);
  const platforms = platformsOf(asked.length > 0 ? asked : descriptor.targets);
  refuseSeveral(destination, platforms.length);
  // What is missing for the last platform is told before anything is made for the first.
  if (platforms.length > 1 && descriptor.lifecycle.uri === "") {
    const own = (flags.lifecycle ?? []).map((one) => session.path(one));
    for (const { platform } of platforms) ownLifecycle(platform.architecture, own);
  }
  const images: Image[] = [];
  for (const { platform } of platforms) {
    images.push(await forPlatform(session, file, descriptor, platform, flags, stack));
  }
  return images;
}

async function forPlatform(
  session: Session,
  file: string,
  descriptor: BuilderDescriptor,
  platform: Platform,
  flags: BuilderFlags,
  stack: AsyncDisposableStack,
): Promise<Image> {
  const policy = flags.pullPolicy;
  const cwd = dirname(file);
  const base = await openPart(session, placeNear(cwd, descriptor.buildImage), {
    platform,
    policy,
    stack,
  });
  const seen = formatPlatform(base.config);
  if (!suits(base.config, platform)) {
    throw new UsageError(
      `Cannot make a builder for ${
        formatPlatform(platform)
      }: build image ${descriptor.buildImage} is ${seen}`,
    );
  }
  const sources = await moduleSources(session, flags, { cwd, platform, stack });
  const modules: FoundModule[] = [];
  const find = async (
    wanted: BuilderDescriptor["buildpacks"][number],
    kind: ModuleKind,
    key: string,
  ) => {
    const { id, version } = wanted;
    const uri = wanted.uri || `urn:cnb:registry:${id}${version && `@${version}`}`;
    const { main, modules: found } = await locateModule(uri, sources, kind);
    if (
      main.kind !== kind || (id !== "" && id !== main.id) ||
      (version !== "" && version !== main.version)
    ) {
      throw new UsageError(
        `Cannot use ${key} ${JSON.stringify(uri)} of ${file}: it is ${main.kind} ${
          keyOf(main)
        }, want ${kind} ${id}${version && `@${version}`}`,
      );
    }
    modules.push(...found);
  };
  for (const [at, one] of descriptor.buildpacks.entries()) {
    await find(one, "buildpack", `buildpacks[${at}].uri`);
  }
  for (const [at, one] of descriptor.extensions.entries()) {
    await find(one, "extension", `extensions[${at}].uri`);
  }
  const flatten = (flags.flatten ?? []).map((list) =>
    list.split(",").filter((word) => word !== "")
  );
  return await createBuilder({
    descriptor,
    base,
    baseName: descriptor.buildImage,
    modules: await unpackFlattened(
      withoutTwins(modules),
      flatten.flat(),
      sources.scratch,
      session.ctx.signal,
    ),
    lifecycle: await lifecycleOf(session, descriptor, cwd, sources.scratch, platform, flags),
    labels: collectLabels(flags.label),
    flatten,
    createdBy: { name: "wherry", version: VERSION },
    place: { store: await session.store(), repository: SCRATCH },
  }, session.ctx);
}

/** A layout or archive that `builder.toml` names is relative to it, as everything else in it is. */
function placeNear(cwd: string, name: string): string {
  const match = /^(oci|oci-archive|docker-archive):([^/].*)$/.exec(name);
  return match === null ? name : `${match[1]}:${join(cwd, match[2]!)}`;
}

/** What `[lifecycle]` asks for: an archive or directory as the project publishes them; without it, wherry. */
async function lifecycleOf(
  session: Session,
  { lifecycle: { uri, version } }: BuilderDescriptor,
  cwd: string,
  scratch: string,
  platform: Platform,
  flags: BuilderFlags,
): Promise<BuilderLifecycle> {
  if (uri === "") {
    if (version !== "") {
      session.log.warn(
        `lifecycle.version ${version} is not downloaded: the builder gets wherry ${VERSION} (want lifecycle.uri for another)`,
      );
    }
    return ownLifecycle(
      platform.architecture,
      (flags.lifecycle ?? []).map((file) => session.path(file)),
    );
  }
  const path = isAddress(uri)
    ? await downloadFile(session, uri, flags.pullPolicy)
    : resolve(cwd, uri.replace(/^file:\/\//, ""));
  const stat = await Deno.stat(path).catch(() => undefined);
  if (stat === undefined) throw new UsageError(`Cannot use lifecycle.uri ${path}: no such file`);
  let dir = path;
  if (!stat.isDirectory) {
    dir = join(scratch, `lifecycle-${crypto.randomUUID().slice(0, 8)}`);
    await Deno.mkdir(dir);
    using opened = await Deno.open(path);
    await untarTo(dir, opened.readable);
  }
  const described = await readLifecycleToml(join(dir, "lifecycle.toml"));
  const outside = join(dir, "lifecycle");
  return {
    ...described,
    entries: function* () {
      for (
        const entry of walkTree({ outside, inside: "/cnb/lifecycle" }, {
          owner: { uid: 0, gid: 0 },
        })
      ) yield { ...entry, mode: entry.type === "symlink" ? 0o777 : 0o755 };
      yield {
        uid: 0,
        gid: 0,
        name: "/lifecycle",
        type: "symlink",
        mode: 0o777,
        size: 0,
        linkName: "/cnb/lifecycle",
      };
    },
  };
}
