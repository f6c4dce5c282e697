/** `-o`: the forms in which a command prints, read in one place. */
import { Option } from "commander";
import { UsageError } from "./exit.ts";
import type { Structure } from "./ui/structured.ts";

/** The two forms every command has that prints a result. */
export type OutputFormat = "human" | "json";

/** Of one that shows what a single thing is. */
export type AnyFormat = "human" | Structure;

/** Of one that lists images. */
export type ListFormat = OutputFormat | "csv";

const FORMS = new WeakMap<Option, readonly string[]>();

/** What a flag made by {@linkcode outputFlag} takes, for shells that complete it; the help has it in words already. */
export const formsOf = (option: Option): readonly string[] | undefined => FORMS.get(option);

/**
 * The flag of a command that prints as `human` and `json`, and in `more` forms.
 *
 * @param about Instead of the list of forms.
 */
export function outputFlag(more: readonly ("yaml" | "toml" | "csv")[] = [], about = ""): Option {
  const forms: readonly string[] = ["human", "json", ...more];
  const list = `${forms.slice(0, -1).join(", ")} or ${forms.at(-1)}`;
  const option = new Option("-o, --output <format>", about || list).default("human");
  FORMS.set(option, forms);
  return option
    .argParser((text: string) => {
      const form = text === "human-readable" ? "human" : text; // pack's word
      if (forms.includes(form)) return form;
      throw new UsageError(`Cannot print as ${JSON.stringify(text)}: want ${list}`);
    });
}

/** {@linkcode outputFlag} in all forms. */
export const anyOutputFlag = (about?: string): Option => outputFlag(["yaml", "toml"], about);
