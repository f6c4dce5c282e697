/** Brings layers of bases into repositories, once, and knows where they are. */
import type { HostFacts, RegistryClient } from "../../registry/client/options.ts";
import { type Image, pushLayer } from "../../registry/image.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import type { Registry, RowOptions } from "../../registry/registry.ts";

/** How contents are brought. */
export interface Bringing extends RowOptions {
  /** Ends it. */
  readonly signal: AbortSignal;
  /** The same for its config alone. */
  readonly configRow?: RowOptions["row"];
  /** Called when it is this act that brings the base. */
  readonly onBase?: (() => void) | undefined;
  /** Called when all that is needed has left; of an index never. */
  readonly onLeft?: (() => void) | undefined;
}

/** What earlier commands know of registries, and of bases in repositories. `place` is a registry's host and a repository. */
export interface KnownBases {
  /** Whether it is there; where the registry `refuses` manifests that lack something that is believed for longer. */
  has(place: string, base: Digest, refuses: boolean): Promise<boolean>;
  /** It is there. Nobody waits for it to be noted. */
  add(place: string, base: Digest): void;
  /** It is not there after all. */
  remove(place: string, base: Digest): void;
  /** What a registry was seen to do, not long ago. */
  facts(host: string): Promise<HostFacts>;
  /** It was seen to. Nobody waits for it to be noted. */
  keepFacts(host: string, facts: HostFacts): void;
}

/** An earlier run saw them there; none had to be sent; some had. */
type BaseWay = "believed" | "mounted" | "sent";

/** Which repositories have which base: of many images in one repository the first brings it. One for each run. */
export class BaseLayers {
  readonly #there = new Map<string, Promise<void>>();
  /** By place, repository and digest. */
  readonly #configs = new Map<string, Promise<unknown>>();
  /** How they came to be there. */
  readonly #ways = new Map<string, BaseWay>();
  readonly #places = new Map<Registry, number>();
  readonly #noted = new Map<Registry, string>();
  readonly #recalled = new Map<Registry, Promise<void>>();
  readonly #known: KnownBases | undefined;

  /** `known` outlives the run; of registries only. */
  constructor(known?: KnownBases) {
    this.#known = known;
  }

  /** Adds what earlier runs saw of a registry to what it shows now; once for each. */
  recall(to: Registry): Promise<void> {
    const recalled = this.#recalled.get(to) ?? this.#recall(to);
    this.#recalled.set(to, recalled);
    return recalled;
  }

  async #recall(to: Registry): Promise<void> {
    if (!isRemote(to) || this.#known === undefined) return;
    const { refuses, singlePost, inOrder } = await this.#known.facts(to.name);
    this.#noted.set(to, JSON.stringify({ refuses, singlePost, inOrder }));
    const { facts } = to;
    facts.refuses ??= refuses;
    facts.singlePost ??= singlePost;
    facts.inOrder ??= inOrder;
  }

