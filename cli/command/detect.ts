import { type Command, Option } from "commander";
import { addCommonFlags, addRegistryFlags } from "../common.ts";
import type { DetectFlags } from "../detect_command.ts";
import type { Io } from "../io.ts";
import { outputFlag } from "../output.ts";
import { addInputFlags, addRunFlags } from "../site_flags.ts";

/** `wherry detect`. */
export function define(command: Command, io: Io, done: (code: number) => void): void {
  addInputFlags(command);
  addRunFlags(command);
  command.optionsGroup("What comes out:")
    .addOption(outputFlag())
    .addOption(
      new Option(
        "--pull-policy <policy>",
        "whether the registry is asked; if not said, always",
      )
        .choices(["always", "if-not-present", "never"]),
    );
  addRegistryFlags(command);
  addCommonFlags(command);
  command.addHelpText(
    "after",
    "\nEvery group that was tried is shown, with who passed and which dependency decided.\n" +
      "Exit codes: 0 a group passed, 20 none did, 21 none did and a buildpack had an error.",
  );
  command.action(async (flags: DetectFlags) => {
    const { detectCommand } = await import("../detect_command.ts");
    done(await detectCommand(io, flags, flags.output));
  });
}
