/** A bundle as a registry that can only be read. */
import { compareBytes } from "../compare_bytes.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { parseDocument } from "../oci/manifest.ts";
import { referrerOf } from "../referrer.ts";
import type { ListOptions, Registry, ResumableUploads } from "../registry.ts";
import type { LockedImage } from "./lock.ts";
import type { Bundle } from "./read.ts";

/** One image under the names it is served by. */
export interface ServedImage {
  /** Repositories, the first of which is listed. */
  readonly repositories: readonly string[];
  /** Absent for one that is known by digest only. */
  readonly tag?: string | undefined;
  /** It. */
  readonly image: LockedImage;
}

/** A read-only {@linkcode Registry} over `bundle`. */
export function bundleRegistry(
  bundle: Bundle,
  images: readonly ServedImage[],
): Registry & ResumableUploads {
  const repositories = new Map<string, ServedImage[]>();
  for (const served of images) {
    for (const name of served.repositories) {
      repositories.set(name, [...repositories.get(name) ?? [], served]);
    }
  }
  const content = (repository: string, digest: string) =>
    repositories.get(repository)?.some(({ image }) =>
      image.descriptor.digest === digest || image.content.some((one) => one.digest === digest)
    ) ?? false;
  const resolve = (repository: string, reference: string): string | undefined => {
    if (reference.includes(":")) return content(repository, reference) ? reference : undefined;
    return repositories.get(repository)?.find(({ tag }) => tag === reference)?.image.descriptor
      .digest;
  };
  const refuse = (): Promise<never> =>
    Promise.reject(
      new OciError("UNSUPPORTED", `Cannot change ${bundle.name}: a bundle is read-only`),
    );
  return {
    name: bundle.name,
    async manifest(repository, reference, options) {
      const digest = resolve(repository, reference);
      return digest && await bundle.reader.manifest(repository, digest, options) || undefined;
    },
    async stat(repository, reference, options) {
      const digest = resolve(repository, reference);
      return digest && await bundle.reader.stat(repository, digest, options) || undefined;
    },
    async blob(repository, digest, options) {
      return content(repository, digest)
        ? await bundle.reader.blob(repository, digest, options)
        : undefined;
    },
    pushBlob: refuse,
    pushManifest: refuse,
    upload: refuse,
    resumeUpload: refuse,
    deleteManifest: refuse,
    deleteBlob: refuse,
    async *repositories(options) {
      const listed = new Set(images.map((one) => one.repositories[0]!));
      yield* behind(listed, options);
    },
    async *tags(repository, options) {
      const found = repositories.get(repository);
      if (found === undefined) {
        throw new OciError("NAME_UNKNOWN", `Cannot list tags of ${repository}: it is not there`);
      }
      yield* behind(new Set(found.flatMap(({ tag }) => tag ?? [])), options);
    },
    async referrers(repository, digest, options = {}) {
      const found: Descriptor[] = [];
      for (const { image } of repositories.get(repository) ?? []) {
        for (const one of image.content) {
          const about = await subjectOf(bundle, one);
          if (about?.subject !== digest) continue;
          if (options.artifactType && about.descriptor.artifactType !== options.artifactType) {
            continue;
          }
          if (!found.some((other) => other.digest === one.digest)) found.push(about.descriptor);
        }
      }
      return found;
    },
  };
}

async function subjectOf(
  bundle: Bundle,
  one: Descriptor,
): Promise<{ readonly subject: Digest; readonly descriptor: Descriptor } | undefined> {
  if (!/manifest|index/.test(one.mediaType)) return undefined;
  const raw = await bundle.reader.manifest("", one.digest);
  if (raw === undefined) return undefined;
  const document = parseDocument(raw.bytes, raw.mediaType);
  return referrerOf(document, one);
}

function behind(names: ReadonlySet<string>, options: ListOptions = {}): readonly string[] {
  const { after } = options;
  return [...names].sort(compareBytes).filter((name) =>
    after === undefined || compareBytes(name, after) > 0
  );
}
