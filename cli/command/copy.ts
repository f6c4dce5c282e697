import type { Command } from "commander";
import { addCommonFlags, addRegistryFlags, formatOption } from "../common.ts";
import type { CopyFlags } from "../copy_image.ts";
import type { Io } from "../io.ts";
import { outputFlag } from "../output.ts";

/** `wherry copy FROM TO`. */
export function define(command: Command, io: Io): void {
  command
    .argument(
      "<from>",
      "NAME (docker://NAME), store:NAME, oci:DIR, oci-archive:FILE or docker-archive:FILE",
    )
    .argument("<to>", "the same; an index stays whole, but docker-archive:FILE holds one image")
    .usage("FROM TO [FLAGS]")
    .option("--platform <os/arch>", "only this image of an index")
    .option("--allow-nondistributable", "layers, too, that say they are not to be distributed")
    .addOption(formatOption())
    .addOption(outputFlag());
  addRegistryFlags(command);
  addCommonFlags(command);
  command.action(async (from: string, to: string, flags: CopyFlags) => {
    const { copyImage } = await import("../copy_image.ts");
    await copyImage(io, from, to, flags);
  });
}
