/** What `wherry relaunch` does. */
import { bomLayer } from "../lifecycle/bom/document.ts";
import { ExitCode, LifecycleError } from "../lifecycle/error.ts";
import {
  launcherMetadata,
  launcherSbomEntries,
  relaunchImage,
} from "../lifecycle/platform/relaunch.ts";
import { describeImage } from "../lifecycle/platform/image_info.ts";
import {
  encodeJson,
  type Image,
  type Layer,
  pushContents,
  pushImage,
  readImage,
} from "../registry/image.ts";
import type { TreeEntry } from "../registry/layer/entry.ts";
import { launcherLayer } from "../registry/layer/fixed_layers.ts";
import { hashLayer, uploadLayer, writeLayer } from "../registry/layer/write_layer.ts";
import { digestOf } from "../registry/oci/digest.ts";
import { parseDocument } from "../registry/oci/manifest.ts";
import { isManifestType } from "../registry/oci/media_type.ts";
import { launcherBytes } from "./assets.ts";
import type { CommonFlags } from "./common.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import type { OutputFormat } from "./output.ts";
import { inRegistry, inStore, layout, readPlace, type Writable } from "./places.ts";
import { machinePlatform } from "./platform.ts";
import { Session } from "./session.ts";
import { VERSION } from "./version.ts";

/** Flags of `wherry relaunch`. */
export interface RelaunchFlags extends CommonFlags {
  readonly publish?: boolean;
  readonly dryRun?: boolean;
  readonly output: OutputFormat;
}

/** What became of one image. */
interface Relaunched {
  readonly image: string;
  readonly old: string;
  readonly new: string;
  readonly decision: "relaunched" | "would relaunch" | "current";
  readonly launcher: { readonly old: string; readonly new: string };
}

/** Replaces the launcher of each image, in place. The first failure ends the command; those before it are done. */
export async function relaunch(
  io: Io,
  names: readonly string[],
  flags: RelaunchFlags,
): Promise<void> {
  await using session = new Session(io, flags);
  for (const name of names) {
    const target = await locate(session, name, flags);
    const result = await relaunchOne(session, name, target, flags);
    const { decision, launcher: { old, new: now } } = result;
    session.log.info(
      decision === "current"
        ? `${name} has launcher ${now} already: nothing to do`
        : `${decision === "relaunched" ? "Relaunched" : "Would relaunch"} ${name}: launcher ${
          old || "of an unknown version"
        } -> ${now}`,
    );
    io.stdout.write(
      flags.output === "json"
        ? JSON.stringify(result) + "\n"
        : `${target.repositoryName}@${result.new}\n`,
    );
  }
}

async function locate(
  session: Session,
  name: string,
  { publish }: RelaunchFlags,
): Promise<Writable> {
  const place = readPlace(name);
  switch (place.kind) {
    case "registry":
      return publish
        ? await inRegistry(session, place.reference)
        : await inStore(session, place.reference);
    case "store":
      return await inStore(session, place.reference);
    case "oci":
      return await layout(session, place, false);
    default:
      throw new UsageError(
        `Cannot relaunch ${name}: an archive is written in one piece; want a name, store:NAME or oci:DIR`,
      );
  }
}

