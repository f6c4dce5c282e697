/** Writes what {@linkcode prepareRebase} computed: base layers by name, config, manifests, and at last the tags. */
import { copy } from "../../registry/copy.ts";
import type { TagExpectation } from "../../registry/expectation.ts";
import type { RegistryClient } from "../../registry/client/options.ts";
import { type Image, pushLayer } from "../../registry/image.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import { isOciError } from "../../registry/oci/error.ts";
import type { Registry } from "../../registry/registry.ts";
import { bytesSource } from "../../registry/source.ts";
import type { PreparedRebase, RebasedImage } from "./rebase_read.ts";

/** A name the result gets. */
export interface RebaseTarget {
  /** The repository in the place. */
  readonly repository: string;
  /** The tag; without one the result is there by its digest. */
  readonly tag?: string | undefined;
  /** What the tag has to name for it to move: nobody's change is lost (demand 30). */
  readonly expect?: TagExpectation["is"] | undefined;
}

/** What earlier commands know of bases in repositories. `place` is a registry's host and a repository. */
export interface KnownBases {
  /** Whether it is there; where the registry `refuses` manifests that lack something that is believed for longer. */
  has(place: string, base: Digest, refuses: boolean): Promise<boolean>;
  /** It is there. Nobody waits for it to be noted. */
  add(place: string, base: Digest): void;
  /** It is not there after all. */
  remove(place: string, base: Digest): void;
}

/** Which repositories have which base: of many images in one repository the first brings it. One for each run. */
export class BaseLayers {
  readonly #there = new Map<string, Promise<void>>();
  readonly #places = new Map<Registry, number>();
  readonly #known: KnownBases | undefined;

  /** `known` outlives the run; of registries only. */
  constructor(known?: KnownBases) {
    this.#known = known;
  }

  /** Brings the layers of `base` into `repository`, by mounting where the registry can; once. */
  async ensure(to: Registry, repository: string, base: Image, signal: AbortSignal): Promise<void> {
    const key = this.#key(to, repository, base);
    let ensured = this.#there.get(key);
    if (ensured === undefined) {
      ensured = this.#bring(to, repository, base, signal);
      // Others wait for this one; what it failed of, the next shall try again.
      ensured.catch(() => this.#there.delete(key));
      this.#there.set(key, ensured);
    }
    await ensured;
  }

  /** They are not there after all. */
  forget(to: Registry, repository: string, base: Image): void {
    this.#there.delete(this.#key(to, repository, base));
    if (isRemote(to)) this.#known?.remove(`${to.name}/${repository}`, base.raw.digest);
  }

  async #bring(to: Registry, repository: string, base: Image, signal: AbortSignal): Promise<void> {
    const known = isRemote(to) ? this.#known : undefined;
    const place = `${to.name}/${repository}`;
    const { digest } = base.raw;
    if (isRemote(to) && await known?.has(place, digest, to.careful)) return;
    await pushAll(base, base.layers.length, to, repository, signal);
    known?.add(place, digest);
  }

  #key(to: Registry, repository: string, base: Image): string {
    let place = this.#places.get(to);
    if (place === undefined) this.#places.set(to, place = this.#places.size);
    return `${place} ${repository} ${base.raw.digest}`;
  }
}

function isRemote(to: Registry): to is RegistryClient {
  return "careful" in to;
}

/** Layers under way at once: a mount is one small request. */
const AT_ONCE = 8;

async function pushAll(
  image: Image,
  count: number,
  to: Registry,
  repository: string,
  signal: AbortSignal,
): Promise<void> {
  const queue = image.layers.slice(0, count);
  const work = async () => {
    for (let layer = queue.shift(); layer !== undefined; layer = queue.shift()) {
      signal.throwIfAborted();
      await pushLayer(layer, to, repository, { signal });
    }
  };
  const done = await Promise.allSettled(Array.from({ length: AT_ONCE }, work));
  for (const result of done) if (result.status === "rejected") throw result.reason;
}

/**
 * Writes the result into the repositories of `targets`, then sets their tags, in order. No tag moves before all it
 * needs is there. With nothing to change, a tag that is where the image was read is left alone.
 *
 * @param to The one place all targets are in.
 * @returns How many tags were set.
 * @throws {OciError} `PRECONDITION_FAILED` when a tag is not where it was expected.
 */
