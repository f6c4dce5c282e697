/** Finds the buildpacks a user named, and the order to try them in. */
import { isAbsolute, join, resolve } from "node:path";
import { ExitCode, FileError, LifecycleError } from "../error.ts";
import {
  type BuildpackDescriptor,
  oddKeysOfBuildpack,
  parseBuildpackToml,
} from "../file/buildpack_toml.ts";
import { readDocument } from "../file/document.ts";
import { escapeId, type GroupElement, type GroupOrder, moduleName } from "../file/module.ts";
import { type Order, parseOrderToml } from "../file/order_toml.ts";
import { parsePackageToml } from "../file/package_toml.ts";
import { formatToml } from "../file/toml.ts";
import type { Buildpack, BuildpackStore } from "../phase/detect_types.ts";
import { prepareApp } from "./app_source.ts";
import { refuseLinksOut, unpackArchive } from "./archive_root.ts";
import { isPassable } from "./passable.ts";
import { findTree, layTree, type TreePlatform, treesOf } from "./platform_tree.ts";
import { compareVersions } from "./module_version.ts";

/** One buildpack somebody asks for: a name as typed, or a script that stands for a whole one (PRJ-5). */
export type Wanted = string | {
  /** Its id. */
  readonly id: string;
  /** Its version. */
  readonly version: string;
  /** Its `bin/build`. */
  readonly script: { readonly api: string; readonly inline: string; readonly shell: string };
};

/** What the user said about buildpacks. */
export interface BuildpackRequest {
  /** In order: directories, `.tgz` files, `id` or `id@version`, scripts. */
  readonly buildpacks: readonly Wanted[];
  /** In front of every group. */
  readonly pre?: readonly Wanted[] | undefined;
  /** Behind every group. */
  readonly post?: readonly Wanted[] | undefined;
  /** Those of the builder, and its order. */
  readonly builder?: {
    readonly buildpacks: readonly Buildpack[];
    readonly order?: Order | undefined;
  } | undefined;
  /** Opens a package by the name of an image or file: the buildpack it is for, and all in it. Absent: none can be. */
  readonly openPackage?: OpenPackage | undefined;
  /** `--order`: an order.toml; used when no buildpack is named. */
  readonly orderFile?: string | undefined;
  /** A directory in the shape of `/cnb/buildpacks`, where ids are looked up. */
  readonly buildpacksDir?: string | undefined;
  /** What relative paths are relative to. */
  readonly cwd: string;
  /** An empty directory of ours, for archives. */
  readonly scratch: string;
  /** What is built for: a directory may have files for it alone, in `linux/amd64` and the like. */
  readonly platform?: TreePlatform | undefined;
}

/** See {@linkcode BuildpackRequest.openPackage}. */
export type OpenPackage = (name: string) => Promise<{
  readonly main: { readonly id: string; readonly version: string };
  readonly buildpacks: readonly Buildpack[];
}>;

/** What will be tried. */
export interface Gathered {
  /** All that may take part. `dir.inside` is `/cnb/buildpacks/<id>/<version>`. */
  readonly store: BuildpackStore;
  /** Groups, best first. */
  readonly order: GroupOrder;
  /** The same buildpacks as a list, without repetition. */
  readonly all: readonly Buildpack[];
  /** What people should be told about the order. */
  readonly warnings: readonly string[];
}

/**
 * Reads descriptors and unpacks archives; runs nothing.
 *
 * @throws {LifecycleError} Exit code 3 for a name that leads nowhere, 1 for a descriptor that cannot be read.
 */
