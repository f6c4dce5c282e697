/** What `project.toml` changes about a build (PRJ-1 to PRJ-5). */
import { dirname, join } from "node:path";
import ignore from "ignore";
import { ExitCode, FileError, LifecycleError } from "../error.ts";
import { readDocument } from "../file/document.ts";
import type { ProjectMetadata } from "../file/project_metadata_toml.ts";
import {
  parseProjectToml,
  type Project,
  type ProjectBuildpack,
  projectFor,
} from "../file/project_toml.ts";
import type { AppFilter } from "./app_source.ts";
import type { Wanted } from "./buildpack_source.ts";

/** A descriptor that was found. */
export interface FoundProject {
  /** The descriptor, for one execution environment. */
  readonly project: Project;
  /** What its relative addresses are relative to. */
  readonly dir: string;
}

/**
 * Reads the descriptor the user named, else `project.toml` of the app directory.
 *
 * @throws {LifecycleError} 3 when the one that was named is not there, 1 when it cannot be read.
 */
export async function findProject(
  named: string | undefined,
  app: string,
  execEnv: string,
): Promise<FoundProject | undefined> {
  const file = named ?? join(app, "project.toml");
  let project: Project | undefined;
  try {
    project = await readDocument(file, parseProjectToml);
  } catch (error) {
    // An app that is an archive has no directory to look into.
    if (named === undefined && !Deno.lstatSync(app).isDirectory) return undefined;
    if (!(error instanceof FileError)) throw error;
    throw new LifecycleError(ExitCode.failure, error.message, { cause: error, file });
  }
  if (project === undefined) {
    if (named === undefined) return undefined;
    throw new LifecycleError(ExitCode.arguments, `Cannot read descriptor ${file}: no such file`);
  }
  return { project: projectFor(project, execEnv), dir: dirname(file) };
}

/** What is left of the app (PRJ-2, PRJ-4): gitignore rules, either of what goes in or of what stays out. */
export function filterOf({ include, exclude }: Project): AppFilter | undefined {
  if (exclude !== undefined) {
    const rules = ignore().add([...exclude]);
    return (path, isDirectory) => !rules.ignores(isDirectory ? `${path}/` : path);
  }
  if (include === undefined) return undefined;
  const rules = ignore().add([...include]);
  // A directory is entered whatever the rules say of it: they may mean something inside.
  return (path, isDirectory) => isDirectory ? "look inside" : rules.ignores(path);
}

/** Its buildpacks in the words of `gatherBuildpacks`; scripts get ids of their own where they have none. */
export function wantedOf(list: readonly ProjectBuildpack[], dir: string): readonly Wanted[] {
  return list.map((one, at): Wanted => {
    if (one.script !== undefined) {
      return {
        id: one.id || `wherry/inline-${at + 1}`,
        version: one.version || "0.0.0",
        script: one.script,
      };
    }
    if (one.uri === "") return one.version === "" ? one.id : `${one.id}@${one.version}`;
    const remote = /^([a-z][a-z0-9+.-]*:|from=)/.test(one.uri) && !one.uri.startsWith("file:");
    return remote || one.uri.startsWith("/") || one.uri.startsWith("file:")
      ? one.uri
      : join(dir, one.uri);
  });
}

/** For the label: what the project says of its own version and home (LB-4). */
export function metadataOf(project: Project): ProjectMetadata | undefined {
  if (project.version === "0.0.0" && project.sourceUrl === "") return undefined;
  return {
    source: {
      type: "project",
      version: { declared: project.version },
      ...(project.sourceUrl === "" ? {} : { metadata: { url: project.sourceUrl } }),
    },
  };
}
