/** Buildpacks as they lie on disk: directories, archives, and directories of many. */
import { join, resolve } from "node:path";
import { ExitCode, LifecycleError } from "../error.ts";
import {
  type BuildpackDescriptor,
  oddKeysOfBuildpack,
  parseBuildpackToml,
} from "../file/buildpack_toml.ts";
import { escapeId } from "../file/module.ts";
import { parsePackageToml } from "../file/package_toml.ts";
import type { Buildpack, Extension } from "../phase/detect_types.ts";
import { isAddress } from "./address.ts";
import { refuseLinksOut, unpackArchive } from "./archive_root.ts";
import { readModuleFile } from "./module_file.ts";
import { findTree, layTree, type TreePlatform, treesOf } from "./platform_tree.ts";

/** See {@linkcode Means.openPackage}. */
export type OpenPackage = (name: string, kind?: "extension") => Promise<{
  readonly main: { readonly id: string; readonly version: string };
  readonly buildpacks: readonly Buildpack[];
  readonly extensions: readonly Extension[];
}>;

/** What parts of a composite are had with. */
export interface Means {
  /** Opens a package by the name of an image or file: the buildpack it is for, and all in it. Absent: none can be. */
  readonly openPackage?: OpenPackage | undefined;
  /** Brings a file from a web server; gives its path. Absent: none can be had. */
  readonly download?: ((url: string) => Promise<string>) | undefined;
  /** An empty directory of ours, for archives. */
  readonly scratch: string;
  /** What is built for: a directory may have files for it alone, in `linux/amd64` and the like. */
  readonly platform?: TreePlatform | undefined;
  /** Gets what people should be told. */
  readonly warn: (line: string) => void;
}

/** Takes a buildpack that was found. */
export type Add = (buildpack: Buildpack) => BuildpackDescriptor;

/**
 * A buildpack directory; a `package.toml` beside it names the parts of a composite: directories, archives, packages.
 *
 * @param within What came out of an archive has its parts in there.
 */
export async function readDirectory(
  dir: string,
  add: Add,
  means: Means,
  called?: string,
  within?: string,
): Promise<Buildpack> {
  const file = join(dir, "buildpack.toml");
  const descriptor = await readModuleFile(file, (source) => {
    const read = parseBuildpackToml(source, file);
    oddKeysOfBuildpack(source, file).forEach(means.warn);
    return read;
  });
  if (descriptor === undefined) {
    throw new LifecycleError(
      ExitCode.arguments,
      `Cannot use buildpack ${JSON.stringify(called ?? dir)}: it has no buildpack.toml`,
    );
  }
  if (descriptor.order.length > 0) {
    const packageFile = join(dir, "package.toml");
    const parts = await readModuleFile(packageFile, parsePackageToml);
    for (const { uri } of parts?.dependencies ?? []) {
      const fetched = await fetchedFile(uri, means);
      const part = fetched ?? resolve(dir, uri.replace(/^file:\/\//, ""));
      if (part === resolve(dir)) continue;
      const named = fetched === undefined && isName(uri);
      const stat = named ? undefined : await Deno.stat(part).catch(() => undefined);
      const isPath = stat !== undefined || (!named && /^(\.|\/|file:)/.test(uri));
      if (isPath && within !== undefined && fetched === undefined) {
        await refusePartOutside(within, part, called ?? dir, uri);
      }
      if (isPath && !stat?.isFile) {
        add(await readDirectory(part, add, means, called && `${uri} of ${called}`, within));
        continue;
      }
      if (isPath && !await isPackageFile(part)) {
        add(await readArchive(part, add, means, `${uri} of ${called ?? dir}`));
        continue;
      }
      if (means.openPackage === undefined) {
        throw new LifecycleError(
          ExitCode.arguments,
          `Cannot use ${packageFile}: dependency ${JSON.stringify(uri)} is not a directory`,
        );
      }
      const { buildpacks } = await means.openPackage(isPath && !fetched ? part : uri);
      for (const one of buildpacks) add(one);
    }
  }
  const { platform, scratch } = means;
  const tree = platform && await findTree(dir, treesOf(platform), descriptor.targets);
  const outside = tree === undefined ? dir : await layTree(dir, tree, scratch);
  return { descriptor, dir: { outside, inside: insideOf(descriptor) } };
}

/** A buildpack in a (compressed) tar. */
export async function readArchive(
  path: string,
  add: Add,
  means: Means,
  called: string,
): Promise<Buildpack> {
  const { root, into } = await unpackArchive(
    path,
    means.scratch,
    called,
    `Cannot use buildpack ${JSON.stringify(called)}: it is no (compressed) tar that can be read`,
  );
  return await readDirectory(root, add, means, called, into);
}

/**
 * The file behind the address of a web server, on this machine; `undefined` when `text` is none.
 *
 * @throws {LifecycleError} Where nothing can be downloaded.
 */
export async function fetchedFile(
  text: string,
  { download }: Pick<Means, "download">,
): Promise<string | undefined> {
  if (!isAddress(text)) return undefined;
  if (download !== undefined) return await download(text);
  throw new LifecycleError(
    ExitCode.arguments,
    `Cannot use ${text}: want a file that was downloaded before`,
  );
}

/** Whether the file is a package, not an archive of a directory. */
export async function isPackageFile(path: string): Promise<boolean> {
  if (path.endsWith(".cnb")) return true;
  // Few builds have one, and it brings all that reads and writes archives.
  const { isLayoutArchive } = await import("../../registry/store/oci_archive.ts");
  return await isLayoutArchive(path);
}

/** Whether it can only be the name of a package. */
function isName(uri: string): boolean {
  return /^[a-z]+:/.test(uri) && !uri.startsWith("file:");
}

/** A part of an archive's composite is a directory in the archive, and so is the way to it. */
async function refusePartOutside(
  within: string,
  part: string,
  called: string,
  uri: string,
): Promise<void> {
  const real = await Deno.realPath(part).catch(() => part);
  const top = await Deno.realPath(within);
  if (real.startsWith(`${top}/`)) return await refuseLinksOut(within, part, called);
  throw new LifecycleError(
    ExitCode.arguments,
    `Cannot use buildpack ${JSON.stringify(called)}: its part ${
      JSON.stringify(uri)
    } lies outside of it`,
  );
}

function insideOf(descriptor: BuildpackDescriptor): string {
  return `/cnb/buildpacks/${escapeId(descriptor.id)}/${descriptor.version || "unversioned"}`;
}

/** `<dir>/<escaped id>/<version>/buildpack.toml`; links count as what they point to. */
export async function readBuildpacksDir(dir: string): Promise<readonly Buildpack[]> {
  const found: Buildpack[] = [];
  for (const id of await namesIn(dir)) {
    for (const version of await namesIn(join(dir, id))) {
      const outside = join(dir, id, version);
      const descriptor = await readModuleFile(join(outside, "buildpack.toml"), parseBuildpackToml);
      if (descriptor === undefined) continue;
      // The name of the directory decides the version (BPT-2).
      const named = { ...descriptor, version };
      found.push({ descriptor: named, dir: { outside, inside: insideOf(named) } });
    }
  }
  return found;
}

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(dir), (entry) => entry.name)).sort();
  } catch {
    return []; // a file among the directories, or no such directory: nothing to find in it
  }
}