  /** What a registry showed meanwhile is noted for the next runs. */
  note(to: Registry): void {
    if (!isRemote(to) || this.#known === undefined) return;
    const { refuses, singlePost, inOrder } = to.facts;
    const facts = { refuses, singlePost, inOrder };
    if (this.#noted.get(to) === JSON.stringify(facts)) return;
    this.#noted.set(to, JSON.stringify(facts));
    this.#known.keepFacts(to.name, facts);
  }

  /** Whether it is worth a request to learn what the next runs can rely on. */
  get learns(): boolean {
    return this.#known !== undefined;
  }

  /** Brings the layers of `base` into `repository`, by mounting where the registry can; once. */
  async ensure(to: Registry, repository: string, base: Image, how: Bringing): Promise<void> {
    const key = this.#key(to, repository, base);
    let ensured = this.#there.get(key);
    if (ensured === undefined) {
      how.onBase?.();
      ensured = this.#bring(to, repository, base, how);
      // Others wait for this one; what it failed of, the next shall try again.
      ensured.catch(() => this.#there.delete(key));
      this.#there.set(key, ensured);
      return await ensured;
    }
    await ensured;
    how.onLeft?.();
  }

  /**
   * Pushes a config, unless that was done a moment ago or is being done: an image with several tags has one. Debian's docker-registry
   * refuses a manifest while somebody else pushes what it needs once more.
   */
  async config(
    to: Registry,
    repository: string,
    digest: Digest,
    push: () => Promise<unknown>,
    onLeft: () => void,
  ): Promise<void> {
    const key = `${this.#placeOf(to)} ${repository} ${digest}`;
    const before = this.#configs.get(key);
    if (before !== undefined && await before.then(() => true, () => false)) return onLeft();
    const pushing = push();
    this.#configs.set(key, pushing);
    pushing.catch(() => this.#configs.delete(key));
    const [oldest] = this.#configs.keys();
    if (this.#configs.size > MAX_CONFIGS) this.#configs.delete(oldest!);
    await pushing;
  }

  /** How they got there; `undefined` when they did not. */
  way(to: Registry, repository: string, base: Image): BaseWay | undefined {
    return this.#ways.get(this.#key(to, repository, base));
  }

  /** They are not there after all. */
  forget(to: Registry, repository: string, base: Image): void {
    this.#ways.delete(this.#key(to, repository, base));
    this.#there.delete(this.#key(to, repository, base));
    this.#configs.clear(); // they may be gone as well
    if (isRemote(to)) this.#known?.remove(`${to.name}/${repository}`, base.raw.digest);
  }

  async #bring(to: Registry, repository: string, base: Image, how: Bringing): Promise<void> {
    const known = isRemote(to) ? this.#known : undefined;
    const place = `${to.name}/${repository}`;
    const { digest } = base.raw;
    if (isRemote(to) && await known?.has(place, digest, to.facts.refuses === true)) {
      this.#ways.set(this.#key(to, repository, base), "believed");
      return how.onLeft?.();
    }
    const sent = await pushAll(base, base.layers.length, to, repository, how);
    this.#ways.set(this.#key(to, repository, base), sent ? "sent" : "mounted");
    known?.add(place, digest);
  }

  #key(to: Registry, repository: string, base: Image): string {
    return `${this.#placeOf(to)} ${repository} ${base.raw.digest}`;
  }

  #placeOf(to: Registry): number {
    let place = this.#places.get(to);
    if (place === undefined) this.#places.set(to, place = this.#places.size);
    return place;
  }
}

/** So many are remembered: tags of one image come one soon after the other. */
const MAX_CONFIGS = 1000;

/** It is asked over a wire. */
export function isRemote(to: Registry): to is RegistryClient {
  return "facts" in to;
}

/** Layers under way at once: a mount is one small request. */
const AT_ONCE = 8;

/** Brings the first `count` layers; whether any had to be sent. */
export async function pushAll(
  image: Image,
  count: number,
  to: Registry,
  repository: string,
  { signal, row, onLeft }: Bringing,
): Promise<boolean> {
  const queue = image.layers.slice(0, count);
  let sent = false;
  let left = queue.length;
  if (left === 0) onLeft?.();
  const work = async () => {
    for (let layer = queue.shift(); layer !== undefined; layer = queue.shift()) {
      signal.throwIfAborted();
      const moved = await pushLayer(layer, to, repository, {
        signal,
        row,
        onLeft: once(() => {
          if (--left === 0) onLeft?.();
        }),
      });
      sent ||= moved === "uploaded";
    }
  };
  const hands = row === undefined ? AT_ONCE : queue.length; // nobody waits for an answer
  const done = await Promise.allSettled(Array.from({ length: hands }, work));
  for (const result of done) if (result.status === "rejected") throw result.reason;
  return sent;
}

/** Sent again it has left before. */
export function once(act: () => void): () => void {
  let done = false;
  return () => {
    if (!done) act();
    done = true;
  };
}
