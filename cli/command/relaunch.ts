import type { Command } from "commander";
import { addCommonFlags, addRegistryFlags } from "../common.ts";
import type { Io } from "../io.ts";
import { outputFlag } from "../output.ts";
import type { RelaunchFlags } from "../relaunch.ts";

/** `wherry relaunch NAME...`. */
export function define(command: Command, io: Io): void {
  command
    .argument(
      "<name...>",
      "images or indexes: a name of the store, oci:DIR; with --publish of a registry",
    )
    .usage("NAME... [FLAGS]")
    .option("--publish", "images in their registries, instead of the local store")
    .option("--dry-run", "say what would be done")
    .addOption(outputFlag([], "human, or json (one line an image)"));
  addRegistryFlags(command);
  addCommonFlags(command);
  command.addHelpText(
    "after",
    "\nThe launcher, its version in the labels and its bill of materials are replaced by those of this wherry; all else" +
      "\nstays as it is. Nothing is built, and no layer of the app is read or sent.",
  );
  command.action(async (names: readonly string[], flags: RelaunchFlags) => {
    const { relaunch } = await import("../relaunch.ts");
    await relaunch(io, names, flags);
  });
}
