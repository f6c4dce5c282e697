/** Which layers the app image gets, in which order, and what each is made of (13.2). */
import { compareBytes } from "../../registry/compare_bytes.ts";
import { readContained } from "../file/contained.ts";
import { isLayerName, type LayerFile, parseLayerToml } from "../file/layer_toml.ts";
import { escapeId, moduleName } from "../file/module.ts";
import type { GroupMember } from "../file/group_toml.ts";
import type { BuildpackLayers } from "../file/lifecycle_metadata.ts";
import { parseStoreToml } from "../file/store_toml.ts";
import type { TomlTable } from "../file/toml.ts";
import { ExitCode, FileError, LifecycleError } from "../error.ts";
import { launcherLayer, processTypesLayer } from "../../registry/layer/fixed_layers.ts";
import type { TreeEntry } from "../../registry/layer/entry.ts";
import { sliceTree } from "../../registry/layer/slices.ts";
import { type WalkOptions, walkTree } from "../../registry/layer/tree.ts";
import type { Dir } from "../sandbox/executor.ts";
import { platformCapabilities } from "../api.ts";
import { hasDirectory, within } from "./export_directory.ts";
import { decideLaunch } from "./export_decide.ts";
import type { ExportInput } from "./export_types.ts";

/** One layer of the app image that is yet to be made or found. */
export interface LayerPlan {
  /** For logs: `<id>:<name>`, `buildpacksio/lifecycle:launcher`, `slice-1`. */
  readonly id: string;
  /** Which field of the metadata label its diffID goes to. */
  readonly field: "launch" | "sbom" | "app" | "launcher" | "config" | "processTypes";
  /** `created_by` of its history entry (CF-5). */
  readonly createdBy: string;
  /** Its entries, anew at each call; `undefined` when it must come from the previous image. */
  readonly entries: (() => Iterable<TreeEntry>) | undefined;
  /** Where the entries come from, when they are those of one directory and what is above it. */
  readonly tree?: Dir | undefined;
  /** DiffIDs it had in the previous image, if any: the one to reuse when there are no entries. */
  readonly candidates: readonly string[];
  /** Of a buildpack's layer. */
  readonly layer?: BuildpackLayer | undefined;
}

/** A layer on disk. */
export interface BuildpackLayer {
  /** Whose it is. */
  readonly member: GroupMember;
  /** Its name. */
  readonly name: string;
  /** Its TOML. */
  readonly file: LayerFile;
  /** Where it lies. */
  readonly directory: Dir;
  /** Whether there is anything but the TOML. */
  readonly hasDirectory: boolean;
}

/** What one buildpack left on disk. */
export interface BuildpackOnDisk {
  /** The buildpack. */
  readonly member: GroupMember;
  /** In byte order of names. */
  readonly layers: readonly BuildpackLayer[];
  /** `[metadata]` of `store.toml`, when there is one. */
  readonly store: TomlTable | undefined;
}

/**
 * Reads what the buildpacks left: TOML files, not layers.
 *
 * @throws {LifecycleError} 62 with all layers of a buildpack whose TOML cannot be read (EX-8).
 */
export async function readBuildpacks(input: ExportInput): Promise<readonly BuildpackOnDisk[]> {
  return await Promise.all(input.build.buildpacks.map((member) => readBuildpack(member, input)));
}

async function readBuildpack(member: GroupMember, input: ExportInput): Promise<BuildpackOnDisk> {
  const directory = within(input.layers, escapeId(member.id));
  if (!hasDirectory(input.layers, escapeId(member.id))) {
    return { member, layers: [], store: undefined };
  }
  const layers: BuildpackLayer[] = [];
  const broken: string[] = [];
  let first: FileError | undefined;
  for (const name of await layerNames(directory.outside)) {
    const path = `${directory.inside}/${name}.toml`;
    try {
      const file = parseLayerToml(readContained(path, [input.layers]) ?? "", path);
      const place = within(directory, name);
      layers.push({
        member,
        name,
        file,
        directory: place,
        hasDirectory: hasDirectory(directory, name),
      });
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      first ??= error;
      broken.push(`${member.id}:${name}`);
    }
  }
  if (first !== undefined) {
    throw new LifecycleError(
      ExitCode.export,
      `failed to parse metadata for layers '[${broken.join(" ")}]': ${first.message}`,
      { cause: first, file: first.file },
    );
  }
  const store = `${directory.inside}/store.toml`;
  const source = readContained(store, [input.layers]);
  return {
    member,
    layers,
    store: source === undefined ? undefined : parseStoreToml(source, store).metadata,
  };
}

/**
 * All layers above the base's, bottom to top (13.2).
 *
 * @throws {LifecycleError} 62 when a buildpack asks for what cannot be (EX-7).
 */
