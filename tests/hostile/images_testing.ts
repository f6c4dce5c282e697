/** Images that lie: documents and blobs as an attacker would push them, and a registry that hands them out. */
import { gzipSync } from "node:zlib";
import { type QuirkServer, quirkServer } from "../../registry/client/quirk_testing.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";

/** Bytes of a text. */
export const text = (value: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(value);

const HEX = "a".repeat(64);
/** A digest nobody has content for. */
export const NOWHERE = `sha256:${HEX}`;

/** A descriptor of `bytes`, as JSON keeps it; `change` makes it lie. */
export function descriptor(
  bytes: Uint8Array,
  mediaType: string = MediaType.ociConfig,
  change: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return { mediaType, digest: digestOf(bytes), size: bytes.byteLength, ...change };
}

/** What a hostile registry serves. */
export interface Served {
  /** The document behind every tag and behind its digest. */
  readonly manifest: Uint8Array<ArrayBuffer>;
  /** Its Content-Type. */
  readonly contentType?: string | undefined;
  /** Content by digest, whatever the digest says. */
  readonly blobs?: Readonly<Record<string, Uint8Array<ArrayBuffer>>> | undefined;
}

/** A registry that serves one lie to everybody. */
export function lyingRegistry(
  { manifest, contentType = MediaType.ociManifest, blobs = {} }: Served,
): QuirkServer {
  return quirkServer(({ method, url }) => {
    const blob = /\/blobs\/(.+)$/.exec(url)?.[1];
    const body = blob === undefined ? manifest : blobs[decodeURIComponent(blob)];
    if (body === undefined) return new Response(null, { status: 404 });
    const headers = {
      "content-type": blob === undefined ? contentType : "application/octet-stream",
      "content-length": String(body.byteLength),
    };
    return new Response(method === "HEAD" ? null : body, { headers });
  });
}

/** An image of one layer; what is left out is honest. */
export function imageOf(
  change: {
    readonly config?: Readonly<Record<string, unknown>>;
    readonly layers?: readonly unknown[];
    readonly manifest?: Readonly<Record<string, unknown>>;
    readonly labels?: Readonly<Record<string, string>>;
  } = {},
): Served {
  const tar = new Uint8Array(1024);
  const layer = new Uint8Array(gzipSync(tar));
  const config = text(JSON.stringify({
    os: "linux",
    architecture: "amd64",
    config: { Labels: change.labels ?? {} },
    rootfs: { type: "layers", diff_ids: [digestOf(tar)] },
    ...change.config,
  }));
  const manifest = text(JSON.stringify({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: descriptor(config),
    layers: change.layers ?? [descriptor(layer, MediaType.ociLayerGzip)],
    ...change.manifest,
  }));
  return { manifest, blobs: { [digestOf(config)]: config, [digestOf(layer)]: layer } };
}

/** Things that are written where a digest belongs (M-02). */
export const WRONG_DIGESTS: readonly unknown[] = [
  "sha256:../../../../etc/passwd",
  `sha256:${HEX.slice(1)}`,
  `sha256:${HEX}a`,
  `sha256:${HEX.toUpperCase()}`,
  `SHA256:${HEX}`,
  `sha256:${HEX.slice(1)}\uff41`,
  `sha256:${HEX}\n`,
  ` sha256:${HEX}`,
  `md5:${"a".repeat(32)}`,
  `sha1:${"a".repeat(40)}`,
  `sha512:${HEX}`,
  `sha512:${"a".repeat(64)}`,
  "sha256:",
  "",
  "sha256",
  null,
  7,
  ["sha256"],
  `sha256:${"a".repeat(1024 * 1024)}`,
];
