/** Reads the files of `env` directories and what a layer has for its environment. */
import { FileError } from "../error.ts";
import { compareBytes } from "../../registry/compare_bytes.ts";
import { findContained, readContained } from "../file/contained.ts";
import type { Dir } from "../sandbox/executor.ts";
import { BUILD_ROOTS, type EnvFile } from "./env.ts";

/**
 * The files of `directory`, in byte order of their names. Links to files are followed inside
 * `roots`; directories are skipped, also behind links (ENV-11).
 *
 * @param directory As buildpacks see it; when it is absent there are no files.
 * @throws {FileError} When a file leads out of `roots`, is not UTF-8 or holds a NUL: no environment
 * could carry it (ENV-12).
 */
export function readEnvFiles(directory: string, roots: readonly Dir[]): readonly EnvFile[] {
  const found = findContained(directory, roots);
  if (!found?.info.isDirectory) return [];
  const names: string[] = [];
  for (const entry of Deno.readDirSync(found.outside)) names.push(entry.name);
  const files: EnvFile[] = [];
  for (const name of names.sort(compareBytes)) {
    const path = `${directory}/${name}`;
    const file = findContained(path, roots);
    if (file === undefined || file.info.isDirectory) continue;
    const value = readContained(path, roots);
    if (value === undefined) continue;
    if (value.includes("\0")) {
      throw new FileError(
        path,
        `Cannot use ${path}: an environment variable cannot hold a NUL byte`,
      );
    }
    files.push({ name, value });
  }
  return files;
}

/** Which of {@linkcode BUILD_ROOTS} the layer at `layerDir` (as buildpacks see it) has. */
export function readRoots(
  layerDir: string,
  roots: readonly Dir[],
): readonly string[] {
  const present: string[] = [];
  for (const name of Object.keys(BUILD_ROOTS)) {
    if (findContained(`${layerDir}/${name}`, roots) !== undefined) present.push(name);
  }
  return present;
}
