/** What was read of bills of materials once: by the digest of their layer, which never means anything else. */
import { join } from "node:path";
import type { BomPackage } from "../lifecycle/bom/package.ts";
import { type Digest, hexOf, isDigest } from "../registry/oci/digest.ts";
import type { Store } from "../registry/store/store.ts";

/** Changes with what is kept: old entries are then read anew. */
const VERSION = "2";

/** An image, alone or as one of an index. */
export interface PlatformImage {
  /** `os/arch[/variant]`, as its index says; empty for an image that stands alone. */
  readonly platform: string;
  /** Of its manifest. */
  readonly digest: string;
}

/** Packages by layer, in files below `cache/sbom` of the store; which layer an image has, in the store's memo. */
export class SbomCache {
  readonly #dir: string;
  readonly #store: Store;

  /** Keeps everything in `store`. */
  constructor(store: Store) {
    this.#store = store;
    this.#dir = join(store.dir, "cache", `sbom-${VERSION}`);
  }

  /** The images that a manifest or an index stands for; `undefined` when that is not known. */
  async imagesOf(digest: string): Promise<readonly PlatformImage[] | undefined> {
    const text = await this.#store.memo.get(memoKey("images", digest));
    return text === undefined ? undefined : JSON.parse(text) as PlatformImage[];
  }

  /** Remembers {@linkcode imagesOf}. A store that cannot be written forgets it. */
  async rememberImages(digest: string, images: readonly PlatformImage[]): Promise<void> {
    const text = JSON.stringify(images);
    await this.#store.memo.set(memoKey("images", digest), text).catch(() => {});
  }

  /** The layer with the bills of materials of a manifest; `""` when it has none, `undefined` when that is not known. */
  async layerOf(manifest: string): Promise<Digest | "" | undefined> {
    const text = await this.#store.memo.get(memoKey("layer", manifest));
    return text === undefined || text === "" || isDigest(text) ? text : undefined;
  }

  /** Remembers {@linkcode layerOf}. A store that cannot be written forgets it. */
  async rememberLayer(manifest: string, layer: Digest | ""): Promise<void> {
    await this.#store.memo.set(memoKey("layer", manifest), layer).catch(() => {});
  }

  /** The packages of a layer; `undefined` when it was not read yet. */
  async packages(layer: Digest): Promise<readonly BomPackage[] | undefined> {
    try {
      return JSON.parse(await Deno.readTextFile(this.#file(layer))) as BomPackage[];
    } catch {
      return undefined; // not there, or cut short by a crash: it is read again
    }
  }

  /** Remembers {@linkcode packages}. A store that cannot be written forgets it. */
  async remember(layer: Digest, packages: readonly BomPackage[]): Promise<void> {
    const file = this.#file(layer);
    const temporary = `${file}.${crypto.randomUUID()}`;
    try {
      await Deno.mkdir(join(file, ".."), { recursive: true, mode: 0o700 });
      await Deno.writeTextFile(temporary, JSON.stringify(packages), { mode: 0o600 });
      await Deno.rename(temporary, file);
    } catch {
      await Deno.remove(temporary).catch(() => {});
    }
  }

  #file(layer: Digest): string {
    const hex = hexOf(layer);
    return join(this.#dir, hex.slice(0, 2), `${hex}.json`);
  }
}

function memoKey(kind: string, digest: string): string {
  return `sbom/${VERSION}/${kind}/${digest}`;
}
