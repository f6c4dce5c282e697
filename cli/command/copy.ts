import type { Command } from "commander";
import { addCommonFlags, addRegistryFlags, formatOption } from "../common.ts";
import type { CopyFlags } from "../copy_image.ts";
import type { Io } from "../io.ts";
import { outputFlag } from "../output.ts";

/** `wherry copy FROM TO`. */
export function define(command: Command, io: Io): void {
  command
    .argument("<from>", "a name, store:NAME, oci:DIR, oci-archive:FILE or docker-archive:FILE")
    .argument(
      "<to>",
      "a name, store:NAME or oci:DIR; oci-archive:FILE or docker-archive:FILE for one image",
    )
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
