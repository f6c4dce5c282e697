import type { Command } from "commander";
import type { Io } from "../io.ts";
import { outputFormat } from "../output.ts";

/** `wherry doctor`. */
export function define(command: Command, io: Io): void {
  command
    .usage("[FLAGS]")
    .option("-o, --output <format>", "human or json", "human")
    .addHelpText("after", "\nEverything is tried, nothing is changed, nothing is dialled.");
  command.action(async (flags: { readonly output: string }) => {
    const { doctor } = await import("../doctor.ts");
    await doctor(io, outputFormat(flags.output));
  });
}
