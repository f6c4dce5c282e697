import type { Context } from "../../registry/context.ts";
import type { Layer } from "../../registry/image.ts";
import type { Owner } from "../../registry/layer/entry.ts";
import { openFileCapabilities } from "../../registry/layer/libc.ts";
import type { Step } from "../dockerfile/parse.ts";
import { applyLayer, canApply } from "../extend/apply_layer.ts";
import { cacheKey, type StepLayer } from "../extend/layer_cache.ts";
import type { ExtendRoot } from "../extend/root.ts";
import { differenceEntries } from "../extend/snapshot.ts";
import type { ExtendInput } from "./extend_types.ts";

/** Changes when the same instruction would make something else than before. */
const CACHE_VERSION = 3;

/** The files of an image while it is extended, as far as they are needed: what the cache knows is not done again. */
export class ExtendWork {
  readonly #input: Pick<ExtendInput, "cache" | "openRoot">;
  readonly #ctx: Context;
  /** Of all that was done so far. */
  #key: string;
  /** Came from the cache and is not yet in the root. */
  #pending: Layer[] = [];
  #root: ExtendRoot | undefined;

  /** Opens nothing yet. */
  constructor(input: Pick<ExtendInput, "base" | "cache" | "openRoot">, ctx: Context) {
    this.#input = input;
    this.#ctx = ctx;
    this.#key = cacheKey([CACHE_VERSION, input.base.raw.digest]);
  }

  /**
   * Takes the layer of an instruction from the cache, or carries the instruction out and keeps what changed.
   *
   * @param parts All that the layer is made from, beside what was done before.
   * @param act Changes the root; the owner it gives back is that of what it made, where the disk does not tell.
   */
  async cached(
    parts: readonly unknown[],
    step: Step,
    act: (root: ExtendRoot) => Promise<Owner>,
  ): Promise<StepLayer> {
    const { cache } = this.#input;
    const ctx = this.#ctx;
    this.#key = cacheKey([this.#key, ...parts]);
    const known = await cache.get(this.#key);
    if (known !== undefined) {
      ctx.log.info(`Using cached layer of ${step.text.split("\n")[0]}`);
      if (known !== null) this.#pending.push(known);
      return known;
    }
    ctx.log.info(step.text.split("\n")[0]!);
    const root = await this.#open();
    const owner = await act(root);
    const changes = await root.changes(ctx.signal);
    // What was there before is as it was in the image; only whose it was nobody here knows.
    const ownerOf = root.realOwners
      ? undefined
      : (path: string) =>
        changes.isOld(path) ? { uid: 0, gid: 0 } : { uid: owner.uid, gid: owner.gid };
    // In a user namespace of one id they mean something else, and layers of users would differ from those of root.
    using capabilities = root.realOwners ? openFileCapabilities() : undefined;
    const notes = { owner: ownerOf, capability: capabilities?.get };
    const entries = [...differenceEntries(changes, notes)];
    // What cannot be made again has to be made anew each time.
    const key = entries.every(({ type }) => canApply(type)) ? this.#key : crypto.randomUUID();
    return await cache.put(key, entries, ctx.signal);
  }

  /** Brings the root to where the cache has brought us. */
  async settle(): Promise<void> {
    if (this.#pending.length > 0) await this.#open();
  }

  /** Opens the root at the first change, and settles it. */
  async #open(): Promise<ExtendRoot> {
    const { signal } = this.#ctx;
    if (this.#root === undefined) {
      this.#root = await this.#input.openRoot();
      await this.#root.changes(signal); // as the image has it
    }
    if (this.#pending.length > 0) {
      for (const layer of this.#pending) await applyLayer(this.#root, layer, signal);
      this.#pending = [];
      await this.#root.changes(signal);
    }
    return this.#root;
  }
}
