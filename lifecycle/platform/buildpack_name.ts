/** What a name that somebody typed stands for: a directory, an archive, an id, a package. */
import { isAbsolute, resolve } from "node:path";
import { ExitCode, LifecycleError } from "../error.ts";
import type { BuildpackDescriptor } from "../file/buildpack_toml.ts";
import type { Buildpack } from "../phase/detect_types.ts";
import {
  type Add,
  fetchedFile,
  isPackageFile,
  type Means,
  readArchive,
  readDirectory,
} from "./buildpack_directory.ts";
import { storeOf } from "./gathered.ts";

/** Where names are looked up, beside what was found already. */
export interface Naming extends Means {
  /** What relative paths are relative to. */
  readonly cwd: string;
  /** Whether there is one. */
  readonly builder?: unknown;
  /** A directory in the shape of `/cnb/buildpacks`, for messages: what is in it was found already. */
  readonly buildpacksDir?: string | undefined;
}

/** Whether `text` is a package, whatever files lie here. */
export function isPackage(text: string): boolean {
  return /^(docker:\/\/|urn:cnb:registry:)|^(?!https?:).*\.cnb$/.test(text);
}

/** Whether `text` may be the name of an image, or an id of a registry index. */
export function mayBeImage(text: string): boolean {
  return /^[a-z0-9]+([.:/_-]+[a-z0-9]+)*(@|:|$)/.test(text) && /[./:]/.test(text) &&
    !/^(\.|\/|file:)/.test(text);
}

/**
 * Finds one buildpack, and adds it unless it is among those `found`.
 *
 * @throws {LifecycleError} Exit code 3 for a name that leads nowhere.
 */
export async function findBuildpack(
  text: string,
  request: Naming,
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
  if (isPackage(text)) return await fromPackage(text, request, found, add);
  const path = await fetchedFile(text, request) ??
    resolve(request.cwd, text.replace(/^file:\/\//, ""));
  const stat = await Deno.stat(path).catch(() => undefined);
  if (stat?.isDirectory) return add(await readDirectory(path, add, request));
  if (stat?.isFile) {
    if (await isPackageFile(path)) return await fromPackage(text, request, found, add);
    return add(await readArchive(path, add, request, text));
  }
  const [id = "", version = ""] = text.split("@");
  const known = storeOf(found).find(id, version);
  if (known !== undefined) return known.descriptor;
  if (request.openPackage !== undefined && mayBeImage(text)) {
    try {
      return await fromPackage(text, request, found, add);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      // id@version is no name of an image, so what is wrong with it as one helps nobody; what an index says does.
      const asImage = /@(?!sha256:)/.test(text) && !(cause instanceof LifecycleError);
      const why = asImage ? "" : ` (${reason})`;
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
    : request.builder !== undefined
    ? `no such directory, and the builder has ${[...found.keys()].join(", ") || "no buildpacks"}`
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
  request: Naming,
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
