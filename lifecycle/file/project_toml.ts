import { z } from "zod";
import { FileError } from "../error.ts";
import { type KnownKeys, OTHERS, parseDocument, table, text, unknownKeys } from "./document.ts";
import { execEnv, inExecEnv } from "./module.ts";
import { isTable, parseToml, type TomlTable } from "./toml.ts";

/** A buildpack a project asks for: exactly one of version, uri and script, or an id alone. */
export interface ProjectBuildpack {
  /** Its id; empty for an address. */
  readonly id: string;
  /** Its version in the builder or the registry. */
  readonly version: string;
  /** Where it is. */
  readonly uri: string;
  /** A buildpack written in place. */
  readonly script?: ProjectScript | undefined;
  /** Execution environments it is for; empty for all. */
  readonly execEnv: readonly string[];
}

/** A buildpack written in place: its `bin/build` (PRJ-5). */
export interface ProjectScript {
  /** Buildpack API. */
  readonly api: string;
  /** What to run. */
  readonly inline: string;
  /** What runs it. */
  readonly shell: string;
}

/** A variable of the build. */
export interface ProjectVariable {
  /** Its name. */
  readonly name: string;
  /** Its value. */
  readonly value: string;
  /** Execution environments it is for; empty for all. */
  readonly execEnv: readonly string[];
}

/** `project.toml`: how a project wants to be built (PRJ-1 to PRJ-4). */
export interface Project {
  /** `0.1` when the file does not say. */
  readonly schemaVersion: string;
  /** Reverse domain name. */
  readonly id: string;
  /** For people. */
  readonly name: string;
  /** Of the project; `0.0.0` when the file does not say. */
  readonly version: string;
  /** Who wrote it. */
  readonly authors: readonly string[];
  /** Where to read about it. */
  readonly documentationUrl: string;
  /** Where its source is. */
  readonly sourceUrl: string;
  /** Its licences. */
  readonly licenses: readonly { readonly type: string; readonly uri: string }[];
  /** Free-form. */
  readonly metadata: TomlTable;
  /** The builder to build with; empty: not said. */
  readonly builder: string;
  /** Patterns of what goes into the build; absent: all. */
  readonly include?: readonly string[] | undefined;
  /** Patterns of what does not. */
  readonly exclude?: readonly string[] | undefined;
  /** The group; empty: not said. */
  readonly group: readonly ProjectBuildpack[];
  /** In front of the group. */
  readonly pre: readonly ProjectBuildpack[];
  /** Behind the group. */
  readonly post: readonly ProjectBuildpack[];
  /** Variables of the build. */
  readonly env: readonly ProjectVariable[];
  /** What the user should hear. */
  readonly warnings: readonly string[];
}

/** Versions of the schema, oldest first. */
const PROJECT_SCHEMAS = ["0.1", "0.2", "0.3"] as const;

/** A table that is taken for an empty one when it is not there. */
function mayMiss<T extends z.ZodType>(schema: T): z.ZodType<z.output<T>> {
  return z.preprocess((seen) => seen ?? {}, schema) as unknown as z.ZodType<z.output<T>>;
}

const licenses = z.array(z.object({ type: text, uri: text })).default([]);
const patterns = z.array(z.string()).optional();
const strings = z.array(z.string()).default([]);

const buildpacks: z.ZodType<ProjectBuildpack[]> = z.array(
  z.object({
    id: text,
    version: text,
    uri: text,
    script: z.object({ api: text, inline: text, shell: z.string().default("/bin/sh") }).optional(),
    "exec-env": execEnv,
  }).refine(
    // A script may say which version it is, as pack takes it.
    (one) => one.uri === "" || (one.version === "" && one.script === undefined),
    "only one of version, uri and script",
  ).refine(
    (one) => one.id !== "" || one.uri !== "" || one.script !== undefined,
    "an id, a uri or a script",
  ).transform(({ "exec-env": execEnv, ...one }): ProjectBuildpack => ({ ...one, execEnv })),
).default([]);

const env: z.ZodType<ProjectVariable[]> = z.array(
  z.object({ name: z.string().min(1), value: text, "exec-env": execEnv })
    .transform(({ name, value, "exec-env": execEnv }): ProjectVariable => ({
      name,
      value,
      execEnv,
    })),
).default([]);

const group = mayMiss(z.object({ group: buildpacks }));

const about = {
  id: text,
  name: text,
  version: text,
  authors: strings,
  "documentation-url": text,
  "source-url": text,
  licenses,
};

const modern = z.object({
  _: mayMiss(z.object({ ...about, metadata: table.default(() => ({})) })),
  io: mayMiss(z.object({
    buildpacks: mayMiss(z.object({
      builder: text,
      include: patterns,
      exclude: patterns,
      group: buildpacks,
      pre: group,
      post: group,
      build: mayMiss(z.object({ env })),
    })),
  })),
});

