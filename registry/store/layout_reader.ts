/** Reading an OCI image layout, wherever its files lie: a directory or a tar. */
import { z } from "zod";
import { type Descriptor, descriptorSchema } from "../oci/descriptor.ts";
import { algorithmOf, type Digest, digestOf, isDigest, parseDigest } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { parseDocument } from "../oci/manifest.ts";
import type { RawManifest, Reader } from "../registry.ts";
import { readAll, type Source } from "../source.ts";

/** Names an entry of `index.json`: what other places call a tag. */
export const REF_NAME = "org.opencontainers.image.ref.name";
/** Documents longer than this are not read (M-04). */
export const MAX_DOCUMENT = 8 * 1024 * 1024;
/** `index.json` of a bundle may list very many images. */
const MAX_INDEX = 64 * 1024 * 1024;

/** The files of a layout. */
export interface LayoutFiles {
  /** For messages. */
  readonly name: string;
  /** A file at the top, whole; refuses what is longer than `limit` or not a regular file. */
  document(path: "oci-layout" | "index.json", limit: number): Promise<Uint8Array | undefined>;
  /** A blob, not verified; refuses what is not a regular file. */
  blob(digest: Digest): Promise<Source | undefined>;
}

/** `index.json`. Unknown keys are kept. */
export interface LayoutIndex {
  readonly schemaVersion: 2;
  readonly manifests: readonly Descriptor[];
}

const indexSchema = z.looseObject({
  schemaVersion: z.literal(2),
  manifests: z.array(descriptorSchema).nullish().transform((list) => list ?? []),
});
const versionSchema = z.looseObject({ imageLayoutVersion: z.string() });

/**
 * Makes sure these files are a layout.
 *
 * @throws {OciError} `UNAVAILABLE` when `oci-layout` is absent or of a version other than 1.0.
 */
export async function checkLayout(files: LayoutFiles): Promise<void> {
  const bytes = await files.document("oci-layout", 4096);
  if (bytes === undefined) {
    throw new OciError("UNAVAILABLE", `Cannot open ${files.name}: it has no oci-layout file`);
  }
  const { imageLayoutVersion: version } = parse(versionSchema, bytes, "oci-layout", files.name);
  if (!version.startsWith("1.0.")) {
    throw new OciError(
      "UNAVAILABLE",
      `Cannot open ${files.name}: its version is ${
        JSON.stringify(version.slice(0, 40))
      }, want 1.0.0`,
    );
  }
}

/** Reads `index.json`. */
export async function readLayoutIndex(files: LayoutFiles): Promise<LayoutIndex> {
  const bytes = await files.document("index.json", MAX_INDEX);
  if (bytes === undefined) {
    throw new OciError("UNAVAILABLE", `Cannot open ${files.name}: it has no index.json`);
  }
  return parse(indexSchema, bytes, "index.json", files.name) as unknown as LayoutIndex;
}

/** The name an entry has, if any. */
export function refName(entry: Descriptor): string | undefined {
  return entry.annotations?.[REF_NAME];
}

/** A layout as a {@linkcode Reader}. It has one repository, whatever it is called. */
export class LayoutReader implements Reader {
  readonly #files: LayoutFiles;
  readonly #verify: (source: Source, digest: Digest, where: string) => Source;

  /** Over `files`; `verify` wraps blobs so that their bytes are checked. */
  constructor(
    files: LayoutFiles,
    verify: (source: Source, digest: Digest, where: string) => Source,
  ) {
    this.#files = files;
    this.#verify = verify;
  }

  async manifest(_repository: string, reference: string): Promise<RawManifest | undefined> {
    const wanted = reference.includes(":") && isDigest(reference) ? reference : undefined;
    const { manifests } = await readLayoutIndex(this.#files);
    const entry = manifests.find((entry) =>
      wanted === undefined ? refName(entry) === reference : entry.digest === wanted
    );
    if (entry === undefined && wanted === undefined) return undefined;
    const digest = entry?.digest ?? parseDigest(reference);
    const source = await this.#files.blob(digest);
    if (source === undefined) return undefined;
    if (source.size > MAX_DOCUMENT) {
      if (entry === undefined) return undefined; // a layer that was asked for as a manifest
      throw new OciError(
        "MANIFEST_INVALID",
        `Cannot read manifest ${digest} of ${this.#files.name}: it is longer than ${MAX_DOCUMENT} bytes`,
      );
    }
    const bytes = await readAll(source, MAX_DOCUMENT);
    const seen = digestOf(bytes, algorithmOf(digest));
    if (seen !== digest || (entry !== undefined && entry.size !== bytes.byteLength)) {
      throw new OciError(
        "DIGEST_INVALID",
        `Cannot read manifest ${digest} of ${this.#files.name}: its ${bytes.byteLength} bytes have digest ${seen}`,
      );
    }
    if (entry !== undefined) {
      const { mediaType } = parseDocument(bytes, entry.mediaType);
      return { mediaType, digest, bytes };
    }
    try {
      return { mediaType: parseDocument(bytes).mediaType, digest, bytes };
    } catch {
      return undefined; // a config or another small blob
    }
  }

  async stat(repository: string, reference: string): Promise<Descriptor | undefined> {
    const raw = await this.manifest(repository, reference);
    return raw && { mediaType: raw.mediaType, digest: raw.digest, size: raw.bytes.byteLength };
  }

  async blob(_repository: string, digest: Digest): Promise<Source | undefined> {
    const source = await this.#files.blob(digest);
    return source && this.#verify(source, digest, this.#files.name);
  }
}

function parse<T>(schema: z.ZodType<T>, bytes: Uint8Array, file: string, where: string): T {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new OciError("MANIFEST_INVALID", `Cannot read ${file} of ${where}: it is not JSON`, {
      cause,
    });
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new OciError(
    "MANIFEST_INVALID",
    `Cannot read ${file} of ${where}: ${issue?.path.join(".") || "document"}: ${issue?.message}`,
  );
}
