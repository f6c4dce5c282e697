/** Two images side by side: which layers are meant to be the same, and what became of each pair. */
import type { Image, Layer } from "../../registry/image.ts";
import type { LifecycleMetadata } from "../file/lifecycle_metadata.ts";
import { formatOwner, type LayerOwner, layerOwners } from "./layer_owner.ts";

/** A layer of one image and what stands for it in the other. */
export interface LayerPair {
  /** Who made it, for people. */
  readonly madeBy: string;
  /** The buildpack's name for it; `#3` for one that has none. */
  readonly name: string;
  /** Whether it belongs to the run image, or a builder's build image. */
  readonly isBase: boolean;
  /** In the first image. */
  readonly a: Layer | undefined;
  /** In the second. */
  readonly b: Layer | undefined;
  /** The same directory is called so in the first and so in the second: a module of another version. */
  readonly dirs?: readonly [a: string, b: string];
}

/**
 * Pairs layers of two builds: by buildpack and name, by their place in the base. A buildpack's version plays no part: that
 * is what often changed.
 */
export function pairLayers(
  a: { readonly image: Image; readonly metadata: LifecycleMetadata | undefined },
  b: { readonly image: Image; readonly metadata: LifecycleMetadata | undefined },
): readonly LayerPair[] {
  const left = keyed(a.image, a.metadata);
  const right = new Map(keyed(b.image, b.metadata).map((one) => [one.key, one]));
  const pairs: LayerPair[] = left.map(({ key, owner, name, layer }) => {
    const other = right.get(key);
    right.delete(key);
    const versions = [formatOwner(owner), ...(other ? [formatOwner(other.owner)] : [])];
    return {
      madeBy: [...new Set(versions)].join(" / "),
      name,
      isBase: isBase(owner),
      a: layer,
      b: other?.layer,
      ...(owner.dir && other?.owner.dir ? { dirs: [owner.dir, other.owner.dir] as const } : {}),
    };
  });
  for (const { owner, name, layer } of right.values()) {
    pairs.push({
      madeBy: formatOwner(owner),
      name,
      isBase: isBase(owner),
      a: undefined,
      b: layer,
    });
  }
  return pairs;
}

function isBase({ kind }: LayerOwner): boolean {
  return kind === "base" || kind === "build-image";
}

interface Keyed {
  readonly key: string;
  readonly owner: LayerOwner;
  readonly name: string;
  readonly layer: Layer;
}

function keyed(image: Image, metadata: LifecycleMetadata | undefined): readonly Keyed[] {
  const owners = layerOwners(image, metadata);
  const seen = new Map<string, number>();
  return image.layers.map((layer, at) => {
    const owner = owners[at]!;
    const kind = `${owner.kind}\0${owner.buildpack}\0${owner.name}`;
    const time = (seen.get(kind) ?? 0) + 1;
    seen.set(kind, time);
    return { key: `${kind}\0${time}`, owner, name: owner.name || `#${at + 1}`, layer };
  });
}
