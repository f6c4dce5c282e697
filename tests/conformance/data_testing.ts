/** The documents a registry has to take, as the OCI conformance program makes them (S-CONF): ours, to the same purpose. */
import { type Digest, digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";

/** A name for bytes, as JSON has it. */
export interface Named {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly [key: string]: unknown;
}

/** A manifest with its name. */
export interface Pushed {
  readonly name: Named;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly subject?: Digest;
}

/** Blobs and manifests in an order in which they can be pushed; the last manifest is the point of it. */
export interface DataSet {
  readonly blobs: readonly Uint8Array<ArrayBuffer>[];
  readonly manifests: readonly Pushed[];
}

const CONFIG = "application/vnd.oci.image.config.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar";
const FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
const EMPTY = "application/vnd.oci.empty.v1+json";
const ARTIFACT = "application/vnd.example.thing";

/** JSON as bytes. */
export function encode(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** A name for `bytes`. */
export function nameOf(mediaType: string, bytes: Uint8Array, extra: object = {}): Named {
  return { mediaType, digest: digestOf(bytes), size: bytes.byteLength, ...extra };
}

/** Bytes that differ by `seed`. */
export function some(seed: number, size = 2000): Uint8Array<ArrayBuffer> {
  return new Uint8Array(size).map((_, at) => at * 31 + seed * 17 + (at >> 8));
}

function manifest(
  fields: Record<string, unknown>,
  mediaType: string = MediaType.ociManifest,
): Pushed {
  const bytes = encode({ schemaVersion: 2, mediaType, ...fields });
  const subject = fields["subject"] as Named | undefined;
  const { artifactType, annotations } = fields;
  const extra = {
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  };
  return {
    name: nameOf(mediaType, bytes, extra),
    bytes,
    ...(subject === undefined ? {} : { subject: subject.digest }),
  };
}

const bare = ({ mediaType, digest, size }: Named) => ({ mediaType, digest, size });

function image(seed: number, fields: Record<string, unknown> = {}, mediaType = `${LAYER}+gzip`) {
  const layers = [some(seed), some(seed + 1)];
  const config = encode({
    architecture: "amd64",
    os: "linux",
    created: `seed ${seed}`,
    rootfs: { type: "layers", diff_ids: layers.map((layer) => digestOf(layer)) },
  });
  const made = manifest({
    config: nameOf(CONFIG, config),
    layers: layers.map((layer) => nameOf(mediaType, layer)),
    ...fields,
  });
  return { blobs: [...layers, config], manifests: [made] };
}

function artifact(seed: number, fields: Record<string, unknown> = {}) {
  const empty = encode({});
  const layer = some(seed);
  const made = manifest({
    artifactType: ARTIFACT,
    config: nameOf(EMPTY, empty),
    layers: [nameOf("application/x-thing", layer)],
    ...fields,
  });
  return { blobs: [empty, layer], manifests: [made] };
}

function index(sets: readonly DataSet[], fields: Record<string, unknown> = {}): DataSet {
  const children = sets.flatMap((set) => set.manifests.slice(-1));
  const made = manifest(
    { manifests: children.map(({ name }) => bare(name)), ...fields },
    MediaType.ociIndex,
  );
  return {
    blobs: sets.flatMap((set) => set.blobs),
    manifests: [...sets.flatMap((set) => set.manifests), made],
  };
}

function withSubject(subject: DataSet, ...referrers: readonly DataSet[]): DataSet {
  const all = [subject, ...referrers];
  return {
    blobs: all.flatMap((set) => set.blobs),
    manifests: all.flatMap((set) => set.manifests),
  };
}

const subjectOf = (set: DataSet) => bare(set.manifests.at(-1)!.name);

/** All sets by name. */
export function dataSets(): Readonly<Record<string, DataSet>> {
  const plain = image(1);
  const layers = { layers: [nameOf(FOREIGN, some(99), { urls: ["https://elsewhere.example/x"] })] };
  const subject = subjectOf(plain);
  const config = encode({ created: "in line" });
  const inline = image(13, { config: nameOf(CONFIG, config, { data: config.toBase64() }) });
  return {
    "image": plain,
    "image, uncompressed": image(3, {}, LAYER),
    "image with a manifest of 3.9 MB": image(5, { annotations: { long: "x".repeat(3_900_000) } }),
    "image without layers": image(7, { layers: [] }),
    "image with layers that are not distributed": image(9, layers),
    "image with fields of its own": image(11, { "org.example": { a: [1, "b", null] }, zz: 1e3 }),
    "image with its config in the descriptor": {
      ...inline,
      blobs: [...inline.blobs, config],
    },
    "index": index([plain, image(15)]),
    "index in an index": index([index([plain]), image(17)]),
    "index of nothing": index([]),
    "artifact": artifact(19),
    "artifact whose layer is {}": artifact(21, { layers: [nameOf(EMPTY, encode({}))] }),
    "index of artifacts": index([artifact(23), artifact(25)], { artifactType: ARTIFACT }),
    "referrers of an image": withSubject(
      plain,
      artifact(27, { subject, annotations: { "org.example.at": "now" } }),
      artifact(29, { subject, artifactType: "application/vnd.example.other" }),
    ),
    "referrer before its subject": { ...withSubject(artifact(31, { subject }), plain) },
    "index with a subject": withSubject(
      plain,
      index([image(33)], { subject, artifactType: ARTIFACT }),
    ),
    "subject that never comes": artifact(35, { subject: nameOf(MediaType.ociManifest, some(97)) }),
  };
}
