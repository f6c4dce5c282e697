/** The help of every command, read as a user reads it. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { fitHelp } from "./help.ts";
import { EXAMPLES } from "./help_examples.ts";
import { makeShell } from "./shell_testing.ts";

const COMMON = [
  "--help",
  "--store",
  "--quiet",
  "--verbose",
  "--no-color",
  "--force-color",
  "--timestamps",
];

Deno.test("help: below the common flags of every command stands no flag of its own; usage is of one form", async () => {
  await using shell = await makeShell();
  const wrong: string[] = [];
  const bare: string[] = [];
  let seen = 0;
  const visit = async (words: readonly string[]): Promise<void> => {
    const { out } = await shell.wherry(...words, "--help");
    seen++;
    const [usage = ""] = out.split("\n");
    if (usage.includes("[options]")) wrong.push(words.join(" "));
    wrong.push(...out.split("\n").filter((line) => line.length > 80));
    if (out.match(/^Flags:$/mg)?.length === 2 || out.includes("Options:")) wrong.push(usage);
    const common = /^Common flags:\n((?: .*\n)*)/m.exec(out)?.[1] ?? "";
    for (const [, flag = ""] of common.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)) {
      if (!COMMON.includes(flag)) wrong.push(`${words.join(" ")} ${flag}`);
    }
    const below = words.length === 0 ? out : /^Commands:\n((?: .*\n)*)/m.exec(out)?.[1] ?? "";
    if (below === "" && !out.includes("\nExamples:\n  ")) bare.push(words.join(" "));
    for (const [, name = ""] of below.matchAll(/^ {2}([a-z][a-z-]*)[| ]/gm)) {
      if (name !== "help" && name !== "lifecycle" && words.length < 3) {
        await visit([...words, name]);
      }
    }
  };
  await visit([]);
  ok(seen > 50, `${seen} commands`);
  deepEqual(wrong, []);
  deepEqual(bare, ["completion"], "which says what to put where");
});

Deno.test("help: the examples are of commands and flags that are there", async () => {
  await using shell = await makeShell();
  for (const [name, lines] of Object.entries(EXAMPLES)) {
    for (const line of lines) {
      const [, plain = ""] = /\bwherry (.*?)(?: >\S+)?$/.exec(line) ?? [];
      ok(plain.startsWith(name), `${line} is under ${name}`);
      if (name === "lifecycle") continue;
      const words = [...plain.matchAll(/'([^']*)'|\S+/g)].map(([word, quoted]) => quoted ?? word);
      // the flag in front of the first `--` is the only one nobody knows
      const [flags, rest] = plain.includes(" -- ")
        ? [words.slice(0, words.indexOf("--")), words.slice(words.indexOf("--"))]
        : [words, []];
      const { code, err } = await shell.wherry(...flags, "--no-such-flag", ...rest);
      match(err, /^ERROR: Unknown flag '--no-such-flag'/, line);
      equal(code, 3);
    }
  }
});

Deno.test("help: what is too wide for the terminal is cut so that it can still be copied", () => {
  equal(
    fitHelp(
      "A sentence goes\non. Another\n\n  wherry build app --path 'a b' --builder registry.example/b\n",
      40,
    ),
    [
      "A sentence goes on. Another",
      "",
      "  wherry build app --path 'a b' \\",
      "      --builder registry.example/b",
      "",
    ].join("\n"),
  );
});
