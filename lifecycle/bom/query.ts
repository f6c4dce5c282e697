/** Questions to bills of materials: which package, which version, which licence. Pure. */
import type { BomPackage } from "./package.ts";
import { versionOrder } from "./version.ts";

/** A question that cannot be understood. */
export class QueryError extends Error {
  override readonly name = "QueryError";
  /** Bad input of the user's. */
  readonly exitCode = 3;
}

/** A question, ready to be asked of packages. */
export interface PackageQuery {
  /** As it was written. */
  readonly text: string;
  /** Whether a package is meant. */
  readonly matches: (one: BomPackage) => boolean;
}

/**
 * Reads a question:
 *
 * - `pkg:maven/com.fasterxml.jackson.core/jackson-core@<2.15`: a package URL with a range of versions;
 * - `log4j-core@>=2,<2.17.1`: a name, of whatever ecosystem; the last part of a longer name is enough;
 * - `license:GPL-*`: a licence, also inside of an expression.
 *
 * `*` and `?` stand for any letters. Ranges: `<`, `<=`, `>`, `>=`, `=`, `!=`, `~1.2` (1.2 and its patches), `^1.2` (all that
 * is compatible), a bare version is that one; `,` means and, `||` or. Versions are compared by the rules of each package's
 * ecosystem.
 *
 * @throws {QueryError} Saying what was wanted.
 */
export function parseQuery(text: string): PackageQuery {
  const query = text.trim();
  if (query === "") throw bad(text, "want a package or license:PATTERN");
  const license = /^licen[cs]e:(.*)$/is.exec(query);
  if (license !== null) {
    if (license[1] === "") throw bad(text, "want a pattern behind license:");
    return { text, matches: licenseMatcher(license[1]!.trim()) };
  }
  // A version begins at the last @ that does not start a scope: pkg:npm/@scope/name@1.
  const at = /^(.*[^/:])@([^/]*)$/s.exec(query);
  const [what, range] = at === null ? [query, ""] : [at[1]!, at[2]!];
  const inRange = range === "" ? undefined : parseRange(range, text);
  const named = what.startsWith("pkg:") ? purlMatcher(what, text) : nameMatcher(what);
  return {
    text,
    matches: (one) => named(one) && (inRange === undefined || inRange(one.version, one.type)),
  };
}

function purlMatcher(what: string, text: string): (one: BomPackage) => boolean {
  const parts = what.slice(4).replace(/^\/+/, "").replace(/[?#].*$/, "").split("/").filter((part) =>
    part !== ""
  ).map(decoded);
  const [type, ...name] = parts;
  if (type === undefined || name.length === 0) throw bad(text, "want pkg:TYPE/NAME");
  const [isType, isName] = [globOf(type), globOf(name.join("/"))];
  return (one) => one.purl !== "" && isType(one.type) && isName(one.name);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** `jackson-core` also means `com.fasterxml.jackson.core/jackson-core`. */
function nameMatcher(what: string): (one: BomPackage) => boolean {
  const isName = globOf(what);
  return ({ name }) => isName(name) || isName(name.slice(name.lastIndexOf("/") + 1));
}

function licenseMatcher(pattern: string): (one: BomPackage) => boolean {
  const isLicense = globOf(pattern);
  return ({ licenses }) =>
    licenses.some((license) =>
      isLicense(license) ||
      license.split(/\s+(?:AND|OR|WITH)\s+|[()]/).some((part) => isLicense(part.trim()))
    );
}

/** Letters count the same in both cases; `*` goes over slashes. */
function globOf(pattern: string): (text: string) => boolean {
  const parts = pattern.toLowerCase().split("*").map((part) =>
    part.replaceAll(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("?", ".")
  );
  const wanted = new RegExp(`^${parts.join(".*")}$`, "s");
  return (text) => wanted.test(text.toLowerCase());
}

type InRange = (version: string, type: string) => boolean;

function parseRange(range: string, text: string): InRange {
  const either = range.split("||").map((group) => {
    const all = group.split(/[,\s]+(?=[<>=!~^\d])|,/).map((part) => part.trim()).filter((part) =>
      part !== ""
    ).map((part) => comparator(part, text));
    if (all.length === 0) throw bad(text, "want a version range behind @");
    return all;
  });
  // A package that says no version may be any.
  return (version, type) =>
    version !== "" && either.some((all) => all.every((fits) => fits(version, type)));
}

function comparator(part: string, text: string): InRange {
  const [, sign = "", version = ""] = /^(<=|>=|<|>|==?|!=|~>?|\^)?\s*v?(\S.*)$/.exec(part) ?? [];
  if (version === "" || /[<>=!^]/.test(version)) {
    throw bad(
      text,
      `${JSON.stringify(part)} is no version with <, <=, >, >=, =, !=, ~ or ^ in front`,
    );
  }
  if (sign === "" && /[*?]/.test(version)) {
    const like = globOf(version);
    return (seen) => like(seen);
  }
  if (sign.startsWith("~") || sign === "^") {
    const end = upperEnd(version, sign, text);
    return (seen, type) => {
      const order = versionOrder(type);
      return order(seen, version) >= 0 && order(seen, end) < 0;
    };
  }
  const wanted: Readonly<Record<string, (order: number) => boolean>> = {
    "<": (order) => order < 0,
    "<=": (order) => order <= 0,
    ">": (order) => order > 0,
    ">=": (order) => order >= 0,
    "!=": (order) => order !== 0,
  };
  const fits = wanted[sign] ?? ((order: number) => order === 0);
  return (seen, type) => fits(versionOrder(type)(seen, version));
}

/** The first version that `~1.2.3` (1.3) or `^1.2.3` (2) no longer means. */
function upperEnd(version: string, sign: string, text: string): string {
  const numbers = /^(\d+(?:\.\d+)*)/.exec(version)?.[1]?.split(".").map(Number);
  if (numbers === undefined) {
    throw bad(text, `${JSON.stringify(version)} does not begin with a number`);
  }
  const first = sign === "^"
    ? Math.max(0, numbers.findIndex((number) => number > 0))
    : Math.min(1, numbers.length - 1);
  return [...numbers.slice(0, first), numbers[first]! + 1].join(".");
}

function bad(text: string, why: string): QueryError {
  return new QueryError(`Cannot read query ${JSON.stringify(text)}: ${why}`);
}
