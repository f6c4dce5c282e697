/** Finds the image extensions a user named, and the order to try them in. */
import { isAbsolute, join, resolve } from "node:path";
import type { Context } from "../../registry/context.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import { parseExtensionToml } from "../file/extension_toml.ts";
import { escapeId, type GroupOrder, moduleName } from "../file/module.ts";
import { type Order, parseOrderToml } from "../file/order_toml.ts";
import type { Extension, ExtensionStore } from "../phase/detect_types.ts";
import { prepareApp } from "./app_source.ts";
import { unpackArchive } from "./archive_root.ts";
import { fetchedFile, isPackageFile, type OpenPackage } from "./buildpack_directory.ts";
import { isPackage, mayBeImage } from "./buildpack_name.ts";
import { readModuleFile } from "./module_file.ts";

/** What the user said about extensions. */
export interface ExtensionRequest {
  /** In order: directories, `.tgz` files, packages, `id` or `id@version`; one group of all. */
  readonly named: readonly string[];
  /** Those of the builder, and its order, which counts when none is named. */
  readonly builder?: {
    readonly extensions: readonly Extension[];
    readonly order?: Order | undefined;
  } | undefined;
  /** An order.toml, which counts when none is named. */
  readonly orderFile?: string | undefined;
  /** A directory in the shape of `/cnb/extensions`, where ids are looked up. */
  readonly dir?: string | undefined;
  /** What relative paths are relative to. */
  readonly cwd: string;
  /** A directory of ours: extensions are copied there, so that a build's user gets to them. */
  readonly scratch: string;
  /** Opens a package by the name of an image or file. Absent: none can be. */
  readonly openPackage?: OpenPackage | undefined;
  /** Brings a file from a web server; gives its path. Absent: none can be had. */
  readonly download?: ((url: string) => Promise<string>) | undefined;
  /** Makes the directory they are copied to instead, for what a build calls `inside`. */
  readonly place?: ((inside: string) => Promise<string>) | undefined;
}

/** What will be tried. */
export interface GatheredExtensions {
  /** All that may take part. */
  readonly store: ExtensionStore;
  /** Groups, best first. */
  readonly order: GroupOrder;
  /** Those that lie on this machine, not in the builder. */
  readonly near: readonly Extension[];
}

/**
 * Reads descriptors and unpacks archives; runs nothing.
 *
 * @throws {LifecycleError} Exit code 3 for a name that leads nowhere, 1 for a descriptor that cannot be read.
 */
export async function gatherExtensions(
  request: ExtensionRequest,
  ctx: Context,
): Promise<GatheredExtensions> {
  const found = new Map<string, Extension>();
  for (const one of request.builder?.extensions ?? []) found.set(moduleName(one.descriptor), one);
  const near: Extension[] = [];
  const add = (extension: Extension) => {
    found.set(moduleName(extension.descriptor), extension);
    near.push(extension);
    return extension.descriptor;
  };
  const group = [];
  for (const text of request.named) {
    const { id, version } = await resolveOne(text, request, found, add, ctx);
    group.push({ id, version, optional: true, execEnv: [] });
  }
  const order = group.length > 0 ? [{ group }] : await ownOrder(request);
  if (request.dir !== undefined && request.named.length === 0) {
    for (const { id, version } of order.flatMap((one) => one.group)) {
      if (version === "" || found.has(`${id}@${version}`)) continue;
      const dir = join(request.dir, escapeId(id), version);
      if (await Deno.stat(dir).then((info) => info.isDirectory, () => false)) {
        add(await copyNear(dir, dir, request, ctx, version));
      }
    }
  }
  return {
    store: {
      find: (id, version) =>
        version
          ? found.get(`${id}@${version}`)
          : [...found.values()].findLast(({ descriptor }) => descriptor.id === id),
    },
    order,
    near,
  };
}

async function ownOrder({ builder, orderFile, cwd }: ExtensionRequest): Promise<GroupOrder> {
  if (orderFile === undefined) return builder?.order?.orderExtensions ?? [];
  const order = await readModuleFile(resolve(cwd, orderFile), parseOrderToml);
  return order?.orderExtensions ?? [];
}

