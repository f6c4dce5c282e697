/** Opens bundles: all parts together, and those they add to, as one place to read from. */
import { blobPath } from "../oci/blob_path.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { algorithmOf, type Digest, digestOf, hexOf } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { parseDocument } from "../oci/manifest.ts";
import { isIndexType, isManifestType } from "../oci/media_type.ts";
import type { CallOptions, RawManifest, Reader } from "../registry.ts";
import { readAll, type Source } from "../source.ts";
import { MAX_DOCUMENT } from "../store/layout_reader.ts";
import { TarFile } from "../store/tar_file.ts";
import { verifiedSource } from "../store/verified.ts";
import {
  contentOf,
  type Lock,
  LOCK_FILE,
  type LockedImage,
  parseLock,
  SIGNATURE_FILE,
} from "./lock.ts";

const MAX_LOCK = 256 * 1024 * 1024;

/** One fault of a bundle. */
export interface BundleFinding {
  /** What kind. */
  readonly kind: "missing" | "digest" | "extra" | "size";
  /** For people. */
  readonly text: string;
}

/** An opened bundle. Close it with `await using`. */
export interface Bundle extends AsyncDisposable {
  /** For messages. */
  readonly name: string;
  /** Its lock; of several bundles, the newest. */
  readonly lock: Lock;
  /** The bytes of it. */
  readonly lockBytes: Uint8Array<ArrayBuffer>;
  /** The signature over them, base64; absent when it was not signed. */
  readonly signature?: string | undefined;
  /** All images of all bundles that were opened together. */
  readonly images: readonly LockedImage[];
  /** Content by digest, verified while it is read; `undefined` when it is not here. */
  content(digest: Digest): Source | undefined;
  /** Content that a lock names and no file has. */
  missing(): readonly Descriptor[];
  /** All that is wrong: every blob was hashed when the files were opened. */
  findings(): readonly BundleFinding[];
  /** Reads manifests and blobs of any repository, by digest only. */
  readonly reader: Reader;
}

/**
 * Opens the files of a bundle, in any order; with them those of bundles it adds to. Reads every byte once.
 *
 * @throws {OciError} `MANIFEST_INVALID` when a file is no bundle, or parts belong to different bundles.
 */
export async function openBundle(
  files: readonly string[],
  options: CallOptions = {},
): Promise<Bundle> {
  const tars: TarFile[] = [];
  try {
    const locks = new Map<Digest, ReadLock>();
    for (const file of files) {
      const tar = await TarFile.open(file, options);
      tars.push(tar);
      const bytes = await tar.document(LOCK_FILE, MAX_LOCK);
      if (bytes === undefined) {
        throw new OciError(
          "MANIFEST_INVALID",
          `Cannot open bundle ${file}: it has no ${LOCK_FILE}`,
        );
      }
      const sig = await tar.document(SIGNATURE_FILE, 4096);
      locks.set(digestOf(bytes), {
        lock: parseLock(bytes, file),
        bytes,
        ...(sig === undefined ? {} : { sig: new TextDecoder().decode(sig).trim() }),
      });
    }
    const newest = newestOf(locks, files);
    return make(files.join(", "), tars, newest, [...locks.values()]);
  } catch (error) {
    for (const tar of tars) await tar[Symbol.asyncDispose]();
    throw error;
  }
}

/** A lock with the bytes it was read from. */
interface ReadLock {
  readonly lock: Lock;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly sig?: string;
}

/** The lock that no other adds to. */
function newestOf(locks: ReadonlyMap<Digest, ReadLock>, files: readonly string[]): ReadLock {
  const older = new Set([...locks.values()].map(({ lock }) => lock.since));
  const newest = [...locks].filter(([digest]) => !older.has(digest));
  if (newest.length === 1) return newest[0]![1];
  throw new OciError(
    "MANIFEST_INVALID",
    `Cannot open ${files.join(", ")} together: they are ${newest.length} different bundles`,
  );
}

