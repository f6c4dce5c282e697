/**
 * Reading what a buildpack left behind. A buildpack chooses the names and may plant links; the one
 * who reads may see more than it could (credentials, other builds). So links are followed as the
 * buildpack itself would see them, and only inside directories of the build.
 *
 * Small files, looked at one by one: a call that waits costs a fifth of one that another thread answers.
 */
import { FileError } from "../error.ts";
import type { Dir } from "../sandbox/executor.ts";
import { decode } from "./document.ts";

/** No document of the spec comes near it. */
const MAX_BYTES = 64 * 1024 * 1024;

/** As many as Linux follows. */
const MAX_LINKS = 40;

/** A file or directory, after all links. */
export interface Found {
  /** Where it lies on this machine. */
  readonly outside: string;
  /** What it is. Never a link. */
  readonly info: Deno.FileInfo;
}

/**
 * Finds `path` (as buildpacks see it) in `roots`, following links.
 *
 * @returns `undefined` when nothing is there.
 * @throws {FileError} When `path` or a link on the way leads out of all `roots`, or in a circle.
 */
export function findContained(path: string, roots: readonly Dir[]): Found | undefined {
  let here = normal(path);
  for (let links = 0; links <= MAX_LINKS; links++) {
    const root = rootOf(here, roots);
    if (root === undefined) {
      throw new FileError(
        path,
        `Cannot read ${path}: it leads to ${here}, want a file inside ${
          roots.map(({ inside }) => inside).join(", ")
        }`,
      );
    }
    const next = step(here, root);
    if (typeof next !== "string") return next;
    here = next;
  }
  throw new FileError(path, `Cannot read ${path}: more than ${MAX_LINKS} links`);
}

/**
 * The text of the file `path` (as buildpacks see it).
 *
 * @returns `undefined` when there is no such file.
 * @throws {FileError} When it leads out of `roots`, is no plain file, is huge or is not UTF-8.
 */
export function readContained(path: string, roots: readonly Dir[]): string | undefined {
  const found = findContained(path, roots);
  if (found === undefined) return undefined;
  if (!found.info.isFile) {
    throw new FileError(path, `Cannot read ${path}: it is not a plain file`);
  }
  if (found.info.size > MAX_BYTES) {
    throw new FileError(
      path,
      `Cannot read ${path}: ${found.info.size} bytes, want at most ${MAX_BYTES}`,
    );
  }
  try {
    return decode(Deno.readFileSync(found.outside), path);
  } catch (cause) {
    if (cause instanceof FileError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FileError(path, `Cannot read ${path}: ${why}`, { cause });
  }
}

/** Follows the first link on the way to `here`; what is there when no link is left. */
function step(here: string, root: Dir): string | Found | undefined {
  const parts = here.slice(normal(root.inside).length).split("/").filter((part) => part !== "");
  let outside = root.outside;
  let inside = normal(root.inside);
  let info: Deno.FileInfo | undefined = lstat(outside);
  for (const [at, part] of parts.entries()) {
    const parent = inside;
    outside = `${outside}/${part}`;
    inside = `${inside === "/" ? "" : inside}/${part}`;
    info = lstat(outside);
    if (info === undefined) return undefined;
    if (!info.isSymlink) continue;
    const target = Deno.readLinkSync(outside);
    const rest = parts.slice(at + 1).join("/");
    return normal(`${target.startsWith("/") ? "" : parent}/${target}/${rest}`);
  }
  return info && { outside, info };
}

function lstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw error;
  }
}

/** The root that holds `path`, the deepest if several do. */
function rootOf(path: string, roots: readonly Dir[]): Dir | undefined {
  let best: Dir | undefined;
  for (const root of roots) {
    const inside = normal(root.inside);
    if (path !== inside && !path.startsWith(inside === "/" ? "/" : `${inside}/`)) continue;
    if (best === undefined || inside.length > normal(best.inside).length) best = root;
  }
  return best;
}

/** An absolute path without `.`, `..`, and doubled slashes. */
function normal(path: string): string {
  const out: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") out.pop();
    else if (part !== "" && part !== ".") out.push(part);
  }
  return `/${out.join("/")}`;
}