const legacy = z.object({
  project: mayMiss(z.object(about)),
  build: mayMiss(z.object({
    builder: text,
    include: patterns,
    exclude: patterns,
    buildpacks,
    env,
  })),
  metadata: table.default(() => ({})),
});

/**
 * Reads `project.toml` of any schema version. Unknown tables are left alone (PRJ-4).
 *
 * @throws {FileError} When it is malformed, of an unknown schema, or has both `include` and `exclude`.
 */
export function parseProjectToml(source: string, file: string): Project {
  const root = parseToml(source, file);
  const head = isTable(root._) ? root._["schema-version"] : undefined;
  // 0.2 without quotes is a number, and what was meant is clear; a table or list has no text of its own.
  const version = head === undefined ? "0.1" : typeof head === "object" ? "no text" : String(head);
  if (!PROJECT_SCHEMAS.some((known) => known === version)) {
    throw new FileError(
      file,
      `Cannot parse ${file}: schema-version is ${
        JSON.stringify(version.slice(0, 100))
      }, want one of ${PROJECT_SCHEMAS.join(", ")}`,
    );
  }
  const project = head === undefined
    ? readLegacy(source, file, isTable(root.io))
    : readModern(source, file, version);
  if (project.include && project.exclude) {
    throw new FileError(file, `Cannot use ${file}: it has both include and exclude, want only one`);
  }
  return project;
}

const ABOUT: KnownKeys = {
  ...Object.fromEntries(Object.keys(about).map((key) => [key, true as const])),
  licenses: { type: true, uri: true },
};
const SCRIPT: KnownKeys = { api: true, inline: true, shell: true };
const GROUP: KnownKeys = { id: true, version: true, uri: true, script: SCRIPT, "exec-env": true };
const ENV: KnownKeys = { name: true, value: true, "exec-env": true };
const INPUT: KnownKeys = { builder: true, include: true, exclude: true };

/** Other tables are other tools' (PRJ-4); what is nearly one of ours was meant to be it. */
const MODERN: KnownKeys = {
  [OTHERS]: true,
  _: { ...ABOUT, "schema-version": true, metadata: true },
  io: {
    [OTHERS]: true,
    buildpacks: {
      ...INPUT,
      group: GROUP,
      pre: { group: GROUP },
      post: { group: GROUP },
      build: { env: ENV },
    },
  },
};
const LEGACY: KnownKeys = {
  [OTHERS]: true,
  project: ABOUT,
  build: { ...INPUT, buildpacks: GROUP, env: ENV },
  metadata: true,
};

/** The parts of `project` for one execution environment; before schema 0.3 nothing is left out. */
export function projectFor(project: Project, execEnv: string): Project {
  if (project.schemaVersion !== "0.3") return project;
  const wanted = (one: { readonly execEnv: readonly string[] }) => inExecEnv(one.execEnv, execEnv);
  return {
    ...project,
    group: project.group.filter(wanted),
    pre: project.pre.filter(wanted),
    post: project.post.filter(wanted),
    env: project.env.filter(wanted),
  };
}

function readModern(source: string, file: string, schemaVersion: string): Project {
  const { _: about, io: { buildpacks } } = parseDocument(modern, source, file);
  return {
    schemaVersion,
    id: about.id,
    name: about.name,
    version: about.version || "0.0.0",
    authors: about.authors,
    documentationUrl: about["documentation-url"],
    sourceUrl: about["source-url"],
    licenses: about.licenses,
    metadata: about.metadata,
    builder: buildpacks.builder,
    include: buildpacks.include,
    exclude: buildpacks.exclude,
    group: buildpacks.group,
    pre: buildpacks.pre.group,
    post: buildpacks.post.group,
    env: buildpacks.build.env,
    warnings: unknownKeys(MODERN, source, file),
  };
}

/** @param modern It has tables of a newer schema all the same. */
function readLegacy(source: string, file: string, modern: boolean): Project {
  const { project, build, metadata } = parseDocument(legacy, source, file);
  return {
    schemaVersion: "0.1",
    id: project.id,
    name: project.name,
    version: project.version || "0.0.0",
    authors: project.authors,
    documentationUrl: project["documentation-url"],
    sourceUrl: project["source-url"],
    licenses: project.licenses,
    metadata,
    builder: build.builder,
    include: build.include,
    exclude: build.exclude,
    group: build.buildpacks,
    pre: [],
    post: [],
    env: build.env,
    warnings: [
      `No schema version declared in ${file}, defaulting to schema version 0.1${
        modern ? ': [io] means nothing in it, want [_] with schema-version = "0.2"' : ""
      }`,
      ...unknownKeys(LEGACY, source, file),
    ],
  };
}