export async function gatherBuildpacks(asked: BuildpackRequest): Promise<Gathered> {
  const warnings: string[] = [];
  const request = { ...asked, warn: (line: string) => void warnings.push(line) };
  const found = new Map<string, Buildpack>();
  const add = (buildpack: Buildpack) => {
    found.set(moduleName(buildpack.descriptor), buildpack);
    return buildpack.descriptor;
  };
  for (const buildpack of request.builder?.buildpacks ?? []) add(buildpack);
  if (request.buildpacksDir !== undefined) {
    for (const buildpack of await readBuildpacksDir(request.buildpacksDir)) add(buildpack);
  }
  const own: Pick<Order, "order" | "warnings"> | undefined = request.buildpacks.length > 0
    ? undefined
    : request.orderFile !== undefined
    ? await readOrder(request)
    : request.builder?.order;
  /** Groups of one word after another; `from=builder` stands for every group of the builder. */
  const groups = async (list: readonly Wanted[] = []): Promise<GroupOrder> => {
    let order: GroupOrder = [{ group: [] }];
    for (const wanted of list) {
      const next: GroupOrder = wanted === "from=builder"
        ? builderOrder(request)
        : [{ group: [await element(wanted)] }];
      order = order.flatMap((before) =>
        next.map(({ group }) => ({ group: [...before.group, ...group] }))
      );
    }
    return order;
  };
  const element = async (wanted: Wanted): Promise<GroupElement> => {
    const { id, version } = typeof wanted === "string"
      ? await resolveOne(wanted, request, found, add)
      : add(await writeScript(wanted, request));
    return { id, version, optional: false, execEnv: [] };
  };
  const named = await groups(request.buildpacks);
  const [pre] = await groups(request.pre);
  const [post] = await groups(request.post);
  const around = [...pre?.group ?? [], ...post?.group ?? []];
  const order = request.buildpacks.length > 0 || (around.length > 0 && own === undefined)
    ? named
    : own?.order ?? (await readOrder(request)).order;
  return {
    store: storeOf(found),
    warnings: [...own?.warnings ?? [], ...warnings],
    order: order.map(({ group }) => ({
      group: [...pre?.group ?? [], ...group, ...post?.group ?? []],
    })),
    all: [...found.values()],
  };
}

function builderOrder(request: BuildpackRequest): GroupOrder {
  const order = request.builder?.order?.order;
  if (order !== undefined) return order;
  throw new LifecycleError(
    ExitCode.arguments,
    'Cannot use buildpack "from=builder": there is no builder with an order; want --builder NAME',
  );
}

/** The same buildpacks, those that others cannot get to as copies in `into`. */
export async function bringNear(
  gathered: Gathered,
  into: string,
  signal: AbortSignal,
): Promise<Gathered> {
  let copies = 0;
  return await withDirs(gathered, async ({ dir: { outside } }) => {
    if (isPassable(outside)) return outside;
    const copy = join(into, `near-${copies++}`);
    await Deno.mkdir(copy);
    await prepareApp(outside, copy, signal);
    return copy;
  });
}

/** The same buildpacks, each where `move` says it lies. */
export async function withDirs(
  gathered: Gathered,
  move: (buildpack: Buildpack) => Promise<string>,
): Promise<Gathered> {
  const moved = new Map<string, Buildpack>();
  for (const buildpack of gathered.all) {
    const dir = { ...buildpack.dir, outside: await move(buildpack) };
    moved.set(moduleName(buildpack.descriptor), { ...buildpack, dir });
  }
  return { ...gathered, store: storeOf(moved), all: [...moved.values()] };
}

/** A buildpack that always detects and whose build is the script. */
async function writeScript(
  wanted: Exclude<Wanted, string>,
  { scratch, warn }: Means,
): Promise<Buildpack> {
  const dir = join(scratch, `script-${crypto.randomUUID().slice(0, 8)}`);
  await Deno.mkdir(join(dir, "bin"), { recursive: true });
  const { id, version, script } = wanted;
  const head = {
    api: script.api || "0.10",
    buildpack: { id, version },
    targets: [{ os: "linux" }],
  };
  await Deno.writeTextFile(join(dir, "buildpack.toml"), formatToml(head));
  for (const [name, text] of [["detect", "exit 0\n"], ["build", `${script.inline}\n`]] as const) {
    const shell = name === "detect" ? "/bin/sh" : script.shell;
    await Deno.writeTextFile(join(dir, "bin", name), `#!${shell}\n${text}`);
    await Deno.chmod(join(dir, "bin", name), 0o755);
  }
  await Deno.chmod(dir, 0o755);
  return await readDirectory(dir, () => {
    throw new TypeError("a script has no parts");
  }, { scratch, warn });
}