async function resolveOne(
  text: string,
  request: ExtensionRequest,
  found: ReadonlyMap<string, Extension>,
  add: (extension: Extension) => Extension["descriptor"],
  ctx: Context,
): Promise<Extension["descriptor"]> {
  if (isPackage(text)) return await fromPackage(text, request, add, ctx);
  const path = await fetchedFile(text, request) ??
    resolve(request.cwd, text.replace(/^file:\/\//, ""));
  const stat = await Deno.stat(path).catch(() => undefined);
  if (stat?.isDirectory) return add(await copyNear(path, text, request, ctx));
  if (stat?.isFile) {
    if (await isPackageFile(path)) return await fromPackage(text, request, add, ctx);
    const { root } = await unpackArchive(
      path,
      request.scratch,
      text,
      `Cannot use extension ${JSON.stringify(text)}: it is no (compressed) tar that can be read`,
    );
    return add(await copyNear(root, text, request, ctx));
  }
  const ofBuilder = /^(?:from=builder|urn:cnb:builder):(.+)$/.exec(text)?.[1];
  const [id = "", version = ""] = (ofBuilder ?? text).split("@");
  const known = [...found.values()].findLast(({ descriptor }) =>
    descriptor.id === id && (version === "" || descriptor.version === version)
  );
  if (known !== undefined) return known.descriptor;
  const absent = (why: string, cause?: unknown) =>
    new LifecycleError(
      ExitCode.arguments,
      `Cannot find extension ${JSON.stringify(text)}: ${why}`,
      { cause },
    );
  const have = `the builder has ${[...found.keys()].join(", ") || "no extensions"}`;
  if (ofBuilder !== undefined) throw absent(have);
  if (isAbsolute(text) || /^(\.|file:)/.test(text)) throw absent("no such file or directory");
  if (request.openPackage === undefined || !mayBeImage(text)) {
    throw absent(`no such directory, and ${have}`);
  }
  try {
    return await fromPackage(text, request, add, ctx);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    // As with buildpacks: id@version is no name of an image.
    const why = /@(?!sha256:)/.test(text) && !(cause instanceof LifecycleError)
      ? ""
      : ` (${reason})`;
    throw absent(`no such directory, ${have}, and no package${why}`, cause);
  }
}

async function fromPackage(
  text: string,
  request: ExtensionRequest,
  add: (extension: Extension) => Extension["descriptor"],
  ctx: Context,
): Promise<Extension["descriptor"]> {
  if (request.openPackage === undefined) {
    throw new LifecycleError(
      ExitCode.arguments,
      `Cannot use extension ${JSON.stringify(text)}: want a directory or a .tgz`,
    );
  }
  const { main, extensions } = await request.openPackage(text, "extension");
  const one = extensions.find(({ descriptor }) =>
    descriptor.id === main.id && descriptor.version === main.version
  );
  if (one !== undefined) {
    return add(await copyNear(one.dir.outside, text, request, ctx, main.version));
  }
  throw new LifecycleError(
    ExitCode.arguments,
    `Cannot use extension ${
      JSON.stringify(text)
    }: it is a package of ${main.id}@${main.version}, which is none`,
  );
}

async function copyNear(
  dir: string,
  text: string,
  { scratch, place }: ExtensionRequest,
  { signal }: Context,
  version?: string,
): Promise<Extension> {
  const read = await readDirectory(dir, text, version);
  const copy = await place?.(read.dir.inside) ??
    join(scratch, `extension-${crypto.randomUUID().slice(0, 8)}`);
  await Deno.mkdir(copy, { recursive: true });
  await prepareApp(dir, copy, signal);
  return await readDirectory(copy, text, version);
}

async function readDirectory(dir: string, text: string, version?: string): Promise<Extension> {
  const read = await readModuleFile(join(dir, "extension.toml"), parseExtensionToml);
  if (read === undefined) {
    throw new LifecycleError(
      ExitCode.arguments,
      `Cannot use extension ${JSON.stringify(text)}: it has no extension.toml`,
    );
  }
  // The name of the directory decides the version where it has one (BPT-2).
  const descriptor = version === undefined ? read : { ...read, version };
  const name = descriptor.version || "unversioned";
  const inside = `/cnb/extensions/${escapeId(descriptor.id)}/${name}`;
  return { descriptor, dir: { outside: dir, inside } };
}
