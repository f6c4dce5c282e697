/** Finds modules by the names people give them: directories, archives, package files, images, a registry index (BP-3). */
import { dirname, join, resolve } from "node:path";
import type { Image } from "../../../registry/image.ts";
import { isLayoutArchive } from "../../../registry/store/oci_archive.ts";
import { LifecycleError } from "../../error.ts";
import { readDocument } from "../../file/document.ts";
import { parsePackageToml } from "../../file/package_toml.ts";
import { unpackArchive } from "../archive_root.ts";
import { entryOf, lookUp, readIndex, type RegistryIndex } from "./index_dir.ts";
import { keyOf, type ModuleInfo, type ModuleKind, type PackagedModule } from "./module.ts";
import { type TreePlatform, treesOf } from "../platform_tree.ts";
import { type ModuleDir, readModuleDir, withTree } from "./module_dir.ts";
import { readPackage } from "./package.ts";

/** A module that still has to become a layer, or has one. */
export type FoundModule = ModuleDir | PackagedModule;

/** What a name leads to. */
export interface Located {
  /** The module it names. */
  readonly main: ModuleInfo;
  /** It and all it needs, without repetition. */
  readonly modules: readonly FoundModule[];
}

/** Where names are looked up. All that is opened lives until the command ends. */
export interface ModuleSources {
  /** Relative names are relative to it. */
  readonly cwd: string;
  /** An empty directory of ours, for archives. */
  readonly scratch: string;
  /** What a directory may have files of its own for. */
  readonly platform: TreePlatform;
  /** Opens a package image by name. */
  image(name: string): Promise<Image>;
  /** Opens a package file (`.cnb`). */
  file(path: string): Promise<Image>;
  /** Brings a file from a web server; gives its path. */
  download(url: string): Promise<string>;
  /** For `urn:cnb:registry:`. */
  readonly index?: RegistryIndex | undefined;
}

/** Composites nest; a package that holds itself does not end. */
const MAX_DEPTH = 16;

/**
 * Finds one module with its parts.
 *
 * @param name `DIR`, `FILE.tgz`, `FILE.cnb`, `docker://IMAGE`, `urn:cnb:registry:ID[@VERSION]`, `file://...`, `https://...`, or an image.
 * @throws {LifecycleError} When it leads nowhere, or is something else.
 */
export async function locateModule(
  name: string,
  sources: ModuleSources,
  kind: ModuleKind = "buildpack",
): Promise<Located> {
  return await locate(name, sources, kind, 0);
}

async function locate(
  name: string,
  sources: ModuleSources,
  kind: ModuleKind,
  depth: number,
): Promise<Located> {
  if (depth > MAX_DEPTH) {
    throw new LifecycleError(1, `Cannot use ${name}: packages nest deeper than ${MAX_DEPTH}`);
  }
  const [, scheme = "", rest = ""] =
    /^(docker:\/\/|urn:cnb:registry:|https?:\/\/)(.*)$/.exec(name) ??
      [];
  if (scheme === "docker://") return await fromImage(rest.replace(/^\//, ""), sources);
  if (scheme === "urn:cnb:registry:") {
    const [id = "", version = ""] = rest.split("@");
    if (sources.index === undefined) {
      throw new LifecycleError(
        3,
        `Cannot look up ${name}: want a registry index (--buildpack-registry DIR, FILE.tar or https://...)`,
      );
    }
    return await fromImage((await lookUp(sources.index, id, version)).addr, sources);
  }
  const path = scheme === ""
    ? resolve(sources.cwd, name.replace(/^file:\/\//, ""))
    : await sources.download(name);
  const stat = await Deno.stat(path).catch(() => undefined);
  if (stat?.isDirectory) return await fromDirectory(path, sources, kind, depth);
  if (stat?.isFile) {
    if (name.endsWith(".cnb") || await isLayoutArchive(path)) {
      return located(await sources.file(path), name);
    }
    const { root } = await unpackArchive(
      path,
      sources.scratch,
      name,
      `Cannot use ${JSON.stringify(name)}: it is no package file and no (compressed) tar`,
    );
    // What comes out of an archive has its parts in packages, not in directories of this machine.
    const module = await readOwn(root, kind, sources);
    return { main: module.info, modules: [module] };
  }
  const [, id = "", version = ""] =
    /^([a-z0-9][a-z0-9.-]*\/[a-z0-9][a-z0-9.-]*)(?:@([^/@:]+))?$/.exec(name) ?? [];
  if (id !== "" && sources.index !== undefined) {
    const entries = await readIndex(sources.index, id);
    if (entries.length > 0) {
      return await fromImage(entryOf(entries, sources.index.name, id, version).addr, sources);
    }
  }
  // In a registry somebody might call an image p.cnb; without a host it can only be meant as a file.
  const isFile = name.endsWith(".cnb") && !/^[^/]*[.:][^/]*\//.test(name);
  if (isFile || name.startsWith(".") || name.startsWith("/") || name.startsWith("file:")) {
    throw new LifecycleError(3, `Cannot find ${JSON.stringify(name)}: no such file or directory`);
  }
  return await fromImage(name, sources);
}

async function fromImage(name: string, sources: ModuleSources): Promise<Located> {
  return located(await sources.image(name), name);
}

function located(image: Image, name: string): Located {
  return readPackage(image, name);
}

async function readOwn(
  path: string,
  kind: ModuleKind,
  { platform }: ModuleSources,
): Promise<ModuleDir> {
  const module = await readModuleDir(path, kind);
  return await withTree(module, treesOf(platform), module.info.targets);
}

async function fromDirectory(
  path: string,
  sources: ModuleSources,
  kind: ModuleKind,
  depth: number,
): Promise<Located> {
  const file = join(path, "package.toml");
  const described = await readDocument(file, parsePackageToml);
  const module = described?.module;
  // A package.toml of its own module; one that names another directory is read by its own command.
  const self = await readOwn(resolve(path, module?.uri ?? "."), kind, sources);
  const parts = self.info.order.length === 0
    ? []
    : await locateParts(described?.dependencies ?? [], file, sources, kind, depth, path);
  return { main: self.info, modules: withoutTwins([self, ...parts]) };
}

/** The parts that a `package.toml` names, with theirs. */
export async function locateParts(
  dependencies: readonly { readonly uri: string }[],
  file: string,
  sources: ModuleSources,
  kind: ModuleKind,
  depth = 0,
  self?: string,
): Promise<readonly FoundModule[]> {
  const near = { ...sources, cwd: dirname(file) };
  const found: FoundModule[] = [];
  for (const { uri } of dependencies) {
    if (self !== undefined && resolve(near.cwd, uri.replace(/^file:\/\//, "")) === resolve(self)) {
      continue;
    }
    found.push(...(await locate(uri, near, kind, depth + 1)).modules);
  }
  return found;
}

/** Each module once; two of one name must be the same. */
export function withoutTwins(modules: readonly FoundModule[]): readonly FoundModule[] {
  return [...new Map(modules.map((one) => [keyOf(one.info), one])).values()];
}
