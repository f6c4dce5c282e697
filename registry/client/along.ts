/** Configs that came, or are to go, in one message with their manifests. */
import { MANIFEST_BYTES, MAX_ALONG } from "../along.ts";
import { algorithmOf, type Digest, digestOf } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { type Document, parseDocument } from "../oci/manifest.ts";
import { isManifestType } from "../oci/media_type.ts";
import type { RawManifest } from "../registry.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Kept at once; what is not there is asked for, or sent, by itself. */
const MAX_KEPT = 1024;

/** By repository and digest. */
export class Along {
  readonly #came = new Map<string, Bytes>();
  readonly #going = new Map<string, Bytes>();

  /** One came with `raw`; whoever wants it asks for it next. One that is not what the manifest says is none. */
  cameWith(repository: string, raw: RawManifest, config: Bytes): void {
    const digest = configOf(raw);
    if (digest === undefined || digestOf(config, algorithmOf(digest)) !== digest) return;
    keep(this.#came, `${repository} ${digest}`, config);
  }

  /** Gives the one that came, once. */
  taken(repository: string, digest: Digest): Bytes | undefined {
    const key = `${repository} ${digest}`;
    const config = this.#came.get(key);
    this.#came.delete(key);
    return config;
  }

  /** Its manifest is put next, and takes it along. `false`: it has to go by itself. */
  goesWith(repository: string, digest: Digest, config: Bytes): boolean {
    if (config.byteLength > MAX_ALONG || config.byteLength === 0) return false;
    keep(this.#going, `${repository} ${digest}`, config);
    return true;
  }

  /** What a document is to take along, until it {@linkcode went}. */
  going(repository: string, document: Document | undefined): Bytes | undefined {
    if (document?.kind !== "manifest") return undefined;
    return this.#going.get(`${repository} ${document.manifest.config.digest}`);
  }

  /** It is there. */
  went(repository: string, document: Document): void {
    if (document.kind !== "manifest") return;
    this.#going.delete(`${repository} ${document.manifest.config.digest}`);
  }
}

function keep(map: Map<string, Bytes>, key: string, bytes: Bytes): void {
  if (map.size >= MAX_KEPT) map.delete(map.keys().next().value!);
  map.set(key, bytes);
}

function configOf({ bytes, mediaType }: RawManifest): Digest | undefined {
  if (!isManifestType(mediaType)) return undefined;
  try {
    const document = parseDocument(bytes, mediaType);
    return document.kind === "manifest" ? document.manifest.config.digest : undefined;
  } catch (error) {
    if (isOciError(error)) return undefined; // said by whoever reads it
    throw error;
  }
}

/** Takes an answer apart: the manifest, and the config behind it if one came. */
export function takenApart(
  headers: Headers,
  bytes: Bytes,
): { readonly manifest: Bytes; readonly config?: Bytes } {
  const said = headers.get(MANIFEST_BYTES);
  const size = said !== null && /^[1-9]\d{0,8}$/.test(said) ? Number(said) : bytes.byteLength;
  if (size >= bytes.byteLength) return { manifest: bytes };
  return { manifest: bytes.slice(0, size), config: bytes.slice(size) };
}
