/**
 * Where in a TOML document a key stands, so that a message can name the line. Only for documents
 * that have been parsed: it trusts their syntax.
 */

/** The steps from the root to a value: names of keys and indices of arrays. */
export type Path = readonly (string | number)[];

/**
 * The line, from 1, of the deepest part of `path` that is in the document. `undefined` when nothing
 * of it is there.
 */
export function lineOf(text: string, path: Path): number | undefined {
  const lines = linesOfKeys(text);
  for (let length = path.length; length > 0; length--) {
    const line = lines.get(id(path.slice(0, length)));
    if (line !== undefined) return line;
  }
  return undefined;
}

function id(path: Path): string {
  return JSON.stringify(path);
}

/** First line of each table and each key that begins a line. Keys inside inline tables are not seen. */
function linesOfKeys(text: string): Map<string, number> {
  const found = new Map<string, number>();
  const counts = new Map<string, number>();
  let here: (string | number)[] = [];
  let at = 0;
  let line = 1;
  const note = (path: Path) => {
    const key = id(path);
    if (!found.has(key)) found.set(key, line);
  };
  while (at < text.length) {
    const start = at + /^[ \t\uFEFF]*/.exec(text.slice(at, at + 200))![0].length;
    const header = /^\[\[?/.exec(text.slice(start, start + 2))?.[0];
    const keys = readKeys(text, start + (header?.length ?? 0));
    if (keys.names.length > 0) {
      const path = header === undefined ? [...here] : [];
      keys.names.forEach((name, depth) => {
        path.push(name);
        const last = depth === keys.names.length - 1;
        if (header !== undefined && (!last || header === "[[")) {
          // An element of an array of tables: the newest one is meant, `[[x]]` starts the next.
          const key = id(path);
          if (header === "[[" && last) counts.set(key, (counts.get(key) ?? -1) + 1);
          const count = counts.get(key);
          if (count !== undefined) path.push(count);
        }
        note(path);
      });
      if (header !== undefined) here = path;
    }
    const end = endOfStatement(text, keys.end);
    for (let p = at; p < end; p++) if (text.charCodeAt(p) === 10) line++;
    at = end;
  }
  return found;
}

/** The dotted key that starts at `at`. */
function readKeys(text: string, at: number): { names: string[]; end: number } {
  const part = /[ \t]*(?:([A-Za-z0-9_-]+)|"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)')[ \t]*(\.)?/y;
  const names: string[] = [];
  part.lastIndex = at;
  for (let match = part.exec(text); match; match = part.exec(text)) {
    names.push(match[1] ?? match[3] ?? unescape(match[2] ?? ""));
    at = part.lastIndex;
    if (match[4] === undefined) break;
  }
  return { names, end: at };
}

function unescape(text: string): string {
  try {
    return String(JSON.parse(`"${text}"`));
  } catch {
    return text;
  }
}

/** Behind the newline that ends the statement at `at`: strings and brackets may hold newlines. */
function endOfStatement(text: string, at: number): number {
  let depth = 0;
  const token =
    /"""(?:[^\\]|\\[^])*?"{3,5}|'''[^]*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[[\]{}\n]/g;
  token.lastIndex = at;
  for (let match = token.exec(text); match; match = token.exec(text)) {
    const seen = match[0];
    if (seen === "[" || seen === "{") depth++;
    else if (seen === "]" || seen === "}") depth--;
    else if (seen === "\n" && depth <= 0) return token.lastIndex;
  }
  return text.length;
}
