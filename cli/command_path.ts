/** Where in the tree of commands a command line leads. */
import type { Command } from "commander";

/** The command that the first words of `args` lead to. */
export function pathOf(program: Command, args: readonly string[]): Command {
  let at = program;
  for (const word of args) {
    const next = at.commands.find((one) => one.name() === word || one.aliases().includes(word));
    if (next === undefined) break;
    at = next;
  }
  return at;
}

/** `wherry`, `sbom`, `list`. */
export function wordsOf(command: Command): readonly string[] {
  return [...(command.parent === null ? [] : wordsOf(command.parent)), command.name()];
}