export async function writeRebase(
  prepared: PreparedRebase,
  to: Registry,
  targets: readonly RebaseTarget[],
  bases: BaseLayers,
  signal: AbortSignal,
): Promise<number> {
  const { source, old, made } = prepared;
  let set = 0;
  for (const repository of new Set(targets.map((target) => target.repository))) {
    const home = (source.registry as unknown) === to && source.repository === repository;
    const tags = targets.filter((target) =>
      target.repository === repository &&
      !(home && old === made && (target.tag ?? source.reference) === source.reference)
    );
    if (tags.length === 0) continue;
    const glance = () => {
      // The last bytes have left: what the tags are is asked while they are on their way.
      if (!isRemote(to)) return;
      for (const { tag, expect } of tags) {
        if (tag !== undefined && expect !== undefined) to.glance(repository, tag, { signal });
      }
    };
    const bring = () => pushContents(prepared, to, repository, home, bases, signal, glance);
    const surely = async (act: () => Promise<void>) => {
      try {
        await act();
      } catch (error) {
        if (!isOciError(error, "MANIFEST_BLOB_UNKNOWN")) throw error;
        // What we believed to be there was collected meanwhile: brought again, once.
        for (const { base } of prepared.images) bases.forget(to, repository, base);
        await bring();
        if (act !== bring) await act();
      }
    };
    await surely(bring);
    for (const target of tags) {
      await surely(() => putTop(prepared, to, target, signal));
      set++;
    }
  }
  return set;
}

async function putTop(
  { made }: PreparedRebase,
  to: Registry,
  { repository, tag, expect }: RebaseTarget,
  signal: AbortSignal,
): Promise<void> {
  await to.pushManifest(repository, { mediaType: made.mediaType, bytes: made.bytes }, {
    signal,
    ...(tag === undefined ? {} : { tags: [tag] }),
    ...(tag === undefined || expect === undefined ? {} : { expect: [{ tag, is: expect }] }),
    ...digestOption(made.digest),
  });
}

async function pushContents(
  { source, images, kept, made }: PreparedRebase,
  to: Registry,
  repository: string,
  home: boolean,
  bases: BaseLayers,
  signal: AbortSignal,
  onLast: () => void = () => {},
): Promise<void> {
  const isIndex = !(images.length === 1 && images[0]!.made.raw === made);
  for (const child of home ? [] : kept) {
    await copy(source.registry, source.repository, child.digest, to, repository, {
      signal,
      tags: [],
    });
  }
  await Promise.all(images.map(async (image) => {
    if (home && image.old === image.made) return;
    await pushImage(image, to, repository, home, bases, signal, isIndex ? () => {} : onLast);
    if (!isIndex) return;
    const { raw } = image.made;
    await to.pushManifest(repository, { mediaType: raw.mediaType, bytes: raw.bytes }, {
      signal,
      ...digestOption(raw.digest),
    });
  }));
}

async function pushImage(
  { made, base }: RebasedImage,
  to: Registry,
  repository: string,
  home: boolean,
  bases: BaseLayers,
  signal: AbortSignal,
  onConfig: () => void,
): Promise<void> {
  const own = { ...made, layers: made.layers.slice(base.layers.length) };
  const { config } = made.manifest;
  let sent = 0;
  const acts = [
    bases.ensure(to, repository, base, signal),
    ...(home ? [] : [pushAll(own, own.layers.length, to, repository, signal)]),
    // Made this moment, so nobody has it.
    to.pushBlob(repository, config, bytesSource(made.rawConfig), {
      signal,
      fresh: true,
      manifestFollows: true,
      onProgress: (bytes) => {
        if ((sent += bytes) === config.size) onConfig();
      },
    }),
  ];
  const done = await Promise.allSettled(acts);
  for (const result of done) if (result.status === "rejected") throw result.reason;
}

/** Said only when it is not the usual one. */
function digestOption(digest: Digest): { readonly digest?: Digest } {
  return digest.startsWith("sha256:") ? {} : { digest };
}
