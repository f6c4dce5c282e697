/** What a builder image holds, read from its unpacked form: the same files a lifecycle inside it would read. */
import type { Image } from "../../registry/image.ts";
import { LifecycleError } from "../error.ts";
import { readDocument } from "../file/document.ts";
import type { RunImageNames } from "../file/lifecycle_metadata.ts";
import type { Distro } from "../file/module.ts";
import { type Order, parseOrderToml } from "../file/order_toml.ts";
import { parseRunToml } from "../file/run_toml.ts";
import { parseStackToml } from "../file/stack_toml.ts";
import { parseSystemToml, type System } from "../file/system_toml.ts";
import type { Buildpack, Extension } from "../phase/detect_types.ts";
import type { Dir } from "../sandbox/executor.ts";
import type { Entry } from "../sandbox/entry.ts";
import type { HeldTree } from "../sandbox/held.ts";
import { locate, namesIn, readTextIn } from "../sandbox/tree_files.ts";
import { readDistro } from "./distro.ts";
import { readBuildpacks, readExtensions } from "./tree_modules.ts";
import { BUILDER_LABELS, buildOwner, readBuilder } from "./package/builder.ts";

/** A builder that can be entered. */
export interface BuilderRoot {
  /** As the user named it. */
  readonly name: string;
  /** What it was unpacked from. */
  readonly image: Image;
  /** Its root file system on this machine; nobody writes to it. */
  readonly tree: string;
  /** Where extensions changed it: its root is what this holds over the builder's own. */
  readonly held?: HeldTree | undefined;
  /** How it is entered, which says how it was unpacked. */
  readonly entry: Entry;
  /** The build user, `CNB_USER_ID` and `CNB_GROUP_ID`. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Variables of its config. */
  readonly env: Readonly<Record<string, string>>;
  /** Its buildpacks. `dir.inside` is where they lie in it. */
  readonly buildpacks: readonly Buildpack[];
  /** Its image extensions; `dir.inside` likewise. */
  readonly extensions: readonly Extension[];
  /** `/cnb/order.toml`. */
  readonly order?: Order | undefined;
  /** `/cnb/system.toml`. */
  readonly system?: System | undefined;
  /** `/cnb/run.toml`, else `/cnb/stack.toml`, else the label. */
  readonly runImages: readonly RunImageNames[];
  /** Of its `/etc/os-release`. */
  readonly distro?: Distro | undefined;
  /** `/cnb/build-config`, where it has one. */
  readonly buildConfig?: Dir | undefined;
  /** Variables of its `/platform/env`: those of the user win. */
  readonly platformEnv: Readonly<Record<string, string>>;
}

/**
 * Reads a builder. Links in it are resolved as inside it: it cannot make us read a file of this machine.
 *
 * @param name For messages.
 * @throws {LifecycleError} When it says no build user, or one of its files is malformed.
 */
export async function readBuilderRoot(
  image: Image,
  name: string,
  tree: string,
  entry: Entry,
): Promise<BuilderRoot> {
  const owner = buildUser(image, name);
  const document = async <T>(path: string, parse: (text: string, file: string) => T) => {
    const file = locate(tree, path);
    return file === undefined ? undefined : await readDocument(file, parse);
  };
  return {
    name,
    image,
    tree,
    entry,
    owner,
    env: envRecord(image.config.config.Env ?? []),
    buildpacks: await readBuildpacks(tree),
    extensions: await readExtensions(tree),
    order: await document("/cnb/order.toml", parseOrderToml),
    system: await document("/cnb/system.toml", parseSystemToml),
    runImages: await runImagesOf(image, name, document),
    ...await readSystem(tree),
    platformEnv: readPlatformEnv(tree),
  };
}

/**
 * Whom builds run as; asked before anything is unpacked.
 *
 * @throws {LifecycleError} When the image says nobody, and so is no builder, or root.
 */
export function buildUser({ config }: Image, name: string): BuilderRoot["owner"] {
  const owner = buildOwner(config, name);
  if (owner.uid !== 0) return owner;
  throw new LifecycleError(1, `Cannot use ${name}: it wants builds to run as root`);
}

/** What buildpacks are told about the system they run on. */
async function readSystem(tree: string): Promise<Pick<BuilderRoot, "distro" | "buildConfig">> {
  const osRelease = locate(tree, "/etc/os-release");
  const inside = "/cnb/build-config";
  const outside = locate(tree, inside);
  return {
    distro: osRelease === undefined ? undefined : await readDistro(osRelease),
    ...(outside === undefined ? {} : { buildConfig: { inside, outside } }),
  };
}

/**
 * `builder` as extensions made it: `image`, whose files are in `changed` where they were changed. Who takes part was decided before, so what it
 * brings for detection stays as it was, and so does the build user (XT-8).
 */
export async function extendedRoot(
  builder: BuilderRoot,
  image: Image,
  changed?: { readonly root: string; readonly held?: HeldTree | undefined },
): Promise<BuilderRoot> {
  const env = envRecord(image.config.config.Env ?? []);
  const { root: tree = builder.tree, held } = changed ?? {};
  return { ...builder, image, tree, held, env, buildConfig: undefined, ...await readSystem(tree) };
}

/** `NAME=value` lines of a config. */
export function envRecord(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(lines.flatMap((line) => {
    const at = line.indexOf("=");
    return at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : [];
  }));
}

async function runImagesOf(
  image: Image,
  name: string,
  document: <T>(path: string, parse: (text: string, file: string) => T) => Promise<T | undefined>,
): Promise<readonly RunImageNames[]> {
  const { images = [] } = await document("/cnb/run.toml", parseRunToml) ?? {};
  if (images.length > 0) return images;
  const { runImage } = await document("/cnb/stack.toml", parseStackToml) ?? {};
  if (runImage !== undefined && runImage.image !== "") return [runImage];
  const labelled = image.config.config.Labels?.[BUILDER_LABELS.metadata] !== undefined;
  return labelled ? readBuilder(image, name).runImages : [];
}

function readPlatformEnv(tree: string): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of namesIn(tree, "/platform/env")) {
    const text = readTextIn(tree, `/platform/env/${name}`);
    if (text !== undefined) env[name] = text;
  }
  return env;
}
