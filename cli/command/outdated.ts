import type { Command } from "commander";
import { addCommonFlags, addRegistryFlags } from "../common.ts";
import type { Io } from "../io.ts";
import { outputFlag } from "../output.ts";
import type { OutdatedFlags } from "../outdated.ts";
import { addBaseFlags } from "../rebase/flags.ts";

/** `wherry outdated NAME...`. */
export function define(command: Command, io: Io, done: (code: number) => void): void {
  command
    .argument(
      "[name...]",
      "images, store:NAME, oci:DIR, or patterns as in registry.example/team/*:*",
    )
    .usage("[NAME...] [--from FILE] [--run-image REF] [FLAGS]")
    .option(
      "--from <file>",
      "names from a file, one a line, or - ; kubectl get pods -A -o json too",
    );
  addBaseFlags(command, true)
    .option("--concurrency <n>", "images under way at once (default: 16)")
    .addOption(outputFlag(["csv"]));
  addRegistryFlags(command);
  addCommonFlags(command);
  command.addHelpText("after", HELP);
  command.action(async (names: readonly string[], flags: OutdatedFlags) => {
    const { outdated } = await import("../outdated.ts");
    done(await outdated(io, names, flags));
  });
}

const HELP = `
Nothing is written. A list is of images in registries; a plain NAME is one of the store, or with --publish of its registry.
Exits with 0 when every image is on that base, with 3 when some are not.`;
