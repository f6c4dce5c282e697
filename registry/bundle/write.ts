/** Writes a bundle: an OCI image layout in one tar, or in several that each stand for themselves. */
import { encodeJson } from "../image.ts";
import { blobPath } from "../oci/blob_path.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { algorithmOf, digestOf } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { MediaType } from "../oci/media_type.ts";
import type { CallOptions } from "../registry.ts";
import type { Source } from "../source.ts";
import { REF_NAME } from "../store/layout_reader.ts";
import { type ArchiveSink, writeArchive } from "../store/tar_writer.ts";
import { carriedBy, encodeLock, type Lock, LOCK_FILE, LOCK_TYPE, SIGNATURE_FILE } from "./lock.ts";

/** Options of {@linkcode writeBundle}. */
export interface WriteBundleOptions extends CallOptions {
  /** Parts end on a blob's end and hold no more than this many bytes of blobs, unless one blob alone has more. */
  readonly partBytes?: number | undefined;
  /** Signs the lock. */
  readonly sign?: ((bytes: Uint8Array<ArrayBuffer>) => Promise<string>) | undefined;
  /** Called as bytes are written. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** A bundle that was written. */
export interface WrittenBundle {
  /** Its files, in order. */
  readonly files: readonly string[];
  /** The lock in it, as bytes. */
  readonly lockBytes: Uint8Array<ArrayBuffer>;
}

/**
 * Writes `lock` and all it names to `path`, or to `path` with `.1`, `.2`, ... behind when it is split. The same lock
 * makes the same bytes. Each file is there whole or not at all.
 *
 * @param open Opens content by digest; its bytes are verified while they are written.
 */
export async function writeBundle(
  path: string,
  lock: Omit<Lock, "parts">,
  open: (content: Descriptor) => Promise<Source>,
  options: WriteBundleOptions = {},
): Promise<WrittenBundle> {
  const content = carriedBy(lock);
  const parts = splitUp(content, options.partBytes);
  const whole: Lock = { ...lock, parts: parts.length };
  const bytes = encodeLock(whole);
  const signature = await options.sign?.(bytes);
  const lockEntry = { mediaType: LOCK_TYPE, digest: digestOf(bytes), size: bytes.byteLength };
  const index = {
    schemaVersion: 2,
    mediaType: MediaType.ociIndex,
    manifests: [
      ...whole.images.filter(({ role }) => role !== "referrer").map((
        { reference, descriptor },
      ) => ({
        ...descriptor,
        annotations: { ...descriptor.annotations, [REF_NAME]: reference },
      })),
      lockEntry,
    ],
  };
  const files: string[] = [];
  for (const [at, part] of parts.entries()) {
    const file = parts.length === 1 ? path : `${path}.${at + 1}`;
    await writeArchive(file, async (sink) => {
      await sink.file("oci-layout", encodeJson({ imageLayoutVersion: "1.0.0" }));
      await sink.file(LOCK_FILE, bytes);
      if (signature !== undefined) {
        await sink.file(SIGNATURE_FILE, new TextEncoder().encode(`${signature}\n`));
      }
      await sink.file("index.json", encodeJson(index));
      await sink.directory("blobs");
      const all = [...part, lockEntry].sort((a, b) => a.digest < b.digest ? -1 : 1);
      for (const one of all) {
        await writeBlob(sink, one, one === lockEntry ? undefined : open, bytes);
        options.onProgress?.(one.size);
      }
    }, options);
    files.push(file);
  }
  return { files, lockBytes: bytes };
}

async function writeBlob(
  sink: ArchiveSink,
  one: Descriptor,
  open: ((content: Descriptor) => Promise<Source>) | undefined,
  lock: Uint8Array,
): Promise<void> {
  await sink.directory(`blobs/${algorithmOf(one.digest)}`);
  const source = open === undefined ? lock : await open(one);
  if ("size" in source && source.size !== one.size) {
    throw new OciError(
      "SIZE_INVALID",
      `Cannot write ${one.digest}: it has ${source.size} bytes, want ${one.size}`,
    );
  }
  await sink.file(blobPath(one.digest), source);
}

/** Cuts content, in its order, into parts. */
function splitUp(
  content: readonly Descriptor[],
  partBytes = Infinity,
): readonly (readonly Descriptor[])[] {
  const parts: Descriptor[][] = [[]];
  let size = 0;
  for (const one of content) {
    if (size > 0 && size + one.size > partBytes) {
      parts.push([]);
      size = 0;
    }
    parts.at(-1)!.push(one);
    size += one.size;
  }
  return parts;
}
