import type { Command } from "commander";
import type { Io } from "../io.ts";
import { outputFlag } from "../output.ts";
import { printVersion, VERSION } from "../version.ts";

/** `wherry version`: one line, or with `-o json` everything this file was made of. */
export function define(command: Command, io: Io): void {
  command
    .addOption(outputFlag())
    .action(async (options: { output: string }) => {
      if (options.output === "human") return printVersion(io);
      const { buildInputs } = await import("../assets.ts");
      const inputs = buildInputs();
      io.stdout.write(
        JSON.stringify(
          { version: VERSION, deno: Deno.version.deno, v8: Deno.version.v8, inputs },
          null,
          2,
        ) + "\n",
      );
    });
}
