import type { Command } from "commander";
import { addCommonFlags, type CommonFlags } from "../common.ts";
import type { Io } from "../io.ts";
import { outputFlag, type OutputFormat } from "../output.ts";

/** `wherry report`. */
export function define(command: Command, io: Io): void {
  command
    .usage("[FLAGS]")
    .option("-e, --explicit", "values of config.toml and of variables, too: look before you share")
    .addOption(outputFlag())
    .addHelpText("after", "\nNothing is dialled. What the machine allows is in wherry doctor.");
  addCommonFlags(command).action(
    async (flags: CommonFlags & { explicit?: boolean; output: OutputFormat }) => {
      const { report } = await import("../report.ts");
      report(io, flags, { explicit: flags.explicit ?? false, format: flags.output });
    },
  );
}
