import type { Command } from "commander";
import { addCommonFlags, addRegistryFlags } from "../common.ts";
import type { DiffFlags } from "../diff_images.ts";
import type { Io } from "../io.ts";
import { anyOutputFlag } from "../output.ts";

/** `wherry diff A B`. */
export function define(command: Command, io: Io, done: (code: number) => void): void {
  command
    .argument("<a>", "an image, in any place").argument("<b>", "another one")
    .usage("A B [FLAGS]")
    .option("--base", "compare the files of the run images, too")
    .option("--no-files", "only say which layers differ; reads none")
    .option(
      "--platform <os/arch>",
      "which image of an index (default: all of two indexes, else this machine's)",
    )
    .option("--remote", "ask the registry, not the store")
    .addOption(anyOutputFlag());
  addRegistryFlags(command);
  addCommonFlags(command);
  command.addHelpText("after", "\nExits with 0 when they are the same, with 1 when they differ.");
  command.action(async (a: string, b: string, flags: DiffFlags) => {
    const { diffImages } = await import("../diff_images.ts");
    done(await diffImages(io, [a, b], flags, flags.output));
  });
}
