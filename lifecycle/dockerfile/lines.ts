/**
 * The text of a Dockerfile as instructions: lines joined, comments left out, here-documents kept with what they
 * belong to. What an instruction means is not known here.
 */
import { FileError } from "../error.ts";

/** A here-document of a RUN, COPY or ADD. */
export interface Heredoc {
  /** The word that ends it. */
  readonly name: string;
  /** Its lines, each with its newline. */
  readonly content: string;
  /** Variables in it are expanded: its word had no quotes. */
  readonly expand: boolean;
}

/** One instruction, not yet understood. */
export interface Instruction {
  /** In upper case: `RUN`. */
  readonly name: string;
  /** `--from=x`, `--chown=1:1`, ..., in order, before anything else. */
  readonly flags: readonly string[];
  /** All that follows, in one line. */
  readonly rest: string;
  /** What follows the line. */
  readonly heredocs: readonly Heredoc[];
  /** The line it begins on, from 1. */
  readonly line: number;
}

/** A Dockerfile without its words understood. */
export interface DockerfileLines {
  /** In order. */
  readonly instructions: readonly Instruction[];
  /** What ends a line that goes on, and takes the meaning from a character: `\` unless a directive says otherwise. */
  readonly escape: string;
}

/** Makes an error that tells where. */
export function dockerfileError(file: string, line: number, why: string): FileError {
  return new FileError(file, `Cannot parse ${file}:${line}: ${why}`, { line });
}

/**
 * Splits a Dockerfile into instructions.
 *
 * @throws {FileError} For a here-document without an end, or an escape character that is none.
 */
export function splitDockerfile(source: string, file: string): DockerfileLines {
  const lines = source.replace(/^\ufeff/, "").split(/\r?\n/);
  const escape = readEscape(lines, file);
  const goesOn = escape === "`" ? /(^|[^`])`[ \t]*$/ : /(^|[^\\])\\[ \t]*$/;
  const instructions: Instruction[] = [];
  for (let at = 0; at < lines.length; at++) {
    const first = at;
    let text = lines[at]!.trimStart();
    if (text === "" || text.startsWith("#")) continue;
    while (goesOn.test(text)) {
      text = text.replace(goesOn, "$1");
      // Comments and empty lines between the parts are no parts.
      do at++; while (at < lines.length && /^\s*(#|$)/.test(lines[at]!));
      if (at >= lines.length) break;
      text += lines[at]!;
    }
    const [, name = "", tail = ""] = /^(\S+)\s*([^]*)$/.exec(text.trim())!;
    const { flags, rest } = takeFlags(tail);
    const heredocs: Heredoc[] = [];
    if (/^(RUN|COPY|ADD)$/i.test(name)) {
      for (const { name: word, chomp, expand } of heredocWords(rest)) {
        let content = "";
        let ended = false;
        while (++at < lines.length) {
          const line = chomp ? lines[at]!.replace(/^\t+/, "") : lines[at]!;
          if (line === word) {
            ended = true;
            break;
          }
          content += `${line}\n`;
        }
        if (!ended) throw dockerfileError(file, first + 1, `here-document "${word}" has no end`);
        heredocs.push({ name: word, content, expand });
      }
    }
    instructions.push({ name: name.toUpperCase(), flags, rest, heredocs, line: first + 1 });
  }
  return { instructions, escape };
}

/** Directives are comments of the form `# key=value`, before anything else. */
function readEscape(lines: readonly string[], file: string): string {
  for (const [at, line] of lines.entries()) {
    const match = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/.exec(line.trimStart());
    if (!match) break;
    if (match[1]!.toLowerCase() !== "escape") continue;
    if (match[2] !== "\\" && match[2] !== "`") {
      throw dockerfileError(
        file,
        at + 1,
        `the escape is ${JSON.stringify(match[2])}, want \\ or \``,
      );
    }
    return match[2];
  }
  return "\\";
}

function takeFlags(text: string): { readonly flags: readonly string[]; readonly rest: string } {
  const flags: string[] = [];
  let rest = text;
  for (let match; (match = /^(--\S*)(\s+|$)/.exec(rest));) {
    rest = rest.slice(match[0].length);
    if (match[1] === "--") break;
    flags.push(match[1]!);
  }
  return { flags, rest };
}

const HEREDOC = /(?:^|[^<])<<(-?)(["']?)([a-zA-Z_][a-zA-Z0-9_.-]*)\2(?=\s|$|[;|&>)])/g;

function* heredocWords(
  text: string,
): Generator<{ readonly name: string; readonly chomp: boolean; readonly expand: boolean }> {
  // The exec form is JSON: what looks like a here-document there is text.
  if (text.startsWith("[")) return;
  for (const [, chomp, quote, name] of text.matchAll(HEREDOC)) {
    yield { name: name!, chomp: chomp === "-", expand: quote === "" };
  }
}
