/** A layer for image and cache alike is read once: its tar goes to the cache while the image's blob is made of it. */
import type { Context } from "../../registry/context.ts";
import { type Digest, isDigest } from "../../registry/oci/digest.ts";
import type { Cache, SpooledLayer } from "../cache/cache.ts";
import type { CacheMetadata } from "../file/lifecycle_metadata.ts";
import { decideCached } from "./export_decide.ts";
import type { LayerPlan } from "./export_plan.ts";

/** Gets the plain tar of a layer while it is made. Nothing it does fails the layer. */
export interface LayerTee {
  /** Where the tar may be written instead, by another process. */
  readonly path: string | undefined;
  /** Takes a block; it is the caller's again afterwards. */
  write(block: Uint8Array): void;
  /** That was all of it. */
  end(diffId: Digest): void;
}

/** Tars that wait for the draft of the cache. Disposing drops those that nobody took. */
export class CacheSpools implements AsyncDisposable {
  readonly #cache: Cache;
  readonly #before: CacheMetadata;
  readonly #ctx: Context;
  readonly #open = new Set<SpooledLayer>();
  readonly #whole = new Map<string, { readonly layer: SpooledLayer; readonly diffId: Digest }>();

  private constructor(cache: Cache, before: CacheMetadata, ctx: Context) {
    this.#cache = cache;
    this.#before = before;
    this.#ctx = ctx;
  }

  /** For layers that go to `cache`. */
  static async of(cache: Cache | undefined, ctx: Context): Promise<CacheSpools | undefined> {
    return cache?.spool && new CacheSpools(cache, await cache.metadata(), ctx);
  }

  /**
   * Where the tar of a layer goes besides; `undefined` when the cache does not want it, or may have it already.
   *
   * @param diffId What the layer is, when that is known before it is made.
   */
  async tee(
    { id, layer }: Pick<LayerPlan, "id" | "layer">,
    diffId: Digest | undefined,
  ): Promise<LayerTee | undefined> {
    if (!layer || decideCached(layer.file.types, layer.hasDirectory) !== "cache") return undefined;
    const known = this.#before.buildpacks.find(({ key }) => key === layer.member.id)?.layers ?? {};
    const before = Object.hasOwn(known, layer.name) ? known[layer.name]?.sha : undefined;
    const mayBeThere = before !== undefined && isDigest(before);
    if (mayBeThere && (diffId === undefined || diffId === before)) return undefined;
    let spool: SpooledLayer | undefined;
    const fail = (error: unknown) => {
      // The cache is written from the tree later, and says then what is wrong with it (SV-3).
      this.#ctx.log.debug(`Layer '${id}' is read once more for the cache: ${error}`);
      spool = undefined;
    };
    try {
      spool = await this.#cache.spool!();
      this.#open.add(spool);
    } catch (error) {
      fail(error);
      return undefined;
    }
    return {
      path: spool.path,
      write: (block) => {
        try {
          spool?.write(block);
        } catch (error) {
          fail(error);
        }
      },
      end: (diffId) => {
        if (spool !== undefined) this.#whole.set(id, { layer: spool, diffId });
      },
    };
  }

  /** The whole tar of the layer `id`, if it is there. */
  get(id: string): { readonly layer: SpooledLayer; readonly diffId: Digest } | undefined {
    return this.#whole.get(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const layer of this.#open) {
      await layer.drop().catch((error) => this.#ctx.log.debug(`Cannot clear the cache: ${error}`));
    }
  }
}
