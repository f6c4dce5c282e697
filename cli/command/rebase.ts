import { type Command, Option } from "commander";
import { addCommonFlags, addRegistryFlags } from "../common.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import {
  addBaseFlags,
  addFleetFlags,
  addRunFlags,
  collectTags,
  type FleetFlags,
} from "../rebase/flags.ts";

/** Flags of `wherry rebase`. */
export interface RebaseFlags extends FleetFlags {
  readonly tag?: readonly string[];
  readonly previousImage?: string;
  readonly dryRun?: boolean;
  readonly reportOutputDir?: string;
}

/** `wherry rebase NAME...`, `plan`, `apply`, `rollback`, `report`. */
export function define(command: Command, io: Io, done: (code: number) => void): void {
  command
    .argument(
      "[names...]",
      "images, store:NAME, oci:DIR, or patterns as in registry.example/team/*:*",
    )
    .usage("NAME... [FLAGS]").helpCommand(false).enablePositionalOptions(false);
  addFleetFlags(addBaseFlags(command))
    .option("-t, --tag <name>", "another name for the result (repeatable)", collectTags)
    .option("--previous-image <ref>", "rebase this image and write the result to NAME")
    .option(
      "--tag-template <template>",
      "a tag for the result instead of the image's own: '{tag}-r{date}'",
    )
    .option("--dry-run", "say what would be done")
    .option("--report-output-dir <dir>", "also write report.toml there")
    .addOption(
      new Option("-o, --output <format>", "human, json (one line an image) or csv")
        .choices(["human", "json", "csv"]).default("human"),
    );
  addRunFlags(command);
  addRegistryFlags(command);
  addCommonFlags(command);
  command.addHelpText("after", HELP);
  command.action(async (names: readonly string[], flags: RebaseFlags) => {
    if (names.length === 0 && flags.from === undefined) {
      throw new UsageError(
        "Cannot rebase nothing: want NAME... or --from FILE (see: wherry rebase --help)",
      );
    }
    const { rebase } = await import("../rebase/rebase.ts");
    done(await rebase(io, names, flags));
  });
}

const HELP = `
Examples:
  wherry rebase registry.example/shop --publish --run-image registry.example/run:2
  wherry rebase --from images.txt --publish --run-image registry.example/run:2 --journal run.jsonl
  wherry rebase 'registry.example/team/**:*' --publish --run-image registry.example/run:2 --dry-run

Without --publish images are those of the local store. No layer of an app is read or sent.
Exit codes: 0 all is well, 2 some images failed, 72 none succeeded; for one image its own (72 a check refused it).`;
