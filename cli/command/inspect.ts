import type { Command } from "commander";
import { addCommonFlags, addRegistryFlags, type CommonFlags } from "../common.ts";
import type { Io } from "../io.ts";
import { outputFormat } from "../output.ts";

/** Flags of `wherry inspect`. */
export interface InspectFlags extends CommonFlags {
  readonly platform?: string;
  readonly output: string;
}

/** `wherry inspect NAME`. */
export function define(command: Command, io: Io): void {
  command
    .argument("<name>", "a name (registry and store are asked), store:NAME, oci:DIR or an archive")
    .usage("NAME [FLAGS]")
    .option("--platform <os/arch>", "which image of an index (default: this machine's)")
    .option("-o, --output <format>", "human or json", "human");
  addRegistryFlags(command);
  addCommonFlags(command);
  command.action(async (name: string, flags: InspectFlags) => {
    const { inspectImage } = await import("../inspect_image.ts");
    await inspectImage(io, name, flags, outputFormat(flags.output));
  });
}
