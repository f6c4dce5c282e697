/**
 * Globs in the syntax of Go's `filepath.Match`, which buildpacks write slices in (SL-1): `*` and `?` do not cross
 * a slash, `[a-z]`, `[^a]`, `\` escapes; there is no `**`. Matching takes the first place a part fits and never
 * comes back to an earlier `*`, as Go does, so it cannot blow up.
 *
 * @see https://pkg.go.dev/path/filepath#Match
 */

/** One character of a pattern. */
type Atom =
  | { readonly kind: "literal"; readonly char: string }
  | { readonly kind: "any" }
  | {
    readonly kind: "class";
    readonly not: boolean;
    readonly ranges: readonly (readonly [number, number])[];
  };

/** What stands between two stars. */
interface Part {
  /** Whether a star stands in front. */
  readonly star: boolean;
  readonly atoms: readonly Atom[];
}

/** Says whether a path matches. */
export type Glob = (path: string) => boolean;

/**
 * Reads a pattern.
 *
 * @throws {SyntaxError} When it is malformed.
 */
export function parseGlob(pattern: string): Glob {
  const parts = parse([...pattern], pattern);
  return (path) => matches(parts, [...path]);
}

function parse(chars: readonly string[], pattern: string): readonly Part[] {
  const parts: { star: boolean; atoms: Atom[] }[] = [{ star: false, atoms: [] }];
  for (let at = 0; at < chars.length;) {
    const char = chars[at]!;
    const last = parts.at(-1)!;
    if (char === "*") {
      // A run of stars is one.
      if (last.star && last.atoms.length === 0) at++;
      else {
        parts.push({ star: true, atoms: [] });
        at++;
      }
    } else if (char === "?") {
      last.atoms.push({ kind: "any" });
      at++;
    } else if (char === "[") {
      const [atom, next] = parseClass(chars, at + 1, pattern);
      last.atoms.push(atom);
      at = next;
    } else if (char === "\\") {
      const literal = chars[at + 1];
      if (literal === undefined) throw malformed(pattern, "a lone \\ at its end");
      last.atoms.push({ kind: "literal", char: literal });
      at += 2;
    } else {
      last.atoms.push({ kind: "literal", char });
      at++;
    }
  }
  return parts;
}

function parseClass(
  chars: readonly string[],
  start: number,
  pattern: string,
): readonly [atom: Atom, next: number] {
  let at = start;
  const not = chars[at] === "^";
  if (not) at++;
  const ranges: (readonly [number, number])[] = [];
  const bound = (): number => {
    let char = chars[at];
    if (char === undefined || char === "-" || char === "]") {
      throw malformed(pattern, "an empty or open [");
    }
    if (char === "\\") char = chars[++at];
    if (char === undefined) throw malformed(pattern, "a lone \\ at its end");
    at++;
    if (at >= chars.length) throw malformed(pattern, "a [ that is not closed");
    return char.codePointAt(0)!;
  };
  while (ranges.length === 0 || chars[at] !== "]") {
    const low = bound();
    let high = low;
    if (chars[at] === "-") {
      at++;
      high = bound();
    }
    ranges.push([low, high]);
  }
  return [{ kind: "class", not, ranges }, at + 1];
}

function malformed(pattern: string, seen: string): SyntaxError {
  return new SyntaxError(`Cannot read glob ${JSON.stringify(pattern)}: it has ${seen}`);
}

function matches(parts: readonly Part[], path: readonly string[]): boolean {
  let at = 0;
  for (const [index, { star, atoms }] of parts.entries()) {
    const last = index === parts.length - 1;
    if (star && atoms.length === 0) {
      return last && !path.includes("/", at);
    }
    let end = fit(atoms, path, at);
    while (star && (end < 0 || (last && end < path.length))) {
      if (at >= path.length || path[at] === "/") return false;
      end = fit(atoms, path, ++at);
    }
    if (end < 0) return false;
    at = end;
  }
  return at === path.length;
}

/** Where `atoms` end when they start at `at`, or -1. */
function fit(atoms: readonly Atom[], path: readonly string[], at: number): number {
  for (const atom of atoms) {
    const char = path[at++];
    if (char === undefined) return -1;
    if (atom.kind === "literal" && atom.char !== char) return -1;
    if (atom.kind === "any" && char === "/") return -1;
    if (atom.kind === "class") {
      const code = char.codePointAt(0)!;
      const inside = atom.ranges.some(([low, high]) => low <= code && code <= high);
      if (inside === atom.not) return -1;
    }
  }
  return at;
}
