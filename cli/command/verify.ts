import type { Command } from "commander";
import { addCommonFlags, addRegistryFlags } from "../common.ts";
import type { Io } from "../io.ts";
import { anyOutputFlag } from "../output.ts";

import type { VerifyFlags } from "../verify_image.ts";

/** `wherry verify NAME`. */
export function define(command: Command, io: Io, done: (code: number) => void): void {
  command
    .argument("<name>", "an image or index, in any place").usage("NAME [FLAGS]")
    .option("--layers", "also read every layer: digest, diffID, tar")
    .option("--platform <os/arch>", "only this image of an index (default: all of them)")
    .option("--remote", "ask the registry, not the store")
    .addOption(anyOutputFlag());
  addRegistryFlags(command);
  addCommonFlags(command);
  command.addHelpText("after", "\nExits with 1 when something is wrong.");
  command.action(async (name: string, flags: VerifyFlags) => {
    const { verifyImage } = await import("../verify_image.ts");
    done(await verifyImage(io, name, flags, flags.output));
  });
}
