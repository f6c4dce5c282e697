/** What buildpacks download while they build: named in their `buildpack.toml`, carried in bundles, found again by a binding. */
import { join } from "node:path";
import { z } from "zod";
import type { Image, Layer } from "../../registry/image.ts";
import { readTar } from "../../registry/layer/tar_reader.ts";
import { labelOf } from "../../registry/oci/config.ts";
import type { Platform } from "../../registry/oci/descriptor.ts";
import { type Digest, hexOf } from "../../registry/oci/digest.ts";
import type { Source } from "../../registry/source.ts";
import { parseBuildpackToml } from "../file/buildpack_toml.ts";
import { escapeId } from "../file/module.ts";
import { LAYERS_LABEL, readLayersLabel } from "./package/module.ts";

/** One entry of `metadata.dependencies`. */
export interface Dependency {
  /** Where it is downloaded from. */
  readonly uri: string;
  /** Of the file; buildpacks find it by its hex. */
  readonly digest: Digest;
  /** As the buildpack calls it. */
  readonly id: string;
  /** Its version. */
  readonly version: string;
  /** `id@version` of the buildpack. */
  readonly buildpack: string;
}

const entry = z.object({
  id: z.string().default(""),
  version: z.string().default(""),
  uri: z.string(),
  sha256: z.string().default(""),
  checksum: z.string().default(""),
  arch: z.string().default(""),
});

const LIMITS = { maxBytes: 16 * 2 ** 30, maxEntries: 1_000_000 };

/**
 * The dependencies of all buildpacks in a builder or package.
 *
 * @param name Of the image, for messages.
 * @param platforms Leaves out what is for other processors; none: all.
 * @returns Those with a SHA-256, and words about those without.
 * @throws {LifecycleError} When a label or a `buildpack.toml` cannot be read.
 */
export async function dependenciesOf(
  image: Image,
  name: string,
  platforms: readonly Platform[],
  signal?: AbortSignal,
): Promise<{ readonly found: readonly Dependency[]; readonly skipped: readonly string[] }> {
  const label = labelOf(image.config, LAYERS_LABEL.buildpack);
  const modules = readLayersLabel("buildpack", label, image.layers, name);
  const wanted = new Map<Layer, Map<string, string>>();
  for (const { info: { id, version }, layer } of modules) {
    const files = wanted.get(layer) ?? new Map<string, string>();
    wanted.set(layer, files);
    files.set(`cnb/buildpacks/${escapeId(id)}/${version}/buildpack.toml`, `${id}@${version}`);
  }
  const found: Dependency[] = [];
  const skipped: string[] = [];
  for (const [layer, files] of wanted) {
    for (const { buildpack, text } of await readFiles(layer, files, signal)) {
      const { metadata } = parseBuildpackToml(text, `buildpack.toml of ${buildpack}`);
      const list = z.array(entry).safeParse((metadata as Record<string, unknown>)["dependencies"]);
      for (const one of list.success ? list.data : []) {
        const { id, version, uri, sha256, checksum, arch } = one;
        if (
          arch !== "" && platforms.length > 0 &&
          !platforms.some(({ architecture }) => architecture === arch)
        ) continue;
        const hex = sha256 || /^sha256:(.*)$/.exec(checksum)?.[1] || "";
        if (/^[0-9a-f]{64}$/.test(hex) && /^https?:\/\//.test(uri)) {
          found.push({ uri, digest: `sha256:${hex}` as Digest, id, version, buildpack });
        } else skipped.push(`${id} ${version} of ${buildpack}: no address or no SHA-256`);
      }
    }
  }
  return { found, skipped };
}

async function readFiles(
  layer: Layer,
  files: ReadonlyMap<string, string>,
  signal?: AbortSignal,
): Promise<readonly { readonly buildpack: string; readonly text: string }[]> {
  const keyOf = (name: string) => files.get(name.replace(/^(\.?\/)+/, ""));
  const stream = await (await layer.blob()).open({ signal });
  const found: { buildpack: string; text: string }[] = [];
  const keep = ({ name }: { readonly name: string }) => keyOf(name) !== undefined;
  for await (const { header, body } of readTar(stream, { limits: LIMITS, signal, keep })) {
    const buildpack = keyOf(header.name);
    if (buildpack === undefined || body === undefined) continue;
    found.push({ buildpack, text: new TextDecoder().decode(body) });
  }
  return found;
}

/** A dependency that a bundle carries. */
export interface CarriedDependency {
  /** Of the file. */
  readonly digest: Digest;
  /** Its bytes, verified while they are read. */
  readonly source: Source;
}

const DIR = "dependencies";

/** Puts the files where buildpacks will see them: `<platform>/dependencies/<hex>`. */
export async function writeDependencies(
  platform: string,
  list: readonly CarriedDependency[],
  signal: AbortSignal,
): Promise<void> {
  if (list.length === 0) return;
  await Deno.mkdir(join(platform, DIR));
  for (const { digest, source } of list) {
    const path = join(platform, DIR, hexOf(digest));
    await Deno.writeFile(path, await source.open({ signal }), { mode: 0o644, createNew: true });
  }
}

/**
 * The binding that tells buildpacks where the files are, of the type that Paketo's have: a file for each digest that holds
 * an address.
 *
 * @param inside The platform directory as buildpacks see it.
 */
export async function writeMapping(
  platform: string,
  inside: string,
  list: readonly CarriedDependency[],
): Promise<void> {
  if (list.length === 0) return;
  const dir = join(platform, "bindings", "wherry-dependency-mapping");
  await Deno.mkdir(dir, { recursive: true });
  await Deno.writeTextFile(join(dir, "type"), "dependency-mapping");
  for (const { digest } of list) {
    const hex = hexOf(digest);
    await Deno.writeTextFile(join(dir, hex), `file://${inside}/${DIR}/${hex}`);
  }
}
