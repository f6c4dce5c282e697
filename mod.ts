/**
 * wherry as a library: images, the places they live in, and the one way they move.
 *
 * Everything here works on values and streams; nothing reads flags or prints.
 *
 * @example Put a small image into a registry in memory and read it back
 * ```ts
 * import { bytesSource, digestOf, makeImage, memoryRegistry, pushImage, readImage } from "./mod.ts";
 *
 * const registry = memoryRegistry();
 * const image = makeImage({
 *   os: "linux",
 *   architecture: "amd64",
 *   config: { Entrypoint: ["/app"] },
 *   rootfs: { type: "layers", diff_ids: [] },
 * }, []);
 * await pushImage(image, registry, "team/app", { tags: ["1.0"] });
 *
 * const again = await readImage(registry, "team/app", "1.0", { os: "linux", architecture: "amd64" });
 * console.assert(again?.raw.digest === image.raw.digest);
 *
 * const bytes = new TextEncoder().encode("hello");
 * const blob = { mediaType: "text/plain", digest: digestOf(bytes), size: bytes.byteLength };
 * console.assert(await registry.pushBlob("team/app", blob, bytesSource(bytes)) === "uploaded");
 * ```
 *
 * @module
 */
export * from "./registry/oci/config.ts";
export type { Descriptor, Platform } from "./registry/oci/descriptor.ts";
export * from "./registry/oci/digest.ts";
export * from "./registry/oci/error.ts";
export * from "./registry/oci/manifest.ts";
export * from "./registry/oci/media_type.ts";
export * from "./registry/oci/platform.ts";
export * from "./registry/oci/reference.ts";
export * from "./registry/context.ts";
export * from "./registry/copy.ts";
export type { TagExpectation, UnmetDetail } from "./registry/expectation.ts";
export * from "./registry/image.ts";
export * from "./registry/memory.ts";
export * from "./registry/registry.ts";
export { type Line, Row, type RowPlace } from "./registry/row.ts";
export * from "./registry/source.ts";
