/** The help of every command, read as a user reads it. */
import { deepEqual, ok } from "node:assert/strict";
import { makeShell } from "./shell_testing.ts";

const COMMON = ["--store", "--quiet", "--verbose", "--no-color", "--force-color", "--timestamps"];

Deno.test("help: below the common flags of every command stands no flag of its own; usage is of one form", async () => {
  await using shell = await makeShell();
  const wrong: string[] = [];
  let seen = 0;
  const visit = async (words: readonly string[]): Promise<void> => {
    const { out } = await shell.wherry(...words, "--help");
    seen++;
    const [usage = ""] = out.split("\n");
    if (usage.includes("[options]")) wrong.push(words.join(" "));
    const common = /^Common flags:\n((?: .*\n)*)/m.exec(out)?.[1] ?? "";
    for (const [, flag = ""] of common.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)) {
      if (!COMMON.includes(flag)) wrong.push(`${words.join(" ")} ${flag}`);
    }
    const below = words.length === 0 ? out : /^Commands:\n((?: .*\n)*)/m.exec(out)?.[1] ?? "";
    for (const [, name = ""] of below.matchAll(/^ {2}([a-z][a-z-]*)[| ]/gm)) {
      if (name !== "help" && name !== "lifecycle" && words.length < 3) {
        await visit([...words, name]);
      }
    }
  };
  await visit([]);
  ok(seen > 50, `${seen} commands`);
  deepEqual(wrong, []);
});
