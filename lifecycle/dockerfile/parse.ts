/** A Dockerfile as typed instructions: what can be told without running anything. No I/O. */
import { dockerfileError, type Heredoc, type Instruction, splitDockerfile } from "./lines.ts";
import { splitWords } from "./words.ts";

/** A name and a value as written, quotes and variables not yet replaced. */
export interface Pair {
  /** The name. */
  readonly name: string;
  /** Absent only for `ARG name`. */
  readonly value?: string | undefined;
}

/** A command for a shell, or words for the kernel. */
export type CommandLine =
  | { readonly form: "shell"; readonly script: string }
  | { readonly form: "exec"; readonly words: readonly string[] };

/** What an instruction says. */
export type Act =
  | { readonly name: "ARG"; readonly args: readonly Pair[] }
  | { readonly name: "FROM"; readonly image: string; readonly platform?: string | undefined }
  | { readonly name: "RUN"; readonly command: CommandLine }
  | {
    readonly name: "COPY" | "ADD";
    /** As written; those of here-documents are left out. */
    readonly sources: readonly string[];
    readonly heredocs: readonly Heredoc[];
    readonly target: string;
    readonly chown?: string | undefined;
    readonly chmod?: string | undefined;
  }
  | { readonly name: "ENV" | "LABEL"; readonly pairs: readonly Pair[] }
  | { readonly name: "USER" | "WORKDIR" | "STOPSIGNAL"; readonly value: string }
  | { readonly name: "SHELL"; readonly words: readonly string[] }
  | { readonly name: "CMD" | "ENTRYPOINT"; readonly command: CommandLine }
  | { readonly name: "EXPOSE" | "VOLUME"; readonly values: readonly string[] }
  | { readonly name: "HEALTHCHECK" | "MAINTAINER" | "ONBUILD" };

/** One instruction. */
export interface Step {
  /** What it says. */
  readonly act: Act;
  /** In one line, as histories show it: `RUN apt-get update`. */
  readonly text: string;
  /** The line it begins on, from 1. */
  readonly line: number;
}

/** One `FROM` and what follows it. */
export interface Stage {
  /** The base, variables not replaced. */
  readonly image: string;
  /** The line of its `FROM`. */
  readonly line: number;
  /** What follows. */
  readonly steps: readonly Step[];
}

/** A Dockerfile. */
export interface Dockerfile {
  /** Arguments in front of the first `FROM`. */
  readonly metaArgs: readonly Pair[];
  /** In order. */
  readonly stages: readonly Stage[];
  /** The escape character. */
  readonly escape: string;
}

/**
 * Parses a Dockerfile.
 *
 * @param file What messages call it.
 * @throws {FileError} `Cannot parse <file>:<line>: ...` for the first thing that is no Dockerfile.
 */
export function parseDockerfile(source: string, file: string): Dockerfile {
  const { instructions, escape } = splitDockerfile(source, file);
  const metaArgs: Pair[] = [];
  const stages: { image: string; line: number; steps: Step[] }[] = [];
  for (const instruction of instructions) {
    const { line } = instruction;
    const act = read(instruction, escape, (why) => dockerfileError(file, line, why));
    const stage = stages.at(-1);
    if (act.name === "FROM") stages.push({ image: act.image, line, steps: [] });
    else if (stage !== undefined) stage.steps.push({ act, text: textOf(instruction), line });
    else if (act.name === "ARG") metaArgs.push(...act.args);
    else throw dockerfileError(file, line, `${act.name} in front of the first FROM, want ARG`);
  }
  return { metaArgs, stages, escape };
}

function textOf({ name, flags, rest, heredocs }: Instruction): string {
  const line = [name, ...flags, rest].filter((part) => part !== "").join(" ");
  return [line, ...heredocs.map(({ content, name }) => `${content}${name}`)].join("\n");
}

type Fail = (why: string) => Error;

