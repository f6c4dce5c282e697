/**
 * What the executable has for `node:path`: its POSIX half, as far as wherry uses it. The real one brings all of Deno's Node
 * layer with it, twice the time of a bare start. `light_path_test.ts` compares the two.
 */

/** The parts of a path that count, `..` taken as far as it goes. */
function walk(path: string, mayLeave: boolean): string {
  const kept: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") kept.push(part);
    else if (kept.length > 0 && kept.at(-1) !== "..") kept.pop();
    else if (mayLeave) kept.push(part);
  }
  return kept.join("/");
}

/** As Node's. */
export function isAbsolute(path: string): boolean {
  return path.startsWith("/");
}

/** As Node's. */
export function normalize(path: string): string {
  if (path === "") return ".";
  const absolute = isAbsolute(path);
  const slash = path.endsWith("/") ? "/" : "";
  const kept = walk(path, !absolute);
  if (kept === "") return absolute ? "/" : `.${slash}`;
  return `${absolute ? "/" : ""}${kept}${slash}`;
}

/** As Node's. */
export function join(...parts: readonly string[]): string {
  return normalize(parts.filter((part) => part !== "").join("/"));
}

/** As Node's: absolute, without a slash at its end. */
export function resolve(...parts: readonly string[]): string {
  let path = "";
  for (const part of parts.toReversed()) {
    if (part === "") continue;
    path = path === "" ? part : `${part}/${path}`;
    if (isAbsolute(part)) break;
  }
  if (!isAbsolute(path)) path = `${Deno.cwd()}/${path}`;
  return `/${walk(path, false)}`;
}

/** As Node's, which leaves `//` alone. */
export function dirname(path: string): string {
  if (path === "") return ".";
  const slash = path.lastIndexOf("/", lastNotSlash(path));
  if (slash > 0 && lastNotSlash(path) > 0) {
    return slash === 1 && path[0] === "/" ? "//" : path.slice(0, slash);
  }
  return isAbsolute(path) ? "/" : ".";
}

/** As Node's, for a path alone. */
export function basename(path: string): string {
  const end = lastNotSlash(path);
  return end < 0 ? "" : path.slice(path.lastIndexOf("/", end) + 1, end + 1);
}

/** As Node's. */
export function relative(from: string, to: string): string {
  const [a, b] = [from, to].map((path) => resolve(path).split("/").filter((part) => part !== ""));
  let same = 0;
  while (same < a!.length && same < b!.length && a![same] === b![same]) same++;
  return [...a!.slice(same).map(() => ".."), ...b!.slice(same)].join("/");
}

function lastNotSlash(path: string): number {
  let at = path.length - 1;
  while (at >= 0 && path[at] === "/") at--;
  return at;
}
