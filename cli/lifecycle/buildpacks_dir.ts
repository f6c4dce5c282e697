/** Buildpacks where a builder image has them: `<dir>/<escaped id>/<version>` (3.1). */
import { parseBuildpackToml } from "../../lifecycle/file/buildpack_toml.ts";
import { decode } from "../../lifecycle/file/document.ts";
import { escapeId } from "../../lifecycle/file/module.ts";
import type { Buildpack, BuildpackStore } from "../../lifecycle/phase/detect_types.ts";

/** Looks buildpacks up when they are asked for; one that nobody names may be broken. */
export function buildpacksDir(dir: string): BuildpackStore {
  const known = new Map<string, Buildpack | undefined>();
  return {
    find(id, version = "") {
      const name = version === "" ? newest(`${dir}/${escapeId(id)}`) : version;
      if (name === undefined || name.includes("/")) return undefined;
      const place = `${dir}/${escapeId(id)}/${name}`;
      if (!known.has(place)) known.set(place, read(place, name));
      return known.get(place);
    },
  };
}

function read(place: string, version: string): Buildpack | undefined {
  const file = `${place}/buildpack.toml`;
  let bytes: Uint8Array;
  try {
    bytes = Deno.readFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  // The directory's name is the version, whatever the file says (BPT-2).
  const descriptor = { ...parseBuildpackToml(decode(bytes, file), file), version };
  return { descriptor, dir: { inside: place, outside: place } };
}

function newest(dir: string): string | undefined {
  try {
    const names = [...Deno.readDirSync(dir)].map(({ name }) => name);
    return names.sort((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
