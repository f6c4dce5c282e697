/** One image asked for packages: which of its layers say what is in it, and what was read of them before. */
import { type BomDocument, bomLayer, readBomLayer } from "../lifecycle/bom/document.ts";
import { type BomPackage, mergePackages } from "../lifecycle/bom/package.ts";
import { attachedBoms, readAttachedBom } from "../lifecycle/bom/referrer.ts";
import type { PackageQuery } from "../lifecycle/bom/query.ts";
import type { FleetItem } from "../lifecycle/fleet/source.ts";
import { readMetadata } from "../lifecycle/platform/image_info.ts";
import { harmless } from "../registry/client/refusal.ts";
import { type Image, NoImageError } from "../registry/image.ts";
import { type Digest, digestOf } from "../registry/oci/digest.ts";
import { hasStore, imageAt, type OpenedImage } from "./open_image.ts";
import { fromRegistry, inStore, type Located, openForReading, readPlace } from "./places.ts";
import type { PlatformImage, SbomCache } from "./sbom_cache.ts";
import { canList, type SbomFlags } from "./sbom_read.ts";
import type { Session } from "./session.ts";

/** A package that was found; of an index, with the platforms whose images hold it. */
export type FoundPackage = BomPackage & { readonly platforms?: readonly string[] };

/** What one image answers. */
export interface Answer {
  readonly image: string;
  /** Of the manifest its name led to; empty when nobody knows. */
  readonly digest: string;
  /** Where a cluster runs it. */
  readonly where: readonly string[];
  /** What was found. */
  readonly packages: readonly FoundPackage[];
  /** Why it could not be asked. */
  readonly reason?: string;
  /** It has no bill of materials. */
  readonly none?: boolean;
}

/** What the image of one platform answers; `undefined`: it has no bill of materials. */
interface PlatformAnswer {
  readonly platform: string;
  readonly packages: readonly BomPackage[] | undefined;
}

/** Each package once, with the platforms that hold it when there are several to tell apart. */
function merge(answers: readonly PlatformAnswer[]): readonly FoundPackage[] {
  const all = new Map<string, { readonly one: BomPackage; readonly platforms: string[] }>();
  for (const { platform, packages = [] } of answers) {
    for (const one of packages) {
      const key = JSON.stringify([one.name, one.version, one.purl, one.buildpack, one.layer]);
      const known = all.get(key);
      if (known === undefined) all.set(key, { one, platforms: [platform] });
      else known.platforms.push(platform);
    }
  }
  return [...all.values()].map(({ one, platforms }) =>
    platforms[0] === "" ? one : { ...one, platforms }
  );
}

/** Asks images, most of them from what it remembers. */
export class Asker {
  readonly #session: Session;
  readonly #flags: SbomFlags;
  readonly #query: PackageQuery;
  readonly #cache: SbomCache;
  readonly #stack: AsyncDisposableStack;
  /** Names of the command line: these may mean the store. */
  readonly #typed: ReadonlySet<string>;
  /** Many images of a fleet have the same layer: it is read and asked once. */
  readonly #asked = new Map<Digest, Promise<readonly BomPackage[]>>();

  /** Keeps what was read in `cache`; `stack` closes archives, `typed` are names of the command line. */
  constructor(
    session: Session,
    flags: SbomFlags,
    query: PackageQuery,
    cache: SbomCache,
    stack: AsyncDisposableStack,
    typed: readonly string[],
  ) {
    this.#session = session;
    this.#flags = flags;
    this.#query = query;
    this.#cache = cache;
    this.#stack = stack;
    this.#typed = new Set(typed);
  }