function make(
  name: string,
  tars: readonly TarFile[],
  newest: ReadLock,
  locks: readonly ReadLock[],
): Bundle {
  const images = [
    ...new Map(
      [...locks.filter((one) => one !== newest), newest]
        .flatMap(({ lock }) => lock.images).map((image) => [image.reference, image]),
    ).values(),
  ];
  const known = new Map<Digest, Descriptor>();
  for (const { lock } of locks) for (const one of contentOf(lock)) known.set(one.digest, one);
  const lockDigests = new Set(locks.map(({ bytes }) => digestOf(bytes)));
  const member = (digest: Digest) => {
    for (const tar of tars) {
      const found = tar.member(blobPath(digest));
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const content = (digest: Digest) => {
    const found = member(digest);
    return found && verifiedSource(found.source, digest, name);
  };
  const missing = () => [...known.values()].filter(({ digest }) => member(digest) === undefined);
  return {
    name,
    lock: newest.lock,
    lockBytes: newest.bytes,
    signature: newest.sig,
    images,
    content,
    missing,
    findings() {
      const found: BundleFinding[] = missing().map(({ digest, size }) => ({
        kind: "missing",
        text: `missing: ${digest} (${size} bytes)`,
      }));
      for (const { digest, size } of known.values()) {
        const here = member(digest);
        if (here === undefined) continue;
        if (here.source.size !== size) {
          found.push({
            kind: "size",
            text: `size: ${digest} has ${here.source.size} bytes, want ${size}`,
          });
        } else if (algorithmOf(digest) === "sha256" && here.digest !== digest) {
          found.push({ kind: "digest", text: `digest: ${digest} has bytes of ${here.digest}` });
        }
      }
      for (const tar of tars) {
        for (const path of tar.names()) {
          const named = /^blobs\/([a-z0-9]+)\/([0-9a-f]+)$/.exec(path);
          const digest = named && `${named[1]}:${named[2]}` as Digest;
          if (digest && (known.has(digest) || lockDigests.has(digest))) continue;
          if (path.startsWith("blobs/") || !OWN_FILES.has(path)) {
            found.push({ kind: "extra", text: `extra: ${path} is in no lock` });
          }
        }
      }
      return found;
    },
    reader: readerOver(name, known, content),
    async [Symbol.asyncDispose]() {
      for (const tar of tars) await tar[Symbol.asyncDispose]();
    },
  };
}

const OWN_FILES = new Set(["oci-layout", "index.json", LOCK_FILE, SIGNATURE_FILE]);

function readerOver(
  name: string,
  known: ReadonlyMap<Digest, Descriptor>,
  content: (digest: Digest) => Source | undefined,
): Reader {
  const manifest = async (reference: string): Promise<RawManifest | undefined> => {
    const descriptor = known.get(reference as Digest);
    if (descriptor === undefined) return undefined;
    if (!isIndexType(descriptor.mediaType) && !isManifestType(descriptor.mediaType)) {
      return undefined;
    }
    const source = content(descriptor.digest);
    if (source === undefined) return undefined;
    const bytes = await readAll(source, MAX_DOCUMENT);
    const { mediaType } = parseDocument(bytes, descriptor.mediaType);
    return { mediaType, digest: descriptor.digest, bytes };
  };
  return {
    manifest: (_repository, reference) => manifest(reference),
    async stat(_repository, reference) {
      const raw = await manifest(reference);
      return raw && { mediaType: raw.mediaType, digest: raw.digest, size: raw.bytes.byteLength };
    },
    blob(_repository, digest) {
      if (!known.has(digest)) return Promise.resolve(undefined);
      const source = content(digest);
      if (source !== undefined) return Promise.resolve(source);
      throw new OciError(
        "BLOB_UNKNOWN",
        `Cannot read ${
          hexOf(digest).slice(0, 12)
        } of ${name}: it is in a bundle or part that was not given`,
      );
    },
  };
}
