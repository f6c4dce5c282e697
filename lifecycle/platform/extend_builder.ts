/** A builder that extensions change: a root of one build over its own, as it is before the buildpacks build in it. */
import type { Context } from "../../registry/context.ts";
import type { LayerCache } from "../extend/layer_cache.ts";
import { openUnpackedRoot, type UnpackedRoot } from "../extend/unpacked_root.ts";
import { extend } from "../phase/extend.ts";
import type { ExtensionDockerfile } from "../phase/extend_types.ts";
import { type BuilderRoot, extendedRoot } from "./builder_root.ts";

/** What {@linkcode extendBuilder} starts from. */
export interface ExtendBuilderRequest {
  /** The builder as it is; its tree is shared and stays so. */
  readonly builder: BuilderRoot;
  /** In group order. */
  readonly dockerfiles: readonly ExtensionDockerfile[];
  /** Where layers of instructions are kept. */
  readonly cache: LayerCache;
  /** The helper's executable. */
  readonly helper: string;
  /** An existing private directory; what is changed lies in it. */
  readonly scratch: string;
  /** `none`: commands have no network. */
  readonly network?: "host" | "none" | undefined;
  /** See `ExtendInput.passing`. */
  readonly passing: Readonly<Record<string, string>>;
  /** Gets what commands print. */
  readonly output: (bytes: Uint8Array) => void;
}

/**
 * Carries the Dockerfiles out in a root over the builder's, or in a copy, so that nobody else's build ever sees what
 * they did. It is removed with `stack`.
 *
 * @throws {LifecycleError} 102 when a Dockerfile cannot be carried out here.
 */
export async function extendBuilder(
  request: ExtendBuilderRequest,
  stack: AsyncDisposableStack,
  ctx: Context,
): Promise<BuilderRoot> {
  const { builder, helper, network, scratch } = request;
  const { signal } = ctx;
  let changed: UnpackedRoot | undefined;
  const { image } = await extend({
    kind: "build",
    base: builder.image,
    dockerfiles: request.dockerfiles,
    openRoot: async () => {
      const { layers } = builder.image;
      const options = {
        helper,
        layers,
        scratchDir: scratch,
        network,
        entry: builder.entry,
        openTree: () => Promise.resolve(builder.tree),
        signal,
      };
      return changed = stack.use(await openUnpackedRoot(options));
    },
    cache: request.cache,
    applyAll: true,
    buildId: crypto.randomUUID(),
    passing: request.passing,
    output: request.output,
  }, ctx);
  // Where only the config was changed there is no other root, and none is needed.
  return await extendedRoot(builder, image, changed);
}
