import type { Command } from "commander";
import { addCommonFlags, addRegistryFlags } from "../common.ts";
import { UsageError } from "../exit.ts";
import type { InspectFlags } from "../inspect_image.ts";
import type { Io } from "../io.ts";
import { anyOutputFlag } from "../output.ts";

/** `wherry inspect NAME`. */
export function define(command: Command, io: Io): void {
  command
    .argument("<name>", "a name (registry and store are asked), store:NAME, oci:DIR or an archive")
    .usage("NAME [FLAGS]")
    .option("--platform <os/arch>", "which image of an index (default: this machine's)")
    .addOption(anyOutputFlag())
    .optionsGroup(
      "What is in it (reads the layers; a plain name is looked for in the store first):",
    )
    .option("--layers", "each layer's files, its share and what a later layer wastes of it")
    .option("--files", "every file: mode, owner, size, name, layer by layer, as it is read")
    .option("--no-base", "with --layers and --files: without the layers of the run image")
    .option("--remote", "ask the registry, not the store")
    .option("--sbom", "the packages of its bill of materials")
    .option("--bom", "the same, as pack calls it");
  addRegistryFlags(command);
  addCommonFlags(command);
  command.action(async (name: string, flags: InspectFlags & { readonly base: boolean }) => {
    const format = flags.output;
    const modes = [flags.layers, flags.files, flags.bom || flags.sbom].filter(Boolean);
    if (modes.length > 1) {
      throw new UsageError("Cannot show several things at once: want --layers, --files or --sbom");
    }
    if (flags.layers || flags.files) {
      const { inspectLayers } = await import("../inspect_layers.ts");
      await inspectLayers(io, name, flags, format);
    } else if (flags.bom || flags.sbom) {
      const { listPackages } = await import("../sbom_show.ts");
      await listPackages(io, name, flags, format);
    } else {
      const { inspectImage } = await import("../inspect_image.ts");
      await inspectImage(io, name, flags, format);
    }
  });
}
