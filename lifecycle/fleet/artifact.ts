/** Plans and journals as OCI artifacts: JSON lines in one layer or several, which `oras pull` and `cat` put together. */
import { encodeJson } from "../../registry/image.ts";
import type { Descriptor } from "../../registry/oci/descriptor.ts";
import { type Digest, digestOf } from "../../registry/oci/digest.ts";
import { parseDocument } from "../../registry/oci/manifest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import type { TagExpectation } from "../../registry/expectation.ts";
import type { Reader, Writer } from "../../registry/registry.ts";
import { bytesSource, readAll } from "../../registry/source.ts";

/** What the lines are: the type of the artifact and of its layers, and the names of files. */
export interface LinesKind {
  /** Media type. */
  readonly type: string;
  /** For people: `journal`. */
  readonly word: string;
}

/** What a run did. */
export const JOURNAL: LinesKind = {
  type: "application/vnd.wherry.journal.v1+jsonl",
  word: "journal",
};
/** What a run shall do. */
export const PLAN: LinesKind = { type: "application/vnd.wherry.plan.v1+jsonl", word: "plan" };

/** Lines, as they lie in a registry. */
export interface KeptLines {
  /** Of the manifest. */
  readonly digest: Digest;
  /** All layers, one behind the other. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The layers. */
  readonly parts: readonly Descriptor[];
}

/** Where lines go. */
export interface LinesPlace {
  /** The registry. */
  readonly registry: Writer;
  /** In it. */
  readonly repository: string;
  /** What names them. */
  readonly tag: string;
  /** What the tag has to name now; whatever it is without. */
  readonly is?: TagExpectation["is"] | undefined;
}

/** A longer one is of more images than there are. */
const MAX_BYTES = 1024 * 1024 * 1024;
const EMPTY = new TextEncoder().encode("{}");

/**
 * Puts `added` behind `before`, layers that are there already.
 *
 * @returns The manifest's digest, and all layers.
 */
export async function pushLines(
  { registry, repository, tag, is }: LinesPlace,
  { type, word }: LinesKind,
  before: readonly Descriptor[],
  added: Uint8Array<ArrayBuffer>,
  signal: AbortSignal,
): Promise<Omit<KeptLines, "bytes">> {
  const config = { mediaType: MediaType.ociEmpty, digest: digestOf(EMPTY), size: 2 };
  const part: Descriptor = {
    mediaType: type,
    digest: digestOf(added),
    size: added.byteLength,
    annotations: {
      "org.opencontainers.image.title": `${word}-${
        String(before.length + 1).padStart(4, "0")
      }.jsonl`,
    },
  };
  const parts = [...before, part];
  await registry.pushBlob(repository, config, bytesSource(EMPTY), { signal });
  await registry.pushBlob(repository, part, bytesSource(added), { signal, fresh: true });
  const manifest = {
    mediaType: MediaType.ociManifest,
    bytes: encodeJson({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      artifactType: type,
      config,
      layers: parts,
    }),
  };
  const expect = is === undefined ? undefined : [{ tag, is }];
  const { digest } = await registry.pushManifest(repository, manifest, {
    signal,
    tags: [tag],
    expect,
  });
  return { digest, parts };
}

/** What lies there; `undefined` when nothing does, `"other"` when it is something else. */
export async function readLines(
  registry: Reader,
  repository: string,
  reference: string,
  { type }: LinesKind,
  signal: AbortSignal,
): Promise<KeptLines | "other" | undefined> {
  const raw = await registry.manifest(repository, reference, { signal });
  if (raw === undefined) return undefined;
  const document = parseDocument(raw.bytes, raw.mediaType);
  if (document.kind !== "manifest" || document.manifest.artifactType !== type) return "other";
  const parts = document.manifest.layers;
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  if (size > MAX_BYTES) throw new RangeError(`it is longer than ${MAX_BYTES} bytes`);
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const { digest, size } of parts) {
    const blob = await registry.blob(repository, digest, { signal });
    if (blob === undefined) throw new RangeError(`its registry lacks ${digest}`);
    bytes.set(await readAll(blob, size), at);
    at += size;
  }
  return { digest: raw.digest, bytes, parts };
}
