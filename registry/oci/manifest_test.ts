import { deepEqual, equal, throws } from "node:assert/strict";
import { embedded } from "./descriptor.ts";
import { digestOf } from "./digest.ts";
import { isOciError } from "./error.ts";
import { parseDocument } from "./manifest.ts";
import { bareMediaType, isForeignLayerType, MediaType } from "./media_type.ts";

const bytesOf = (value: unknown) =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const digest = digestOf(bytesOf("x"));
const layer = { mediaType: MediaType.ociLayer, digest, size: 1 };
const manifest = {
  schemaVersion: 2,
  mediaType: MediaType.ociManifest,
  config: { mediaType: MediaType.ociConfig, digest, size: 1 },
  layers: [layer],
};

const refused = (text: unknown, type: string | undefined, words: RegExp) =>
  throws(
    () => parseDocument(bytesOf(text), type),
    (error) => isOciError(error, "MANIFEST_INVALID") && words.test(error.message),
  );

Deno.test("C-MT-06 what nobody knows stays, at every depth", () => {
  const more = { ...manifest, "org.example": { a: [1] }, layers: [{ ...layer, "x-y": "z" }] };
  const document = parseDocument(bytesOf(more), MediaType.ociManifest);
  if (document.kind !== "manifest") throw new Error("an index?");
  deepEqual(document.manifest, more);
});

Deno.test("C-MT-06 the same key twice is refused where it decides", () => {
  const text = JSON.stringify(manifest);
  refused(text.replace("{", `{"layers":[],`), MediaType.ociManifest, /layers/);
  refused(text.replace(`"size":1`, `"size":1,"size":2`), MediaType.ociManifest, /size/);
});

Deno.test("C-MT-02 both kinds at once, or another type than it came with, is neither", () => {
  refused({ ...manifest, manifests: [] }, undefined, /keys of an image and of an index/);
  refused(manifest, MediaType.dockerManifest, /came as .*docker.* calls itself .*oci/);
  equal(bareMediaType("Application/Vnd.X+JSON; charset=utf-8"), "application/vnd.x+json");
});

Deno.test("C-MT-03 schema 1 is refused in plain words", () => {
  refused({ schemaVersion: 1, fsLayers: [] }, undefined, /schema 1 images are too old/);
  const signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
  refused({ schemaVersion: 1, signatures: [] }, signed, /schema 1 images are too old/);
});

Deno.test("C-MT-04 which layers need not be in a registry", () => {
  const types: Record<string, boolean> = {
    [MediaType.ociLayerZstd]: false,
    [MediaType.dockerLayerGzip]: false,
    "application/x-never-heard-of": false,
    [MediaType.dockerForeignLayerGzip]: true,
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd": true,
  };
  for (const [type, foreign] of Object.entries(types)) equal(isForeignLayerType(type), foreign);
});

Deno.test("C-MT-07 content in a descriptor counts when it is what the descriptor says", () => {
  const bytes = bytesOf(`{"a":1}`);
  const right = {
    mediaType: MediaType.ociConfig,
    digest: digestOf(bytes),
    size: bytes.byteLength,
    data: bytes.toBase64(),
  };
  deepEqual(embedded(right), bytes);
  for (
    const wrong of [
      { ...right, data: undefined },
      { ...right, data: "%%%" },
      { ...right, data: bytesOf(`{"a":2}`).toBase64() },
      { ...right, size: 8 },
      { ...right, size: 1 << 20 },
    ]
  ) equal(embedded(wrong), undefined);
});