async function readOrder(request: BuildpackRequest): Promise<Order> {
  if (request.orderFile === undefined) {
    throw new LifecycleError(
      ExitCode.arguments,
      "Cannot build: no buildpack is named; want --buildpack DIR or --order order.toml",
    );
  }
  const path = resolve(request.cwd, request.orderFile);
  const order = await readDocument(path, parseOrderToml);
  if (order === undefined) {
    throw new LifecycleError(ExitCode.arguments, `Cannot read order ${path}: no such file`);
  }
  return order;
}

/** What parts of a composite are had with. */
type Means = Pick<BuildpackRequest, "openPackage" | "scratch" | "platform"> & {
  /** Gets what people should be told. */
  readonly warn: (line: string) => void;
};

type Add = (buildpack: Buildpack) => BuildpackDescriptor;

async function resolveOne(
  text: string,
  request: BuildpackRequest & Means,
  found: ReadonlyMap<string, Buildpack>,
  add: Add,
): Promise<BuildpackDescriptor> {
  const ofBuilder = /^(?:from=builder|urn:cnb:builder):(.+)$/.exec(text)?.[1];
  if (ofBuilder !== undefined) {
    const [id = "", version = ""] = ofBuilder.split("@");
    const known = storeOf(found).find(id, version);
    if (known !== undefined) return known.descriptor;
    throw new LifecycleError(
      ExitCode.arguments,
      `Cannot find buildpack ${JSON.stringify(text)}: ${
        request.builder === undefined
          ? "there is no builder; want --builder NAME"
          : `the builder has ${[...found.keys()].join(", ") || "no buildpacks"}`
      }`,
    );
  }
  if (/^(docker:\/\/|urn:cnb:registry:|https?:)|\.cnb$/.test(text)) {
    return await fromPackage(text, request, found, add);
  }
  const path = resolve(request.cwd, text.replace(/^file:\/\//, ""));
  const stat = await Deno.stat(path).catch(() => undefined);
  if (stat?.isDirectory) return add(await readDirectory(path, add, request));
  if (stat?.isFile) return add(await readArchive(path, add, request, text));
  const [id = "", version = ""] = text.split("@");
  const known = storeOf(found).find(id, version);
  if (known !== undefined) return known.descriptor;
  const isImage = request.openPackage !== undefined &&
    /^[a-z0-9]+([.:/_-]+[a-z0-9]+)*(@|:|$)/.test(text) &&
    /[./:]/.test(text) && !/^(\.|\/|file:)/.test(text);
  if (isImage) {
    try {
      return await fromPackage(text, request, found, add);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      // id@version is no name of an image, so what is wrong with it as one helps nobody.
      const why = /@(?!sha256:)/.test(text) ? "" : ` (${reason})`;
      throw new LifecycleError(
        ExitCode.arguments,
        `Cannot find buildpack ${JSON.stringify(text)}: no such directory, ${
          found.size > 0 ? `none of ${[...found.keys()].join(", ")}, ` : ""
        }and no package${why}`,
        { cause },
      );
    }
  }
  const looksLikePath = isAbsolute(text) || text.startsWith(".") || text.startsWith("file:");
  const where = looksLikePath
    ? "no such file or directory"
    : request.buildpacksDir === undefined
    ? "no such directory, and there is no buildpacks directory to look the id up in (--buildpacks DIR)"
    : `no such directory, and ${request.buildpacksDir} has ${
      [...found.keys()].join(", ") || "no buildpacks"
    }`;
  throw new LifecycleError(
    ExitCode.arguments,
    `Cannot find buildpack ${JSON.stringify(text)}: ${where}`,
  );
}

async function fromPackage(
  text: string,
  request: BuildpackRequest,
  found: ReadonlyMap<string, Buildpack>,
  add: Add,
): Promise<BuildpackDescriptor> {
  if (request.openPackage === undefined) {
    throw new LifecycleError(
      ExitCode.arguments,
      `Cannot use buildpack ${
        JSON.stringify(text)
      }: want a directory, a .tgz, or id@version with --buildpacks DIR`,
    );
  }
  const { main, buildpacks } = await request.openPackage(text);
  for (const one of buildpacks) add(one);
  const known = found.get(`${main.id}@${main.version}`);
  if (known !== undefined) return known.descriptor;
  throw new LifecycleError(
    ExitCode.arguments,
    `Cannot use buildpack ${JSON.stringify(text)}: its layers hold no ${main.id}@${main.version}`,
  );
}

/**
 * A buildpack directory; a `package.toml` beside it names the parts of a composite: directories, archives, packages.
 *
 * @param within What came out of an archive has its parts in there.
 */
async function readDirectory(
  dir: string,
  add: Add,
  means: Means,
  called?: string,
  within?: string,
): Promise<Buildpack> {
  const file = join(dir, "buildpack.toml");
  const descriptor = await readDocument(file, (source) => {
    const read = parseBuildpackToml(source, file);
    oddKeysOfBuildpack(source, file).forEach(means.warn);
    return read;
  }).catch(argumentError);
  if (descriptor === undefined) {
    throw new LifecycleError(
      ExitCode.arguments,
      `Cannot use buildpack ${JSON.stringify(called ?? dir)}: it has no buildpack.toml`,
    );
  }
  if (descriptor.order.length > 0) {
    const packageFile = join(dir, "package.toml");
    const parts = await readDocument(packageFile, parsePackageToml).catch(argumentError);
    for (const { uri } of parts?.dependencies ?? []) {
      const part = resolve(dir, uri.replace(/^file:\/\//, ""));
      if (part === resolve(dir)) continue;
      const stat = isName(uri) ? undefined : await Deno.stat(part).catch(() => undefined);
      const isPath = stat !== undefined || (!isName(uri) && /^(\.|\/|file:)/.test(uri));
      if (isPath && within !== undefined) {
        await refusePartOutside(within, part, called ?? dir, uri);
      }
      if (isPath && !stat?.isFile) {
        add(await readDirectory(part, add, means, called && `${uri} of ${called}`, within));
        continue;
      }
      if (isPath && !part.endsWith(".cnb")) {
        add(await readArchive(part, add, means, `${uri} of ${called ?? dir}`));
        continue;
      }
      if (means.openPackage === undefined) {
        throw new LifecycleError(
          ExitCode.arguments,
          `Cannot use ${packageFile}: dependency ${JSON.stringify(uri)} is not a directory`,
        );
      }
      const { buildpacks } = await means.openPackage(isPath ? part : uri);
      for (const one of buildpacks) add(one);
    }
  }
  const { platform, scratch } = means;
  const tree = platform && await findTree(dir, treesOf(platform), descriptor.targets);
  const outside = tree === undefined ? dir : await layTree(dir, tree, scratch);
  return { descriptor, dir: { outside, inside: insideOf(descriptor) } };
}

/** A buildpack in a (compressed) tar. */
async function readArchive(
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

function argumentError(error: unknown): never {
  if (!(error instanceof FileError)) throw error;
  throw new LifecycleError(ExitCode.failure, error.message, { cause: error, file: error.file });
}

function insideOf(descriptor: BuildpackDescriptor): string {
  return `/cnb/buildpacks/${escapeId(descriptor.id)}/${descriptor.version || "unversioned"}`;
}

/** `<dir>/<escaped id>/<version>/buildpack.toml`; links count as what they point to. */
async function readBuildpacksDir(dir: string): Promise<readonly Buildpack[]> {
  const found: Buildpack[] = [];
  for (const id of await namesIn(dir)) {
    for (const version of await namesIn(join(dir, id))) {
      const outside = join(dir, id, version);
      const descriptor = await readDocument(join(outside, "buildpack.toml"), parseBuildpackToml)
        .catch(argumentError);
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

function storeOf(found: ReadonlyMap<string, Buildpack>): BuildpackStore {
  return {
    find: (id, version) => {
      if (version) return found.get(`${id}@${version}`);
      const versions = [...found.values()].filter((one) => one.descriptor.id === id);
      return versions.sort((a, b) => compareVersions(a.descriptor.version, b.descriptor.version))
        .at(-1);
    },
  };
}
