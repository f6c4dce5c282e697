/** What may stand where the cursor is: read from the tree of commands. */
import type { Command, Option } from "commander";
import { formsOf } from "../output.ts";

/** One word and what it means. */
export interface Candidate {
  readonly word: string;
  /** One line; may be empty. */
  readonly about: string;
}

/** What may come next. */
export interface Candidates {
  /** All that are known, whatever the word begins with. */
  readonly words: readonly Candidate[];
  /** Names of images do, too. */
  readonly images: boolean;
  /** Files do, too. */
  readonly files: boolean;
}

const NOTHING: Candidates = { words: [], images: false, files: false };

/**
 * What may stand at the last of `words`.
 *
 * @param program The tree, with the asked command's own part loaded.
 * @param words Behind `wherry`; the last is the one under the cursor and may be empty.
 */
export function candidatesFor(program: Command, words: readonly string[]): Candidates {
  const current = words.at(-1) ?? "";
  let at = program;
  let operands = 0;
  let flag: Option | undefined;
  for (const word of words.slice(0, -1)) {
    if (flag !== undefined) flag = undefined;
    else if (word === "--") return { ...NOTHING, files: true };
    else if (word.startsWith("-")) flag = word.includes("=") ? undefined : valued(at, word);
    else if (at !== program || word !== "help") {
      const below = operands > 0 ? undefined : childOf(at, word);
      if (below === undefined) operands++;
      else at = below;
    }
  }
  if (flag !== undefined) return valuesOf(flag, "");
  const equals = /^(--[\w-]+)=/.exec(current);
  if (equals !== null) {
    const named = valued(at, equals[1]!);
    return named === undefined ? NOTHING : valuesOf(named, equals[0]);
  }
  if (current.startsWith("-")) return { ...NOTHING, words: flagsOf(at) };
  const found = operandOf(at, operands);
  return operands > 0 ? found : { ...found, words: [...commandsOf(at), ...found.words] };
}

function childOf(at: Command, word: string): Command | undefined {
  return at.commands.find((one) => one.name() === word || one.aliases().includes(word));
}

/** The flag that takes the next word. */
function valued(at: Command, word: string): Option | undefined {
  const found = at.options.find(({ long, short }) => long === word || short === word);
  return found?.required ? found : undefined;
}

function valuesOf(option: Option, prefix: string): Candidates {
  const choices = option.argChoices ?? formsOf(option);
  if (choices !== undefined) {
    return { ...NOTHING, words: choices.map((one) => ({ word: prefix + one, about: "" })) };
  }
  const kind = /<([^>]*)>/.exec(option.flags)?.[1] ?? "";
  const images = /^(image|ref|builder|name)$/.test(kind) && prefix === "";
  return { words: [], images, files: prefix === "" };
}

function flagsOf(at: Command): readonly Candidate[] {
  const own = at.options.filter(({ hidden, long }) => !hidden && long !== undefined)
    .map(({ long, description }) => ({ word: long!, about: description }));
  return [...own, { word: "--help", about: "show this help" }];
}

function commandsOf(at: Command): readonly Candidate[] {
  return at.createHelp().visibleCommands(at)
    .map((one) => ({ word: one.name(), about: one.summary() }));
}

function operandOf(at: Command, operands: number): Candidates {
  const all = at.registeredArguments;
  const last = all.at(-1);
  const argument = all[operands] ?? (last?.variadic ? last : undefined);
  if (argument === undefined) return NOTHING;
  if (argument.argChoices !== undefined) {
    return { ...NOTHING, words: argument.argChoices.map((word) => ({ word, about: "" })) };
  }
  return {
    words: [],
    images: /^(names?|image|from|to|a|b|index)$/.test(argument.name()),
    files: true,
  };
}
