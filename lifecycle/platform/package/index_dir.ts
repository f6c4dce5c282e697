/** A buildpack registry index: one file a name, one JSON line a version (BP-4); a directory of them can be written. */
import { join } from "node:path";
import { z } from "zod";
import { ExitCode, LifecycleError } from "../../error.ts";
import { readText, writeText } from "../../file/document.ts";
import { compareVersions } from "../module_version.ts";

/** One version of one buildpack. */
export interface IndexEntry {
  /** Namespace: what stands before the slash of the id. */
  readonly ns: string;
  /** What stands behind it. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
  /** It shall not be used any more. */
  readonly yanked: boolean;
  /** The image, by digest. */
  readonly addr: string;
}

/** Where names are looked up: a directory, an archive, a web server. */
export interface RegistryIndex {
  /** For people. */
  readonly name: string;
  /** The text of the file at `path`, such as `ab/cd/ns_abcdef`; `undefined` when there is none. */
  read(path: string): Promise<string | undefined>;
}

/** The index in the directory `dir`, which need not be there. */
export function directoryIndex(dir: string): RegistryIndex {
  return { name: dir, read: (path) => readText(join(dir, path)) };
}

const PART = /^[a-z0-9\-.]{1,253}$/;
const entrySchema: z.ZodType<IndexEntry> = z.object({
  ns: z.string(),
  name: z.string(),
  version: z.string(),
  yanked: z.boolean().default(false),
  addr: z.string(),
});

/**
 * Where an id stands in an index: `3/ab/ns_abc`, `ab/cd/ns_abcdef`, `1/ns_a`.
 *
 * @throws {LifecycleError} For an id that cannot be in an index.
 */
export function indexPath(id: string): string {
  const { ns, name } = splitId(id);
  const file = `${ns}_${name}`;
  if (name.length <= 2) return `${name.length}/${file}`;
  if (name.length === 3) return `3/${name.slice(0, 2)}/${file}`;
  return `${name.slice(0, 2)}/${name.slice(2, 4)}/${file}`;
}

/** Namespace and name of an id. */
export function splitId(id: string): { readonly ns: string; readonly name: string } {
  const [ns = "", name = "", ...more] = id.split("/");
  const good = (part: string) => PART.test(part) && part !== "." && part !== "..";
  if (good(ns) && good(name) && more.length === 0) return { ns, name };
  throw new LifecycleError(
    3,
    `Cannot use id ${
      JSON.stringify(id)
    } in a registry index: want namespace/name, each of a-z, 0-9, "-" and "."`,
  );
}

/** The entries of `id`, in the order of the file; none when it has no file. */
export async function readIndex(
  { name, read }: RegistryIndex,
  id: string,
): Promise<readonly IndexEntry[]> {
  const path = indexPath(id);
  const file = `${name}/${path}`;
  const source = await read(path);
  return (source ?? "").split("\n").flatMap((line, at) => {
    if (line.trim() === "") return [];
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch {
      json = undefined;
    }
    const result = entrySchema.safeParse(json);
    if (result.success) return [result.data];
    throw new LifecycleError(
      1,
      `Cannot parse ${file}:${at + 1}: want a line {"ns","name","version","yanked","addr"}`,
    );
  });
}

/**
 * The image of `id`, of `version` or of the newest that is not yanked.
 *
 * @throws {LifecycleError} When there is none, saying which there are.
 */
export async function lookUp(
  index: RegistryIndex,
  id: string,
  version: string,
): Promise<IndexEntry> {
  return entryOf(await readIndex(index, id), index.name, id, version);
}

/** As {@linkcode lookUp}, among the entries of `id` that were read. */
export function entryOf(
  all: readonly IndexEntry[],
  called: string,
  id: string,
  version: string,
): IndexEntry {
  const usable = all.filter(({ yanked }) => !yanked);
  const found = version === ""
    ? newest(usable)
    : usable.findLast((entry) => entry.version === version);
  if (found !== undefined) return found;
  const yanked = version === ""
    ? all.length > 0 && usable.length === 0
    : all.some((entry) => entry.version === version && entry.yanked);
  throw new LifecycleError(
    yanked ? ExitCode.failure : ExitCode.arguments,
    `Cannot find buildpack ${version === "" ? id : `${id}@${version}`} in ${called}: ${
      yanked
        ? version === "" ? "all its versions were yanked" : "it was yanked"
        : `it has ${usable.map((entry) => entry.version).join(", ") || "no such buildpack"}`
    }`,
  );
}

function newest(entries: readonly IndexEntry[]): IndexEntry | undefined {
  return [...entries].sort((a, b) => compareVersions(a.version, b.version)).at(-1);
}

/**
 * Adds a version, or replaces the same one.
 *
 * @throws {LifecycleError} When the version is there with another image: what was registered stays what it was.
 */
export async function register(dir: string, entry: IndexEntry): Promise<void> {
  const id = `${entry.ns}/${entry.name}`;
  const all = await readIndex(directoryIndex(dir), id);
  const same = all.find(({ version }) => version === entry.version);
  if (same !== undefined && same.addr !== entry.addr) {
    throw new LifecycleError(
      1,
      `Cannot register ${id}@${entry.version}: it is ${same.addr} in the index, this is ${entry.addr}`,
    );
  }
  if (same !== undefined) return;
  await writeIndex(dir, id, [...all, entry]);
}

/**
 * Marks a version as not to be used, or takes that back.
 *
 * @throws {LifecycleError} When there is no such version.
 */
export async function yank(
  dir: string,
  id: string,
  version: string,
  yanked: boolean,
): Promise<void> {
  const all = await readIndex(directoryIndex(dir), id);
  if (!all.some((entry) => entry.version === version)) {
    throw new LifecycleError(
      ExitCode.arguments,
      `Cannot yank ${id}@${version}: ${dir} has ${
        all.map((entry) => entry.version).join(", ") || "no such buildpack"
      }`,
    );
  }
  await writeIndex(
    dir,
    id,
    all.map((entry) => entry.version === version ? { ...entry, yanked } : entry),
  );
}

async function writeIndex(dir: string, id: string, all: readonly IndexEntry[]): Promise<void> {
  await writeText(
    join(dir, indexPath(id)),
    all.map((entry) => JSON.stringify(entry) + "\n").join(""),
  );
}
