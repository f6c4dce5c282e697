/** What a rebase would make of an image or index: everything is read and computed, nothing is written. */
import type { Log } from "../../registry/context.ts";
import {
  assembleImage,
  type ConfigCodec,
  encodeJson,
  type Image,
  MAX_CONFIG_BYTES,
} from "../../registry/image.ts";
import { labelOf } from "../../registry/oci/config.ts";
import type { Descriptor, Platform } from "../../registry/oci/descriptor.ts";
import { type Digest, digestOf } from "../../registry/oci/digest.ts";
import { OciError } from "../../registry/oci/error.ts";
import { type Index, type Manifest, parseDocument } from "../../registry/oci/manifest.ts";
import { isIndexType, isManifestType, MediaType } from "../../registry/oci/media_type.ts";
import { formatPlatform } from "../../registry/oci/platform.ts";
import type { RawManifest, Reader } from "../../registry/registry.ts";
import { readAll } from "../../registry/source.ts";
import { baseOf, needsOldBase, rebaseImage } from "../phase/rebase.ts";
import { ExitCode, failAs, LifecycleError } from "../error.ts";
import type { NewBase } from "./rebase_base.ts";
import { METADATA_LABEL } from "../file/lifecycle_metadata.ts";

/** An image or index that is to be rebased. */
export interface RebaseSource {
  /** The place. */
  readonly registry: Reader;
  /** The repository in it. */
  readonly repository: string;
  /** Tag or digest. */
  readonly reference: string;
  /** For messages. */
  readonly name: string;
}

/** How it is rebased. */
export interface RebaseChoices {
  /** The base for an image; asked once for each image of an index. */
  readonly chooseBase: (app: Image) => Promise<NewBase>;
  /** Reads the base an image stands on; only to tell where its layers end, and only when they do not tell (RB-7). */
  readonly oldBase: (reference: string, platform: Platform) => Promise<Image | undefined>;
  /** What else is asked of an image and its new base; throws when it is not so. */
  readonly judge?: ((candidate: RebaseCandidate) => Promise<void>) | undefined;
  /** What is questionable is a warning. */
  readonly force: boolean;
  /** Makes two spellings of one image name equal. */
  readonly normalize: (name: string) => string;
  /** A config that an earlier command read or made: saves a request. */
  readonly known?: ((digest: Digest) => Promise<Uint8Array<ArrayBuffer> | undefined>) | undefined;
  /** How configs are read and written. */
  readonly codec?: ConfigCodec | undefined;
  /** Warnings. */
  readonly log: Log;
  /** Ends the reading. */
  readonly signal: AbortSignal;
}

/** An image that could be put on another base. */
export interface RebaseCandidate {
  /** As it is. */
  readonly app: Image;
  /** What it would stand on. */
  readonly base: Image;
  /** The base it stands on, in its label's words. */
  readonly oldBase: string;
  /** Where the new base lies. */
  readonly chosen: NewBase;
}

/** One image, before and after. */
export interface RebasedImage {
  /** As it is. */
  readonly old: Image;
  /** As it shall be; the same object when there is nothing to do. */
  readonly made: Image;
  /** What it shall stand on. */
  readonly base: Image;
  /** The reference in its label, before. */
  readonly oldBase: string;
  /** And after. */
  readonly newBase: string;
  /** Its config had to be asked for. */
  readonly asked: boolean;
}

/** What a rebase would write. */
export interface PreparedRebase {
  /** What was read. */
  readonly source: RebaseSource;
  /** The document behind its name, as it was read. */
  readonly old: RawManifest;
  /** The document it shall be; the same object when there is nothing to do. */
  readonly made: RawManifest;
  /** The one image, or those of an index. */
  readonly images: readonly RebasedImage[];
  /** Other documents of an index, which stay as they are. */
  readonly kept: readonly Descriptor[];
  /** Of the base's name: what a plan pins. */
  readonly base: NewBase;
}

/** The image is not there. */
export class NotThereError extends LifecycleError {
  /** Says so of `name`; `where` goes behind. */
  constructor(name: string, where = "") {
    super(ExitCode.rebase, `Image with name "${name}" not found${where}`);
    this.name = "NotThereError";
  }
}

/** More images than any real index has (M-07). */
const MAX_CHILDREN = 200;

/**
 * Reads the image behind `source` and computes what it is on its new base.
 *
 * @param known The document, when the caller has read it already.
 * @throws {NotThereError} When it is not there.
 * @throws {RebaseRefusal} When a check refuses it.
 */
export async function prepareRebase(
  source: RebaseSource,
  choices: RebaseChoices,
  known?: RawManifest,
): Promise<PreparedRebase> {
  const { registry, repository, reference } = source;
  const options = { signal: choices.signal };
  const old = known ?? await registry.manifest(repository, reference, options);
  if (old === undefined) throw new NotThereError(source.name);
  const document = parseDocument(old.bytes, old.mediaType);
  if (document.kind === "manifest") {
    const { image, base } = await prepareImage(source, old, document.manifest, choices);
    return { source, old, made: image.made.raw, images: [image], kept: [], base };
  }
  return await prepareIndex(source, old, document.index, choices);
}

