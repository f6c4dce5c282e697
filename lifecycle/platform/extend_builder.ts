/** A builder that extensions change: a private copy of its root, as it is before the buildpacks build in it. */
import type { Context } from "../../registry/context.ts";
import type { LayerCache } from "../extend/layer_cache.ts";
import { openUnpackedRoot } from "../extend/unpacked_root.ts";
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
  /** An existing private directory; the copy lies in it. */
  readonly scratch: string;
  /** `none`: commands have no network. */
  readonly network?: "host" | "none" | undefined;
  /** Gets what commands print. */
  readonly output: (bytes: Uint8Array) => void;
}

/**
 * Unpacks the builder once more and carries the Dockerfiles out in it, so that nobody else's build ever sees
 * what they did. The copy is removed with `stack`.
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
  let tree = builder.tree;
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
        signal,
      };
      const root = stack.use(await openUnpackedRoot(options));
      tree = root.root;
      return root;
    },
    cache: request.cache,
    applyAll: true,
    buildId: crypto.randomUUID(),
    output: request.output,
  }, ctx);
  // Where only the config was changed there is no copy, and none is needed.
  return await extendedRoot(builder, image, tree);
}