async function relaunchOne(
  session: Session,
  name: string,
  target: Writable,
  { dryRun = false, publish }: RelaunchFlags,
): Promise<Relaunched> {
  const { registry, repository, reference } = target;
  const { signal } = session.ctx;
  await using _lease = registry.name === "store"
    ? await (await session.store()).lease()
    : undefined;
  const raw = await registry.manifest(repository, reference, { signal });
  if (raw === undefined) {
    const hint = registry.name === "store" && !publish
      ? "; want --publish for the image of the registry"
      : "";
    throw new LifecycleError(ExitCode.rebase, `Cannot find ${name} in ${registry.name}${hint}`);
  }
  const document = parseDocument(raw.bytes, raw.mediaType);
  const tags = reference.includes(":") ? [] : [reference];
  // Nobody's change is lost: the tag moves only from where it was read.
  const expect = tags.map((tag) => ({ tag, is: [raw.digest] }));
  const say = (made: string, launcher: Relaunched["launcher"]): Relaunched => ({
    image: name,
    old: raw.digest,
    new: made,
    decision: made === raw.digest ? "current" : dryRun ? "would relaunch" : "relaunched",
    launcher,
  });
  if (document.kind === "manifest") {
    const { image, made, launcher } = await prepare(session, target, raw.digest, dryRun);
    if (made !== image && !dryRun) {
      await pushContents(made, registry, repository, { signal });
      await registry.pushManifest(repository, made.raw, { signal, tags, expect });
    }
    return say(made.raw.digest, launcher);
  }
  let launcher: Relaunched["launcher"] | undefined;
  const manifests = [];
  for (const child of document.index.manifests) {
    const isImage = isManifestType(child.mediaType) && child.platform?.os !== "unknown";
    if (!isImage) {
      manifests.push(child);
      continue;
    }
    const one = await prepare(session, target, child.digest, dryRun);
    launcher ??= one.launcher;
    if (one.made !== one.image && !dryRun) {
      await pushImage(one.made, registry, repository, { signal });
    }
    const { digest, bytes } = one.made.raw;
    manifests.push({ ...child, digest, size: bytes.byteLength });
  }
  if (launcher === undefined) {
    throw new LifecycleError(ExitCode.rebase, `Cannot relaunch ${name}: its index names no image`);
  }
  const changed = manifests.some((one, at) => one.digest !== document.index.manifests[at]!.digest);
  if (!changed) return say(raw.digest, launcher);
  const bytes = encodeJson({ ...document.index, manifests });
  if (dryRun) {
    return say(digestOf(bytes), launcher);
  }
  const { digest } = await registry.pushManifest(
    repository,
    { mediaType: raw.mediaType, bytes },
    { signal, tags, expect },
  );
  return say(digest, launcher);
}

async function prepare(
  session: Session,
  target: Writable,
  digest: string,
  dryRun: boolean,
): Promise<{
  readonly image: Image;
  readonly made: Image;
  readonly launcher: Relaunched["launcher"];
}> {
  const { signal } = session.ctx;
  const image = await readImage(
    target.registry,
    target.repository,
    digest,
    machinePlatform(),
    { signal },
  );
  if (image === undefined) {
    throw new LifecycleError(ExitCode.rebase, `Cannot find ${digest} of ${target.name}`);
  }
  const { metadata } = launcherMetadata(image);
  const { architecture } = image.config;
  if (architecture !== "amd64" && architecture !== "arm64") {
    throw new LifecycleError(
      ExitCode.arguments,
      `Cannot relaunch ${target.name}: there is a launcher for amd64 and arm64, it is for ${
        architecture || "none"
      }`,
    );
  }
  const put = (entries: readonly TreeEntry[], now: string) =>
    putLayer(session, target, image, entries, now, dryRun);
  const launcher = await put(launcherLayer(launcherBytes(architecture)), metadata.launcher.sha);
  const old = bomLayer(image, metadata);
  const entries = old && await launcherSbomEntries(old, ownDocument(), signal);
  const sbom = entries && await put(entries, metadata.sbom!.sha);
  const version = { version: VERSION, repository: "", commit: "" };
  const made = relaunchImage(image, { launcher, version, sbom });
  return { image, made, launcher: { old: describeImage(image).launcher_version, new: VERSION } };
}

/** Puts a layer into the place, unless the image has it already. */
async function putLayer(
  session: Session,
  { registry, repository }: Writable,
  image: Image,
  entries: readonly TreeEntry[],
  now: string,
  dryRun: boolean,
): Promise<Layer> {
  const { signal } = session.ctx;
  const { diffId } = await hashLayer(entries, { signal });
  const there = image.layers.find((layer) => layer.diffId === now);
  if (diffId === now && there !== undefined) return there;
  const blob = () => Promise.reject(new Error(`Cannot read layer ${diffId}: it was just written`));
  if (dryRun) {
    const chunks = { write: () => Promise.resolve() };
    const { descriptor } = await writeLayer(entries, chunks, { signal });
    return { diffId, descriptor, blob };
  }
  const upload = await registry.upload(repository, { signal });
  try {
    const { descriptor } = await uploadLayer(entries, upload, { signal });
    return { diffId, descriptor, blob, origin: { registry, repository } };
  } catch (error) {
    await upload.abort();
    throw error;
  }
}

/** What our launcher is made of: itself. */
function ownDocument(): Uint8Array<ArrayBuffer> {
  return encodeJson({
    bomFormat: "CycloneDX",
    specVersion: "1.4",
    version: 1,
    components: [{
      type: "application",
      name: "wherry-launcher",
      version: VERSION,
      licenses: [{ license: { id: "Apache-2.0" } }],
    }],
  });
}