function read(instruction: Instruction, escape: string, fail: Fail): Act {
  const { name, rest } = instruction;
  const words = () => splitWords(rest, escape);
  if (rest === "" && name !== "ONBUILD") throw fail(`${name} has no arguments`);
  switch (name) {
    case "ARG":
      onlyFlags(instruction, [], fail);
      return { name, args: words().map((word) => pairOf(word)) };
    case "FROM": {
      const { platform } = onlyFlags(instruction, ["platform"], fail);
      const [image = "", as, stage, ...more] = words();
      if (more.length > 0 || (as !== undefined && (as.toUpperCase() !== "AS" || !stage))) {
        throw fail("FROM wants one image, or an image AS a name");
      }
      return { name, image, platform };
    }
    case "RUN":
      refuse(instruction, ["mount", "network", "security", "device"], fail);
      onlyFlags(instruction, [], fail);
      return { name, command: scriptOf(instruction) };
    case "COPY":
    case "ADD": {
      refuse(instruction, ["from", "link", "parents", "exclude", "checksum", "unpack"], fail);
      const { chown, chmod } = onlyFlags(instruction, ["chown", "chmod"], fail);
      const all = jsonWords(rest) ?? words();
      if (all.length < 2) throw fail(`${name} wants sources and a target`);
      const { heredocs } = instruction;
      const sources = all.slice(0, -1)
        .filter((word) => heredocs.length === 0 || !word.startsWith("<<"));
      return { name, sources, heredocs, target: all.at(-1)!, chown, chmod };
    }
    case "ENV":
    case "LABEL": {
      onlyFlags(instruction, [], fail);
      const all = words();
      if (!all[0]!.includes("=")) {
        // The old form: one name, and all that follows is its value.
        const [, key = "", value = ""] = /^(\S+)\s*([^]*)$/.exec(rest)!;
        if (value === "") throw fail(`${name} ${key} has no value`);
        return { name, pairs: [{ name: key, value }] };
      }
      return {
        name,
        pairs: all.map((word) => {
          const pair = pairOf(word);
          if (pair.value === undefined) throw fail(`${name} ${word} has no =`);
          if (pair.name === "") throw fail(`${name} ${word} has no name`);
          return pair;
        }),
      };
    }
    case "USER":
    case "WORKDIR":
    case "STOPSIGNAL":
      onlyFlags(instruction, [], fail);
      return { name, value: rest };
    case "SHELL": {
      const given = jsonWords(rest);
      if (!given || given.length === 0) throw fail('SHELL wants words: ["/bin/bash", "-c"]');
      return { name, words: given };
    }
    case "CMD":
    case "ENTRYPOINT":
      onlyFlags(instruction, [], fail);
      return { name, command: scriptOf(instruction) };
    case "EXPOSE":
      return { name, values: words() };
    case "VOLUME":
      return { name, values: jsonWords(rest) ?? words() };
    case "HEALTHCHECK":
    case "MAINTAINER":
    case "ONBUILD":
      return { name };
    default:
      throw fail(`${JSON.stringify(name)} is no instruction`);
  }
}

function scriptOf({ rest, heredocs }: Instruction): CommandLine {
  const words = jsonWords(rest);
  if (words !== undefined) return { form: "exec", words };
  const [heredoc] = heredocs;
  if (heredoc === undefined) return { form: "shell", script: rest };
  // A here-document alone is the script; behind a command the shell reads it.
  if (/^<<-?["']?[\w.-]+["']?$/.test(rest)) return { form: "shell", script: heredoc.content };
  const bodies = heredocs.map(({ content, name }) => `${content}${name}\n`).join("");
  return { form: "shell", script: `${rest}\n${bodies}` };
}

/** The words of the exec form; what is not JSON is for a shell. */
function jsonWords(text: string): readonly string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  try {
    const words: unknown = JSON.parse(text);
    return Array.isArray(words) && words.every((word) => typeof word === "string")
      ? words
      : undefined;
  } catch {
    return undefined;
  }
}

function pairOf(word: string): Pair {
  const at = word.indexOf("=");
  return at < 0 ? { name: word } : { name: word.slice(0, at), value: word.slice(at + 1) };
}

/** The values of flags, all of which must be among `known`. */
function onlyFlags<Name extends string>(
  { name, flags }: Instruction,
  known: readonly Name[],
  fail: Fail,
): Partial<Record<Name, string>> {
  const values: Partial<Record<Name, string>> = {};
  for (const flag of flags) {
    const [, key = "", value] = /^--([^=]*)(?:=([^]*))?$/.exec(flag)!;
    const found = known.find((one) => one === key);
    if (found === undefined) throw fail(`${name} does not know ${flag}`);
    if (!value) throw fail(`${name} ${flag} has no value`);
    values[found] = value;
  }
  return values;
}

/** Flags that are known to others and cannot be carried out here: said, not guessed. */
function refuse({ name, flags }: Instruction, known: readonly string[], fail: Fail): void {
  const found = flags.find((flag) => known.some((one) => new RegExp(`^--${one}(=|$)`).test(flag)));
  if (found) throw fail(`${name} ${found} is not supported in an extension's Dockerfile`);
}
