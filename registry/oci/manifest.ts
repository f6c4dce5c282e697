import { z } from "zod";
import { type Descriptor, descriptorSchema } from "./descriptor.ts";
import { isDigest } from "./digest.ts";
import { OciError } from "./error.ts";
import { parseStrictJson } from "./json.ts";
import { bareMediaType, isIndexType, isManifestType, MediaType } from "./media_type.ts";
import { isRecord, isTexts } from "./usual.ts";

/** One image: a config and its layers, oldest first. Unknown keys are kept. */
export interface Manifest {
  /** Always 2. */
  readonly schemaVersion: 2;
  /** OCI leaves it out at times. */
  readonly mediaType?: string | undefined;
  /** The image config, or any blob for an artefact. */
  readonly config: Descriptor;
  /** Oldest first. */
  readonly layers: readonly Descriptor[];
  /** What this document speaks of, for referrers. */
  readonly subject?: Descriptor | undefined;
  /** For artefacts. */
  readonly artifactType?: string | undefined;
  /** Free-form. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** Several images under one name, one a platform. Unknown keys are kept. */
export interface Index {
  /** Always 2. */
  readonly schemaVersion: 2;
  /** OCI leaves it out at times. */
  readonly mediaType?: string | undefined;
  /** In the order of the document. */
  readonly manifests: readonly Descriptor[];
  /** What this document speaks of, for referrers. */
  readonly subject?: Descriptor | undefined;
  /** For artefacts. */
  readonly artifactType?: string | undefined;
  /** Free-form. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** A parsed document: which of the two it is, said once. */
export type Document =
  | { readonly kind: "manifest"; readonly mediaType: string; readonly manifest: Manifest }
  | { readonly kind: "index"; readonly mediaType: string; readonly index: Index };

const common = {
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  subject: descriptorSchema.optional(),
  artifactType: z.string().optional(),
  annotations: z.record(z.string(), z.string()).optional(),
};
const manifestSchema = z.lazy(() =>
  z.looseObject({
    ...common,
    config: descriptorSchema,
    layers: z.array(descriptorSchema),
  })
);
const indexSchema = z.lazy(() =>
  z.looseObject({ ...common, manifests: z.array(descriptorSchema) })
);

/**
 * Reads a manifest or index. The same bytes can never be both: a document with keys of both kinds, or one
 * whose `mediaType` differs from the type it came with, is refused (M-01, CVE-2021-41190, C-MT-02).
 *
 * @param contentType What the place says it is; `undefined` or a generic type means: decide from the body.
 * @throws {OciError} `MANIFEST_INVALID` with the path of the first fault.
 */
export function parseDocument(bytes: Uint8Array, contentType?: string): Document {
  const before = read.get(bytes);
  if (before !== undefined && before.contentType === contentType) return before.document;
  const document = readDocument(bytes, contentType);
  read.set(bytes, { contentType, document });
  return document;
}

/**
 * Documents that were read, as long as somebody holds their bytes: the client that reads one, the place it goes to and
 * the server in between each ask what it is. Bytes of documents are not changed.
 */
const read = new WeakMap<
  Uint8Array,
  { readonly contentType: string | undefined; readonly document: Document }
>();

/** What `bytes` say is known, since they were made of it this moment. */
export function rememberManifest(bytes: Uint8Array, mediaType: string, manifest: Manifest): void {
  read.set(bytes, { contentType: mediaType, document: { kind: "manifest", mediaType, manifest } });
}

function readDocument(bytes: Uint8Array, contentType: string | undefined): Document {
  const json = parseJson(bytes);
  const said = contentType === undefined ? undefined : bareMediaType(contentType);
  const known = said !== undefined && (isIndexType(said) || isManifestType(said));
  const inBody = json["mediaType"];
  if (known && typeof inBody === "string" && inBody !== said) {
    throw invalid(`it came as ${said} and calls itself ${JSON.stringify(inBody)}`);
  }
  const usual = usualManifest(json); // nothing in it is spelled in another way, or belongs to an index
  if (usual === undefined) {
    refuseTwins(json);
    if ("manifests" in json && ("layers" in json || "config" in json)) {
      throw invalid("it has the keys of an image and of an index");
    }
  }
  const mediaType = known
    ? said
    : typeof inBody === "string"
    ? inBody
    : "manifests" in json
    ? MediaType.ociIndex
    : MediaType.ociManifest;
  if (json["schemaVersion"] === 1) throw invalid("schema 1 images are too old to read");
  if (isIndexType(mediaType)) {
    return { kind: "index", mediaType, index: check(indexSchema, json) as unknown as Index };
  }
  if (isManifestType(mediaType)) {
    const manifest = usual ?? check(manifestSchema, json) as unknown as Manifest;
    return { kind: "manifest", mediaType, manifest };
  }
  throw invalid(`its type is ${JSON.stringify(mediaType)}`);
}

/** The descriptors a document needs to be whole: its config, layers or children. */
export function childrenOf(document: Document): readonly Descriptor[] {
  return document.kind === "index"
    ? document.index.manifests
    : [document.manifest.config, ...document.manifest.layers];
}

function parseJson(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseStrictJson(bytes);
  } catch (cause) {
    throw invalid(`it ${(cause as Error).message}`, cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid("it is not a JSON object");
  }
  return value as Record<string, unknown>;
}

/** Keys that decide what a document means. */
const DECISIVE = new Set(
  ["schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "artifactType"].concat(
    ["digest", "size", "urls", "data", "platform"],
  ),
);
const SPELLING = new Map([...DECISIVE].map((key) => [key.toLowerCase(), key]));

/**
 * Readers written in Go take `Layers` for `layers`, we do not: the same bytes would be two images (M-01). Their
 * folding also takes the long s and the Kelvin sign for letters.
 */
function refuseTwins(json: Readonly<Record<string, unknown>>): void {
  const children = [json["manifests"], json["layers"]].filter(Array.isArray).flat() as unknown[];
  for (const object of [json, json["config"], json["subject"], ...children]) {
    if (typeof object !== "object" || object === null) continue;
    for (const key of Object.keys(object)) {
      if (DECISIVE.has(key)) continue;
      const meant = SPELLING.get(key.toLowerCase().replaceAll("\u017f", "s"));
      if (meant === undefined) continue;
      throw invalid(`it has a key ${JSON.stringify(key)}, want ${JSON.stringify(meant)}`);
    }
  }
}

/** What the schema would give for an image's manifest as builders write it; the schema judges any other. */
function usualManifest(json: Record<string, unknown>): Manifest | undefined {
  const { schemaVersion, mediaType, annotations, config, layers } = json;
  if (schemaVersion !== 2 || !hasOnly(json, MANIFEST_KEYS)) return undefined;
  if (mediaType !== undefined && typeof mediaType !== "string") return undefined;
  if (!isUsualDescriptor(config) || !Array.isArray(layers)) return undefined;
  for (const layer of layers) if (!isUsualDescriptor(layer)) return undefined;
  if (annotations !== undefined && !areAnnotations(annotations)) return undefined;
  return {
    schemaVersion,
    ...(mediaType === undefined ? {} : { mediaType }),
    ...(annotations === undefined ? {} : { annotations }),
    config: ordered(config),
    layers: layers.map(ordered),
  };
}

const MANIFEST_KEYS = ["schemaVersion", "mediaType", "config", "layers", "annotations"];
const DESCRIPTOR_KEYS = ["mediaType", "digest", "size", "annotations"];

function isUsualDescriptor(value: unknown): value is Descriptor {
  if (!isRecord(value) || !hasOnly(value, DESCRIPTOR_KEYS)) return false;
  const { mediaType, digest, size, annotations } = value;
  return typeof mediaType === "string" && typeof digest === "string" && isDigest(digest) &&
    Number.isSafeInteger(size) && size as number >= 0 &&
    (annotations === undefined || areAnnotations(annotations));
}

function hasOnly(object: Record<string, unknown>, keys: readonly string[]): boolean {
  for (const key in object) if (!keys.includes(key)) return false;
  return true;
}

function areAnnotations(value: unknown): value is Record<string, string> {
  return isRecord(value) && isTexts(Object.values(value));
}

function ordered({ mediaType, digest, size, annotations }: Descriptor): Descriptor {
  return annotations === undefined
    ? { mediaType, digest, size }
    : { mediaType, digest, size, annotations };
}

function check<T>(schema: z.ZodType<T>, json: unknown): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw invalid(`${issue?.path.join(".") || "document"}: ${issue?.message ?? "invalid"}`);
}

function invalid(why: string, cause?: unknown): OciError {
  return new OciError("MANIFEST_INVALID", `Cannot read manifest: ${why}`, { cause });
}
