/** What a buildpack left in its layers directory, and what that means for those after it. */
import { type Env, modifyEnv, withRoots } from "../env/env.ts";
import { readEnvFiles, readRoots } from "../env/read.ts";
import { compareBytes } from "../../registry/compare_bytes.ts";
import { findContained, readContained } from "../file/contained.ts";
import { isLayerName, parseLayerToml } from "../file/layer_toml.ts";
import type { Dir } from "../sandbox/executor.ts";
import { isThere } from "../is_there.ts";
import { removeAll } from "./build_files.ts";
import type { BuiltLayer } from "./build_types.ts";

/**
 * Reads the layers of one buildpack, sorted by the bytes of their names. A directory without a TOML
 * file is no layer (LAY-4).
 *
 * @param directory Its layers directory, as buildpacks see it.
 * @param roots Directories that a link may lead into.
 * @throws {FileError} When a TOML file is malformed.
 */
export async function readLayers(
  directory: string,
  roots: readonly Dir[],
): Promise<readonly BuiltLayer[]> {
  const layers: BuiltLayer[] = [];
  for (const file of await listNames(directory, roots)) {
    const name = file.endsWith(".toml") ? file.slice(0, -".toml".length) : "";
    if (!isLayerName(name)) continue;
    const path = `${directory}/${file}`;
    if ((findContained(path, roots))?.info.isDirectory) continue;
    const source = readContained(path, roots);
    if (source === undefined) continue;
    const found = findContained(`${directory}/${name}`, roots);
    layers.push({
      name,
      file: parseLayerToml(source, path),
      hasDirectory: found?.info.isDirectory === true,
    });
  }
  return layers.sort((a, b) => compareBytes(a.name, b.name));
}

/** Names in `directory`, sorted by bytes; none when it is absent. */
export async function listNames(
  directory: string,
  roots: readonly Dir[],
): Promise<readonly string[]> {
  const found = findContained(directory, roots);
  if (!found?.info.isDirectory) return [];
  const names: string[] = [];
  for await (const entry of Deno.readDir(found.outside)) names.push(entry.name);
  return names.sort(compareBytes);
}

/**
 * Renames the directory of each layer that is for nothing to `<layer>.ignore`, so that it gets into
 * neither image nor cache (BU-3). One of an earlier build gives way.
 *
 * @param directory The buildpack's layers directory on this machine.
 * @returns The layers, those renamed without a directory.
 */
export async function ignoreUnusedLayers(
  layers: readonly BuiltLayer[],
  directory: string,
): Promise<readonly BuiltLayer[]> {
  return await Promise.all(layers.map(async (layer) => {
    const { launch, build, cache } = layer.file.types;
    const from = `${directory}/${layer.name}`;
    if (launch || build || cache || !isThere(from)) return layer;
    await removeAll(`${from}.ignore`);
    await Deno.rename(from, `${from}.ignore`);
    return { ...layer, hasDirectory: false };
  }));
}

/**
 * `env` with what the build layers of one buildpack contribute for all after it: for each layer its
 * directories, then `env`, then `env.build` (ENV-14).
 */
export function contributeBuildLayers(
  env: Env,
  layers: readonly BuiltLayer[],
  directory: string,
  roots: readonly Dir[],
): Env {
  const inFileOrder = layers
    .filter(({ file, hasDirectory }) => file.types.build && hasDirectory)
    .sort((a, b) => compareBytes(`${a.name}.toml`, `${b.name}.toml`));
  let out = env;
  for (const { name } of inFileOrder) {
    const layerDir = `${directory}/${name}`;
    out = withRoots(out, layerDir, readRoots(layerDir, roots));
    for (const sub of ["env", "env.build"]) {
      out = modifyEnv(out, readEnvFiles(`${layerDir}/${sub}`, roots), "override");
    }
  }
  return out;
}
