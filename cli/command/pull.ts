import type { Command } from "commander";
import { addCommonFlags, addRegistryFlags, formatOption } from "../common.ts";
import type { Io } from "../io.ts";
import { outputFlag } from "../output.ts";
import type { CopyFlags } from "../copy_image.ts";

/** `wherry pull NAME`. */
export function define(command: Command, io: Io): void {
  command.argument("<name>", "the image, as its registry calls it").usage("NAME [FLAGS]")
    .option("--platform <os/arch>", "only this image of an index")
    .option("--allow-nondistributable", "layers, too, that say they are not to be distributed")
    .addOption(formatOption())
    .addOption(outputFlag());
  addRegistryFlags(command);
  addCommonFlags(command);
  command.action(async (name: string, flags: CopyFlags) => {
    const { pull } = await import("../copy_image.ts");
    await pull(io, name, flags);
  });
}
