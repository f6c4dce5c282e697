/**
 * The extended run image on its way from extender to exporter: an OCI layout in `<extended>/run/<digest>` with
 * manifest, config, and only the layers above the run image's own (XT-7).
 */
import { join } from "node:path";
import { type Image, type Layer, readImage } from "../../registry/image.ts";
import type { Descriptor } from "../../registry/oci/descriptor.ts";
import type { ContainerConfig, History } from "../../registry/oci/config.ts";
import { bytesSource, type Source } from "../../registry/source.ts";
import { LAYOUT_REPOSITORY, openLayout } from "../../registry/store/layout.ts";
import { namesIn } from "../is_there.ts";

/** What extensions made of a run image. */
export interface ExtendedImage {
  /** How it starts; takes the place of the run image's. */
  readonly config: ContainerConfig;
  /** DiffIDs of what it stands on. */
  readonly base: readonly string[];
  /** Above that, bottom to top. */
  readonly layers: readonly ExtensionLayer[];
}

/** A layer that an extension made. */
export interface ExtensionLayer {
  /** Its content. */
  readonly diffId: string;
  /** Of the blob. */
  readonly descriptor: Descriptor;
  /** It is known to have been written by us, in this process or with a digest that was checked in it. */
  readonly own: boolean;
  /** For the history. */
  readonly createdBy: string;
  /** Opens the blob. */
  readonly open: () => Promise<Source>;
}

/** Whether there is anything below `<extended>/run`. */
export async function hasExtendedImage(extendedDir: string): Promise<boolean> {
  return (await namesIn(join(extendedDir, "run"))).length > 0;
}

/**
 * Reads the one image below `<extended>/run`.
 *
 * @param baseLayers How many layers the run image has.
 * @throws {Error} When there is none, more than one, or it lacks a layer (EX-2).
 */
export async function readExtendedImage(
  extendedDir: string,
  baseLayers: number,
): Promise<ExtendedImage> {
  const parent = join(extendedDir, "run");
  const names = await namesIn(parent);
  const [name] = names;
  if (name === undefined) throw new Error(`missing extended run image: ${parent} has none`);
  if (names.length > 1) {
    throw new Error(`expected directory "${parent}" to have only 1 item; found ${names.length}`);
  }
  const dir = join(parent, name);
  const layout = await openLayout(dir);
  const digest = await onlyManifest(dir);
  // The one that is there, whatever it is for.
  const any = { os: "linux", architecture: "" };
  const image = await readImage(layout, LAYOUT_REPOSITORY, digest, any);
  if (image === undefined) throw new Error(`missing extended run image: ${dir} lacks ${digest}`);
  for (const { descriptor } of image.layers.slice(baseLayers)) {
    const there = await layout.blob(LAYOUT_REPOSITORY, descriptor.digest);
    if (there === undefined) throw new Error(`${dir} lacks layer ${descriptor.digest}`);
  }
  return extendedFrom(image, baseLayers, false);
}

/**
 * What was added to a run image of `baseLayers` layers.
 *
 * @param own See {@linkcode ExtensionLayer.own}.
 */
export function extendedFrom(image: Image, baseLayers: number, own: boolean): ExtendedImage {
  const history = (image.config.history ?? []).filter(({ empty_layer }) => empty_layer !== true);
  return {
    config: image.config.config,
    base: image.layers.slice(0, baseLayers).map(({ diffId }) => diffId),
    layers: image.layers.slice(baseLayers).map((layer, at) => ({
      diffId: layer.diffId,
      descriptor: layer.descriptor,
      own,
      createdBy: createdBy(history, image.layers, at + baseLayers),
      open: layer.blob,
    })),
  };
}

function createdBy(history: readonly History[], layers: readonly Layer[], at: number): string {
  return history.length === layers.length ? history[at]?.created_by ?? "" : "";
}

async function onlyManifest(dir: string): Promise<string> {
  const index: unknown = JSON.parse(await Deno.readTextFile(join(dir, "index.json")));
  const { manifests = [] } = index as { readonly manifests?: readonly { digest?: unknown }[] };
  const digest = manifests[0]?.digest;
  if (manifests.length !== 1 || typeof digest !== "string") {
    throw new Error(`${dir}/index.json lists ${manifests.length} images, want one`);
  }
  return digest;
}

/**
 * Writes the layers of `image` from number `baseLayers` on, its config and manifest, below `<extended>/run`; what
 * is there goes first.
 */
export async function saveExtendedImage(
  extendedDir: string,
  image: Image,
  baseLayers: number,
): Promise<void> {
  const parent = join(extendedDir, "run");
  for (const name of await namesIn(parent)) {
    await Deno.remove(join(parent, name), { recursive: true });
  }
  const dir = join(parent, image.raw.digest);
  await Deno.mkdir(parent, { recursive: true });
  const layout = await openLayout(dir, { create: true });
  for (const layer of image.layers.slice(baseLayers)) {
    await layout.pushBlob(LAYOUT_REPOSITORY, layer.descriptor, await layer.blob());
  }
  const { config } = image.manifest;
  await layout.pushBlob(LAYOUT_REPOSITORY, config, bytesSource(image.rawConfig));
  await writeSparse(dir, image);
}

/** Manifest and index, past the layout's own check that all layers are there: here they are not. */
async function writeSparse(dir: string, { raw }: Image): Promise<void> {
  await Deno.writeFile(join(dir, "blobs", raw.digest.replace(":", "/")), raw.bytes);
  const { mediaType, digest, bytes } = raw;
  const index = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [{ mediaType, size: bytes.byteLength, digest }],
  };
  await Deno.writeTextFile(join(dir, "index.json"), JSON.stringify(index));
}
