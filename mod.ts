/**
 * wherry as a library: images, the places they live in, and the one way they move.
 *
 * Everything here works on values and streams; nothing reads flags or prints. A place is a {@linkcode Registry},
 * whatever it is: {@linkcode connectRegistry}, {@linkcode openStore}, {@linkcode openLayout} and
 * {@linkcode memoryRegistry} open one. Names are words of the OCI specifications.
 *
 * @example Put a small image into a registry in memory and read it back
 * ```ts
 * import assert from "node:assert/strict";
 * import { makeImage, memoryRegistry, pushImage, readImage } from "./mod.ts";
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
 * assert.equal(again?.raw.digest, image.raw.digest);
 * ```
 *
 * @example Serve a store, and copy from it what another machine would copy
 * ```ts
 * import assert from "node:assert/strict";
 * import { connectRegistry, copy, createServer, makeImage, openLayout, openStore, pushImage, serve } from "./mod.ts";
 *
 * const dir = await Deno.makeTempDir();
 * {
 *   await using store = await openStore(`${dir}/store`);
 *   const config = { os: "linux", architecture: "amd64", config: {} };
 *   const image = makeImage({ ...config, rootfs: { type: "layers", diff_ids: [] } }, []);
 *   await pushImage(image, store, "team/app", { tags: ["1.0"] });
 *
 *   await using listening = await serve(createServer(store), { listen: { hostname: "127.0.0.1", port: 0 } });
 *   await using registry = connectRegistry(new URL(listening.url).host);
 *   const layout = await openLayout(`${dir}/layout`, { create: true });
 *   const copied = await copy(registry, "team/app", "1.0", layout, "layout", { tags: ["1.0"] });
 *   assert.equal(copied.descriptor.digest, image.raw.digest);
 * }
 * await Deno.remove(dir, { recursive: true });
 * ```
 *
 * @module
 */

// Words: no input, no output.
export * from "./registry/oci/config.ts";
export type { Descriptor, Platform } from "./registry/oci/descriptor.ts";
export {
  type Algorithm,
  algorithmOf,
  type Digest,
  Digester,
  digestOf,
  hexOf,
  isDigest,
  parseDigest,
} from "./registry/oci/digest.ts";
export * from "./registry/oci/error.ts";
export {
  childrenOf,
  type Document,
  type Index,
  type Manifest,
  parseDocument,
} from "./registry/oci/manifest.ts";
export * from "./registry/oci/media_type.ts";
export * from "./registry/oci/platform.ts";
export * from "./registry/oci/reference.ts";

// Images, and how they move.
export * from "./registry/context.ts";
export * from "./registry/copy.ts";
export type { TagExpectation, UnmetDetail } from "./registry/expectation.ts";
export * from "./registry/image.ts";
export * from "./registry/registry.ts";
export { type Line, Row, type RowPlace } from "./registry/row.ts";
export * from "./registry/source.ts";

// Places.
export { connectRegistry } from "./registry/client/client.ts";
export type * from "./registry/client/options.ts";
export * from "./registry/memory.ts";
export { LAYOUT_REPOSITORY, type LayoutOptions, openLayout } from "./registry/store/layout.ts";
export * from "./registry/store/store.ts";
export type {
  Answer,
  AnswerBody,
  Ask,
  BodyReader,
  FileBody,
  HeaderView,
} from "./registry/server/http/message.ts";
export type { Patience } from "./registry/server/http/pace.ts";
export type { ApiRequest, Page } from "./registry/server/request.ts";
export * from "./registry/server/serve.ts";
export * from "./registry/server/server.ts";
