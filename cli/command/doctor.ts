import type { Command } from "commander";
import type { Io } from "../io.ts";
import { outputFlag, type OutputFormat } from "../output.ts";

/** `wherry doctor`. */
export function define(command: Command, io: Io): void {
  command
    .usage("[FLAGS]")
    .addOption(outputFlag())
    .addHelpText("after", "\nEverything is tried, nothing is changed, nothing is dialled.");
  command.action(async (flags: { readonly output: OutputFormat }) => {
    const { doctor } = await import("../doctor.ts");
    await doctor(io, flags.output);
  });
}
