import type { Command } from "commander";
import { addCommonFlags, type CommonFlags } from "../common.ts";
import type { Io } from "../io.ts";
import { outputFlag, type OutputFormat } from "../output.ts";

/** `wherry ls [NAME]`. */
export function define(command: Command, io: Io): void {
  command.argument("[name]", "only images of this repository").usage("[NAME] [FLAGS]")
    .addOption(outputFlag());
  addCommonFlags(command);
  command.action(
    async (name: string | undefined, flags: CommonFlags & { output: OutputFormat }) => {
      const { listImages } = await import("../list_images.ts");
      await listImages(io, name, flags, flags.output);
    },
  );
}
