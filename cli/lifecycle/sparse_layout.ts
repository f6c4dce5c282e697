/** An OCI layout without layers: what an extender needs to know of its base (RE-2). */
import type { Image } from "../../registry/image.ts";

/** Where extenders look for images and keep their layers; there when a platform wants images extended. */
export const KANIKO = "/kaniko";

/** Writes manifest and config of `image` as a layout in `dir`; one that is there is replaced file by file. */
export async function saveSparse(image: Image, dir: string): Promise<void> {
  const { raw, manifest, rawConfig } = image;
  await Deno.mkdir(`${dir}/blobs/sha256`, { recursive: true });
  const blob = (digest: string) => `${dir}/blobs/${digest.replace(":", "/")}`;
  await Deno.writeFile(blob(manifest.config.digest), rawConfig);
  await Deno.writeFile(blob(raw.digest), raw.bytes);
  const { mediaType, digest, bytes } = raw;
  const index = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [{ mediaType, size: bytes.byteLength, digest }],
  };
  await Deno.writeTextFile(`${dir}/index.json`, JSON.stringify(index));
  await Deno.writeTextFile(`${dir}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}');
}