export async function planLayers(
  input: ExportInput,
  buildpacks: readonly BuildpackOnDisk[],
  signal: AbortSignal,
): Promise<readonly LayerPlan[]> {
  const { layers, owner, previousMetadata: before } = input;
  const walk = { owner, parents: input.parents };
  const own = (
    name: string,
    words: string,
    sha: string,
    rest: Pick<LayerPlan, "field" | "entries">,
  ) => ({
    id: `buildpacksio/lifecycle:${name}`,
    createdBy: words,
    candidates: sha === "" ? [] : [sha],
    ...rest,
  });
  const plans: LayerPlan[] = [];
  for (const buildpack of buildpacks) {
    for (const layer of buildpack.layers) {
      plans.push(...planLaunch(layer, before.buildpacks, walk));
    }
  }
  const sboms = within(layers, "sbom/launch");
  const can = platformCapabilities(input.platformApi);
  if (can.sboms && hasDirectory(layers, "sbom/launch")) {
    plans.push(own("launch.sbom", "Software Bill-of-Materials", before.sbom?.sha ?? "", {
      field: "sbom",
      entries: () => ownModes(walkTree(sboms, walk), walk),
    }));
  }
  plans.push(...await planApp(input, signal));
  plans.push(own("launcher", "Buildpacks Application Launcher", before.launcher.sha, {
    field: "launcher",
    entries: () => launcherLayer(input.launcher.bytes),
  }));
  const config = within(layers, "config");
  if (!hasDirectory(layers, "config")) {
    throw new LifecycleError(
      ExitCode.export,
      `Cannot read ${config.inside}/metadata.toml: there is no such directory`,
    );
  }
  plans.push(own("config", "Buildpacks Launcher Config", before.config.sha, {
    field: "config",
    entries: () => ownModes(walkTree(config, walk), walk),
  }));
  const types = input.build.processes.map(({ type }) => type);
  if (types.length > 0) {
    plans.push(own("process-types", "Buildpacks Process Types", before.processTypes.sha, {
      field: "processTypes",
      entries: () => processTypesLayer(types),
    }));
  }
  return plans;
}

function planLaunch(
  layer: BuildpackLayer,
  before: readonly BuildpackLayers[],
  walk: WalkOptions,
): LayerPlan[] {
  const { member, name, file, directory } = layer;
  const id = `${member.id}:${name}`;
  const known = before.find(({ key }) => key === member.id)?.layers ?? {};
  const previous = Object.hasOwn(known, name) ? known[name] : undefined;
  const decision = decideLaunch(id, file.types, layer.hasDirectory, previous);
  const plan = {
    id,
    field: "launch",
    createdBy: `Layer: '${name}', Created by buildpack: ${moduleName(member)}`,
    layer,
  } as const;
  switch (decision.kind) {
    case "none":
      return [];
    case "fail":
      throw new LifecycleError(ExitCode.export, decision.why);
    case "reuse":
      return [{ ...plan, entries: undefined, candidates: [decision.sha] }];
    case "make": {
      const { candidate } = decision;
      return [{
        ...plan,
        entries: () => walkTree(directory, walk),
        tree: directory,
        candidates: candidate === undefined ? [] : [candidate],
      }];
    }
  }
}

/** The app's slices and the rest (SL-3); one layer, when there are no slices. */
async function planApp(input: ExportInput, signal: AbortSignal): Promise<LayerPlan[]> {
  const { app, owner, build } = input;
  const parts = await sliceTree(app, build.slices, { owner, parents: input.parents, signal });
  const candidates = input.previousMetadata.app.map(({ sha }) => sha);
  return parts.map((entries, at) => ({
    id: `slice-${at + 1}`,
    field: "app",
    createdBy: parts.length === 1 ? "Application Layer" : `Application Slice: ${at + 1}`,
    // What made the directory, `git clone` or `mkdir` under whatever umask, is no part of the app.
    entries: () =>
      input.parents === "disk"
        ? entries
        : entries.map((entry) => entry.name === app.inside ? { ...entry, mode: 0o755 } : entry),
    candidates,
  }));
}

/** Modes of files wherry itself writes: the umask of the build has no say in them, unless the disk is asked. */
export function* ownModes(
  entries: Iterable<TreeEntry>,
  { parents }: Pick<WalkOptions, "parents">,
): Generator<TreeEntry> {
  if (parents === "disk") {
    yield* entries;
    return;
  }
  for (const entry of entries) {
    if (entry.type === "directory") yield { ...entry, mode: 0o755 };
    else if (entry.type === "file") yield { ...entry, mode: 0o644 };
    else yield entry;
  }
}

async function layerNames(directory: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name, isFile } of Deno.readDir(directory)) {
      if (!isFile || !name.endsWith(".toml")) continue;
      if (isLayerName(name.slice(0, -5))) names.push(name.slice(0, -5));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.sort(compareBytes);
}
