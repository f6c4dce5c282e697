/** Patterns over names of repositories. */
import { type Glob, parseGlob } from "../../layer/glob.ts";

/** Says whether a name matches. */
export type Pattern = (repository: string) => boolean;

/**
 * Reads a pattern: between slashes what {@linkcode parseGlob} reads (`*`, `?`, `[a-z]`), and `**` alone between
 * them for any number of parts, none too. `team/**` matches `team` and all below.
 *
 * @throws {SyntaxError} When it is malformed or holds what no name can.
 */
export function parsePattern(text: string): Pattern {
  const parts = text.split("/");
  if (
    parts.some((part) => part === "") || parts.some((part) => /\*\*/.test(part) && part !== "**")
  ) {
    throw new SyntaxError(
      `Cannot read pattern ${
        JSON.stringify(text)
      }: want parts between single slashes, "**" alone between them`,
    );
  }
  const globs = parts.map((part) => part === "**" ? "any" : parseGlob(part));
  return (repository) => matches(globs, repository.split("/"));
}

/** Goes back to the last `**` only: an earlier one could not do better. So the time is at most n times m. */
function matches(globs: readonly (Glob | "any")[], names: readonly string[]): boolean {
  let glob = 0;
  let name = 0;
  let star = -1;
  let mark = 0;
  while (name < names.length) {
    const now = globs[glob];
    if (now === "any") {
      star = glob++;
      mark = name;
    } else if (now !== undefined && now(names[name]!)) {
      glob++;
      name++;
    } else if (star >= 0) {
      glob = star + 1;
      name = ++mark;
    } else return false;
  }
  while (globs[glob] === "any") glob++;
  return glob === globs.length;
}