async function prepareIndex(
  source: RebaseSource,
  old: RawManifest,
  index: Index,
  choices: RebaseChoices,
): Promise<PreparedRebase> {
  const refused = (why: string) =>
    new LifecycleError(ExitCode.rebase, `Cannot rebase ${source.name}: ${why}`);
  if (index.manifests.length > MAX_CHILDREN) {
    throw refused(`its index names ${index.manifests.length} images, want at most ${MAX_CHILDREN}`);
  }
  const images: RebasedImage[] = [];
  const kept: Descriptor[] = [];
  const manifests: Descriptor[] = [];
  let base: NewBase | undefined;
  // By digest: an index may name one image for two platforms.
  const done = new Map<string, RebasedImage>();
  for (const child of index.manifests) {
    if (isIndexType(child.mediaType)) throw refused("its index holds another index");
    if (isAttestation(child)) {
      // It speaks of an image that is not there any more.
      choices.log.info(
        `${source.name}: attestation ${child.digest} is of the old image, and left out`,
      );
      continue;
    }
    if (!isManifestType(child.mediaType)) {
      kept.push(child);
      manifests.push(child);
      continue;
    }
    let image = done.get(child.digest);
    if (image === undefined) {
      const raw = await source.registry.manifest(source.repository, child.digest, {
        signal: choices.signal,
      });
      if (raw === undefined) {
        const what = `${formatPlatform(child.platform)} (${child.digest})`;
        throw refused(`its index names ${what}, which is not there`);
      }
      const document = parseDocument(raw.bytes, raw.mediaType);
      if (document.kind === "index") throw refused("its index holds another index");
      const of = { ...source, name: `${source.name} (${formatPlatform(child.platform)})` };
      const prepared = await prepareImage(of, raw, document.manifest, choices);
      ({ image } = prepared);
      base ??= prepared.base;
      done.set(child.digest, image);
      images.push(image);
    }
    manifests.push(childOf(child, image));
  }
  if (base === undefined) throw refused("its index names no image");
  const changed = manifests.length !== index.manifests.length ||
    images.some(({ old, made }) => old !== made);
  if (!changed) return { source, old, made: old, images, kept, base };
  const bytes = encodeJson({ ...index, manifests });
  return {
    source,
    old,
    made: { mediaType: old.mediaType, digest: digestOf(bytes), bytes },
    images,
    kept,
    base,
  };
}

/** The entry of an index for what has become of its image. */
function childOf(child: Descriptor, { old, made }: RebasedImage): Descriptor {
  if (old === made) return child;
  const { raw, config } = made;
  const version = (config as Readonly<Record<string, unknown>>)["os.version"];
  return {
    ...child,
    mediaType: raw.mediaType,
    digest: raw.digest,
    size: raw.bytes.byteLength,
    ...(child.platform === undefined ? {} : {
      platform: {
        ...child.platform,
        ...(config.variant ? { variant: config.variant } : {}),
        ...(typeof version === "string" && version !== "" ? { "os.version": version } : {}),
      },
    }),
  };
}

/** What BuildKit puts beside the images of an index. */
function isAttestation({ annotations, platform }: Descriptor): boolean {
  return annotations?.["vnd.docker.reference.type"] === "attestation-manifest" ||
    (platform?.os === "unknown" && platform.architecture === "unknown");
}

async function prepareImage(
  source: RebaseSource,
  raw: RawManifest,
  manifest: Manifest,
  choices: RebaseChoices,
): Promise<{ readonly image: RebasedImage; readonly base: NewBase }> {
  const { registry, repository, name } = source;
  const { config } = manifest;
  if (config.mediaType !== MediaType.ociConfig && config.mediaType !== MediaType.dockerConfig) {
    throw new NotCnbError(name, `it is no image but ${JSON.stringify(config.mediaType)}`);
  }
  const read = async () => {
    const blob = await registry.blob(repository, config.digest, { signal: choices.signal });
    if (blob !== undefined) return await readAll(blob, MAX_CONFIG_BYTES);
    throw new OciError(
      "BLOB_UNKNOWN",
      `Cannot read config ${config.digest} of ${name}: the registry lacks it`,
    );
  };
  const known = await choices.known?.(config.digest);
  const text = known ?? await read();
  const app = assembleImage(raw, manifest, text, { registry, repository }, choices.codec);
  const label = labelOf(app.config, METADATA_LABEL);
  if (!label) throw new NotCnbError(name, `it has no label ${METADATA_LABEL}`);
  const { runImage } = await failAs(ExitCode.rebase, choices.signal, () => baseOf(label));
  const chosen = await choices.chooseBase(app);
  const platform = platformOf(app);
  const base = await chosen.image(platform);
  const oldName = runImage.reference;
  await choices.judge?.({ app, base, oldBase: oldName, chosen });
  const { place } = chosen;
  const { digest } = base.raw;
  const reference = place.repositoryName === "" ? digest : `${place.repositoryName}@${digest}`;
  const oldBase = needsOldBase(app, runImage.topLayer)
    ? await choices.oldBase(oldName, platform)
    : undefined;
  const made = rebaseImage({
    app,
    base,
    run: { name: place.name, reference },
    oldBase,
    targets: true,
    unnamed: true,
    force: choices.force,
    normalize: choices.normalize,
    alsoKnownAs: place.alsoKnownAs,
    codec: choices.codec,
  }, choices.log);
  const asked = known === undefined;
  const image = { old: app, made, base, oldBase: oldName, newBase: reference, asked };
  return { image, base: chosen };
}

/** It was not made by buildpacks. */
export class NotCnbError extends LifecycleError {
  /** Says so of `name`. */
  constructor(name: string, why: string) {
    super(ExitCode.rebase, `Cannot rebase ${name}: ${why}, so it was not made by buildpacks`);
    this.name = "NotCnbError";
  }
}

/** Which image of an index of bases suits an app. */
function platformOf({ config }: Image): Platform {
  return {
    os: config.os,
    architecture: config.architecture,
    ...(config.variant ? { variant: config.variant } : {}),
  };
}