  /** What an image answers; that it cannot be asked is an answer, too. */
  async ask(item: FleetItem): Promise<Answer> {
    const about = { image: item.name, where: item.where };
    try {
      return { ...about, ...await this.#answer(item) };
    } catch (error) {
      this.#session.ctx.signal.throwIfAborted();
      const reason = error instanceof Error ? error.message : String(error);
      return { ...about, digest: item.digest ?? "", packages: [], reason };
    }
  }

  async #answer(item: FleetItem): Promise<Omit<Answer, "image" | "where">> {
    const { signal } = this.#session.ctx;
    const located = await this.#locate(item);
    const { registry, repository, reference } = located;
    // A digest says all; a tag takes one question, for its digest.
    const digest = reference.includes(":")
      ? reference
      : (await registry.stat(repository, reference, { signal }))?.digest;
    if (digest === undefined) throw new Error("it is not there");
    const { images, ready } = await this.#imagesOf(located, digest);
    const answers: PlatformAnswer[] = [];
    for (const { platform, digest } of images) {
      const at = { ...located, reference: digest };
      const image = ready?.raw.digest === digest ? ready : undefined;
      answers.push({ platform, packages: await this.#packagesOf(item, at, image) });
    }
    const none = answers.every(({ packages }) => packages === undefined);
    return none ? { digest, packages: [], none } : { digest, packages: merge(answers) };
  }

  /** All images of an index, or the one of the platform that was asked for; `ready` is one of them that was read for it. */
  async #imagesOf(
    located: Located,
    digest: string,
  ): Promise<{ readonly images: readonly PlatformImage[]; readonly ready?: Image }> {
    const { platform } = this.#flags;
    const key = platform === undefined ? digest : `${digest}/${platform}`;
    const known = await this.#cache.imagesOf(key);
    if (known !== undefined) return { images: known };
    const opened = await this.#open({ ...located, reference: digest }).catch((error) => {
      if (error instanceof NoImageError) return undefined; // a pattern finds charts and signatures, too
      throw error;
    });
    if (opened === undefined) {
      await this.#cache.rememberImages(key, []);
      return { images: [] };
    }
    const { index, image } = opened;
    const images = index !== undefined && platform === undefined
      ? index.images
      : [{ platform: index && platform ? platform : "", digest: image.raw.digest }];
    await this.#cache.rememberImages(key, images);
    return { images, ready: image };
  }

  async #open(located: Located): Promise<Pick<OpenedImage, "image" | "index">> {
    const opened = await imageAt(this.#session, located, this.#flags);
    if (opened === undefined) throw new Error("it is not there");
    return opened;
  }

  /** What the query finds in one image; `undefined` when it has no bill of materials. */
  async #packagesOf(
    item: FleetItem,
    located: Located,
    ready: Image | undefined,
  ): Promise<readonly BomPackage[] | undefined> {
    const manifest = located.reference;
    const known = await this.#cache.layerOf(manifest);
    if (known === "") return await this.#besideIt(item, located);
    if (known !== undefined) {
      const found = await (this.#asked.get(known) ?? this.#fromCache(known));
      if (found !== undefined) return found;
    }
    const image = ready ?? (await this.#open(located)).image;
    const metadata = readMetadata(image.config);
    const layer = bomLayer(image, metadata);
    const blob = layer?.descriptor.digest ?? "";
    if (layer === undefined || blob === "") {
      await this.#cache.rememberLayer(manifest, "");
      return await this.#besideIt(item, located);
    }
    const read = () => readBomLayer(layer, metadata, this.#session.ctx.signal);
    const packages = await this.#readOnce(item, blob, read);
    await this.#cache.rememberLayer(manifest, blob);
    return packages;
  }

  /** What lies beside an image without the layer. Anybody may attach more at any time, so the list is asked for each time. */
  async #besideIt(
    item: FleetItem,
    { registry, repository, reference }: Located,
  ): Promise<readonly BomPackage[] | undefined> {
    if (!canList(registry)) return undefined;
    const { signal } = this.#session.ctx;
    const beside = await attachedBoms(registry, repository, reference as Digest, signal);
    if (beside.length === 0) return undefined;
    const names = beside.map(({ digest }) => digest).sort().join("\n");
    return await this.#readOnce(item, digestOf(new TextEncoder().encode(names)), async () => {
      const found = await Promise.all(
        beside.map((one) => readAttachedBom(registry, repository, one, signal)),
      );
      return found.filter((document) => document !== undefined);
    });
  }

  /** The packages of some documents, which are read where the cache has none under `key`. */
  async #readOnce(
    item: FleetItem,
    key: Digest,
    read: () => Promise<readonly BomDocument[]>,
  ): Promise<readonly BomPackage[]> {
    return await this.#once(key, async () => {
      const cached = await this.#cache.packages(key);
      if (cached !== undefined) return cached;
      const packages = mergePackages(
        await read(),
        ({ message }) => this.#session.log.warn(`${harmless(item.name)}: ${message}`),
      );
      await this.#cache.remember(key, packages);
      return packages;
    });
  }

  async #fromCache(layer: Digest): Promise<readonly BomPackage[] | undefined> {
    const packages = await this.#cache.packages(layer);
    return packages && await this.#once(layer, () => Promise.resolve(packages));
  }

  /** Only what the query finds stays in memory. */
  #once(
    layer: Digest,
    read: () => Promise<readonly BomPackage[]>,
  ): Promise<readonly BomPackage[]> {
    let answer = this.#asked.get(layer);
    if (answer === undefined) {
      answer = read().then((packages) => packages.filter(this.#query.matches));
      this.#asked.set(layer, answer);
      answer.catch(() => this.#asked.delete(layer));
    }
    return answer;
  }

  async #locate(item: FleetItem): Promise<Located> {
    const place = readPlace(item.name);
    if (place.kind !== "registry") return await openForReading(this.#session, place, this.#stack);
    // What a list or a cluster names is in its registry; what somebody types may be in the store.
    if (this.#typed.has(item.name) && !this.#flags.remote && await hasStore(this.#session)) {
      const local = await inStore(this.#session, place.reference);
      if (await local.registry.stat(local.repository, local.reference) !== undefined) return local;
    }
    const located = await fromRegistry(this.#session, place.reference);
    return item.digest === undefined ? located : { ...located, reference: item.digest };
  }
}
