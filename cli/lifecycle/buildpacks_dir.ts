/** Modules where a builder image has them: `<dir>/<escaped id>/<version>` (3.1, 3.2). */
import { parseBuildpackToml } from "../../lifecycle/file/buildpack_toml.ts";
import { decode } from "../../lifecycle/file/document.ts";
import { parseExtensionToml } from "../../lifecycle/file/extension_toml.ts";
import { escapeId } from "../../lifecycle/file/module.ts";
import type { BuildpackStore, ExtensionStore } from "../../lifecycle/phase/detect_types.ts";
import type { Dir } from "../../lifecycle/sandbox/executor.ts";

/** Looks buildpacks up when they are asked for; one that nobody names may be broken. */
export function buildpacksDir(dir: string): BuildpackStore {
  return modulesDir(dir, "buildpack.toml", parseBuildpackToml);
}

/** The same for image extensions. */
export function extensionsDir(dir: string): ExtensionStore {
  return modulesDir(dir, "extension.toml", parseExtensionToml);
}

interface Module<Descriptor> {
  readonly descriptor: Descriptor;
  readonly dir: Dir;
}

function modulesDir<Descriptor extends { readonly id: string; readonly version: string }>(
  dir: string,
  file: string,
  parse: (source: string, file: string) => Descriptor,
): { find(id: string, version?: string): Module<Descriptor> | undefined } {
  const known = new Map<string, Module<Descriptor> | undefined>();
  const read = (place: string, id: string, version: string): Module<Descriptor> | undefined => {
    const path = `${place}/${file}`;
    let bytes: Uint8Array;
    try {
      bytes = Deno.readFileSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
    // It is what it was asked for as, whatever the file says (BPT-2).
    const descriptor = { ...parse(decode(bytes, path), path), id, version };
    return { descriptor, dir: { inside: place, outside: place } };
  };
  return {
    find(id, version = "") {
      const name = version === "" ? newest(`${dir}/${escapeId(id)}`) : version;
      if (name === undefined || name.includes("/")) return undefined;
      const place = `${dir}/${escapeId(id)}/${name}`;
      const key = `${place} ${id}`; // a/b and a_b are one directory
      if (!known.has(key)) known.set(key, read(place, id, name));
      return known.get(key);
    },
  };
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
