import type { Command } from "commander";
import { addCommonFlags, type CommonFlags, subcommands } from "../common.ts";
import type { Io } from "../io.ts";
import { outputFlag, type OutputFormat } from "../output.ts";

type Flags = CommonFlags & { readonly output: OutputFormat };

/** `wherry store gc`, `wherry store fsck`, `wherry store df`. */
export function define(command: Command, io: Io, done: (code: number) => void): void {
  const below = subcommands(command);
  const sub = (name: string, summary: string) => below(name, summary).addOption(outputFlag());
  const gc = sub("gc", "Remove what no image needs, while others may push and pull")
    .option(
      "--grace <seconds>",
      "keep what was pushed or looked at within this time (default: 3600; never less while another process writes)",
    )
    .option("--dry-run", "say what would go, and remove nothing (unpacked images are not counted)");
  addCommonFlags(gc).action(async (flags: Flags & { grace?: string; dryRun?: boolean }) => {
    const { collect } = await import("../store_gc.ts");
    await collect(io, flags, flags.output);
  });
  const fsck = sub("fsck", "Read everything in the store and say what is wrong")
    .option("--repair", "put what is wrong into quarantine/ in the store; nothing is deleted");
  addCommonFlags(fsck)
    .addHelpText("after", "\nExits with 1 when something is wrong, and with 0 when all is well.")
    .action(async (flags: Flags & { repair?: boolean }) => {
      const { check } = await import("../store_fsck.ts");
      done(await check(io, flags, flags.output));
    });
  addCommonFlags(sub("df", "Say what takes how much room")).action(async (flags: Flags) => {
    const { tellUsage } = await import("../store_df.ts");
    await tellUsage(io, flags, flags.output);
  });
}
