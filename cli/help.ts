/** What `--help` looks like: loaded when somebody asks for it. */
import { type Argument, type Command, Option } from "commander";
import { formsOf } from "./output.ts";
import { EXAMPLES } from "./help_examples.ts";

/** Gives `command`, which its line calls `words`, its examples, and the look of every help. */
export function dressHelp(command: Command, words: string): void {
  const common = command.options.some(({ helpGroupHeading }) => helpGroupHeading === COMMON);
  const asked = new Option("-h, --help", "show this help");
  command.addHelpOption(common ? asked.helpGroup(COMMON) : asked).configureHelp({
    showGlobalOptions: false,
    // in a list of commands their names are enough: each has a help of its own
    subcommandTerm: (one) => [one.name(), ...one.aliases()].join("|"),
    styleTitle: (title) => title === "Options:" ? "Flags:" : title,
    optionDescription: (option) =>
      described(
        option.description,
        formsOf(option) === undefined ? option.argChoices : undefined,
        option.isBoolean() || option.negate ? undefined : option.defaultValue,
      ),
    argumentDescription: ({ description, argChoices }: Argument) =>
      described(description, argChoices),
  });
  const examples = EXAMPLES[words];
  if (examples !== undefined) {
    command.addHelpText(
      "after",
      `\nExamples:\n${examples.map((line) => `  ${line}\n`).join("")}`.trimEnd(),
    );
  }
}

const COMMON = "Common flags:";

function described(text: string, choices?: readonly string[], preset?: unknown): string {
  const more = [
    ...(choices === undefined ? [] : [`one of ${choices.join(", ")}`]),
    ...(preset === undefined ? [] : [`default: ${preset}`]),
  ];
  return more.length === 0 ? text : `${text} (${more.join("; ")})`.trimStart();
}

/**
 * `text` on lines of at most `width` columns. What is indented stays as it is, but a command line that is too long goes on
 * on the next one behind a backslash, so that it can be copied; other lines are prose, which flows until its sentence ends.
 */
export function fitHelp(text: string, width: number): string {
  const lines: string[] = [];
  for (const line of text.split("\n")) {
    const before = lines.at(-1) ?? "";
    if (isProse(line) && isProse(before) && !/[.:]$/.test(before)) {
      lines[lines.length - 1] = `${before} ${line}`;
    } else lines.push(line);
  }
  return lines.flatMap((line) => [...line].length <= width ? [line] : cut(line, width)).join("\n");
}

const isProse = (line: string) => line !== "" && !line.startsWith(" ");

/** A long line in several. */
function cut(line: string, width: number): readonly string[] {
  const example = /^ +(?:[A-Z_]+=\S+ )?(?:wherry|kubectl|echo) /.test(line);
  if (!example && !isProse(line)) return [line];
  const room = example ? width - 2 : width;
  const lines: string[] = [];
  let now = "";
  // a flag stays with its value, a quoted word stays whole
  const words = example
    ? line.match(/^ +\S+|--?[\w-]+ [^-\s'|]\S*|\S*'[^']*'|\S+/g) ?? []
    : line.split(" ");
  for (const word of words) {
    const next = now === "" ? word : `${now} ${word}`;
    if (next.length <= room || now === "") now = next;
    else {
      lines.push(example ? `${now} \\` : now);
      now = example ? `      ${word}` : word;
    }
  }
  return [...lines, now];
}
