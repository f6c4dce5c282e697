/** Flags about app and buildpacks, read before anything is begun: what they name must be there. */
import { isAbsolute, normalize } from "node:path";
import { kindOfApp } from "../lifecycle/platform/app_source.ts";
import type { SandboxDir } from "../lifecycle/sandbox/in_place.ts";
import { UsageError } from "./exit.ts";
import type { Session } from "./session.ts";
import type { SiteFlags } from "./site_flags.ts";

/** Where volumes would hide what builds are made of. */
export const CNB_DIRS: readonly string[] = ["/cnb", "/layers", "/platform"];

/** User and group of a build when neither flags nor image say. */
export const DEFAULT_ID = 1000;

/**
 * Refuses files and directories that are named and not there. What may be an id, or an image, is looked for later.
 *
 * @throws {UsageError} With the flag.
 * @throws {LifecycleError} Without an app.
 */
export async function refuseAbsent(session: Session, flags: SiteFlags): Promise<void> {
  await kindOfApp(session.path(flags.path));
  const { buildpacks, buildpackRegistry: index } = flags;
  if (buildpacks !== undefined && !(await stat(session, buildpacks))?.isDirectory) {
    throw new UsageError(
      `Cannot use --buildpacks ${JSON.stringify(buildpacks)}: it is not a directory`,
    );
  }
  if (index !== undefined && !/^https?:/.test(index) && await stat(session, index) === undefined) {
    throw new UsageError(
      `Cannot use --buildpack-registry ${
        JSON.stringify(index)
      }: no such directory or file; want one, or https://...`,
    );
  }
  if (flags.order !== undefined && !(await stat(session, flags.order))?.isFile) {
    throw new UsageError(`Cannot read order ${session.path(flags.order)}: no such file`);
  }
  const named = [flags.buildpack, flags.preBuildpack, flags.postBuildpack].flatMap((one) =>
    one ?? []
  );
  for (
    const [kind, names] of [["buildpack", named], ["extension", flags.extension ?? []]] as const
  ) {
    for (const name of names) {
      const path = name.replace(/^file:\/\//, "");
      const isPath = path !== name || isAbsolute(path) || path.startsWith(".") ||
        /^[^/:]+(\/.*)?\.(tgz|tar|tar\.gz|cnb)$/.test(path) && !/^[^/]*[.:][^/]*\//.test(path);
      if (!isPath || await stat(session, path) !== undefined) continue;
      throw new UsageError(
        `Cannot find ${kind} ${JSON.stringify(name)}: no such file or directory`,
      );
    }
  }
}

async function stat(session: Session, path: string): Promise<Deno.FileInfo | undefined> {
  return await Deno.stat(session.path(path)).catch(() => undefined);
}

/**
 * `--workspace`, in the shortest form.
 *
 * @throws {UsageError} When the app cannot be there in a build.
 */
export function readWorkspace(text: string): string {
  const bad = (why: string) =>
    new UsageError(`Cannot use --workspace ${JSON.stringify(text)}: ${why}`);
  if (!text.startsWith("/")) throw bad("want an absolute path below /");
  const dir = cleanPath(text);
  const taken = coveredBy(dir, CNB_DIRS);
  if (taken !== undefined) throw bad(`it would cover ${taken}`);
  return dir;
}

function cleanPath(path: string): string {
  return normalize(path).replace(/^\/+/, "/").replace(/(?<=.)\/$/, "");
}

/** Which of the directories that a build is made of something at `inside` would hide, or lie in. */
function coveredBy(inside: string, taken: readonly string[]): string | undefined {
  return ["/", "/proc", "/sys", "/dev", ...taken].find((dir) =>
    inside === dir || (dir !== "/" && inside.startsWith(`${dir}/`))
  );
}

/** `--volume HOST:TARGET[:ro|rw]`, as pack has it; none may cover one of `taken`. */
export async function volumesOf(
  session: Session,
  texts: readonly string[],
  taken: readonly string[],
): Promise<readonly SandboxDir[]> {
  return await Promise.all(texts.map(async (text): Promise<SandboxDir> => {
    const bad = (why: string) =>
      new UsageError(`Cannot use --volume ${JSON.stringify(text)}: ${why}`);
    const [, host = "", target = "", mode = "ro"] = /^([^:]+):(\/[^:]*)(?::(ro|rw))?$/.exec(text) ??
      [];
    if (host === "") throw bad("want HOST:TARGET, HOST:TARGET:ro or HOST:TARGET:rw");
    const inside = cleanPath(target);
    const covered = coveredBy(inside, taken);
    if (covered !== undefined) throw bad(`it would cover ${covered}`);
    const outside = await Deno.realPath(session.path(host)).catch(() => {
      throw bad(`${host} is not there`);
    });
    return { inside, outside, access: mode === "rw" ? "rw" : "ro", foreign: true };
  }));
}

/** `--binding NAME=DIR`: the directories, by name. */
export async function bindingsOf(
  session: Session,
  texts: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  const found: Record<string, string> = {};
  for (const text of texts) {
    const at = text.indexOf("=");
    const name = text.slice(0, Math.max(at, 0));
    const bad = (why: string) =>
      new UsageError(`Cannot use --binding ${JSON.stringify(text)}: ${why}`);
    if (!/^[\w.-]+$/.test(name) || /^\.+$/.test(name) || at === text.length - 1) {
      throw bad("want NAME=DIR");
    }
    const dir = text.slice(at + 1);
    if (!(await stat(session, dir))?.isDirectory) throw bad(`${dir} is not a directory`);
    found[name] = session.path(dir);
  }
  return found;
}

/** `--uid` and the like, when it was said. */
export function readId(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const id = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (id < 2 ** 31) return id;
  throw new UsageError(
    `Cannot use ${flag} ${JSON.stringify(text)}: want a number from 0 to 2147483647`,
  );
}
