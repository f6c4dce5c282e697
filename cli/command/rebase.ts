import type { Command } from "commander";
import { addCommonFlags, addRegistryFlags } from "../common.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import { outputFlag } from "../output.ts";
import {
  addBaseFlags,
  addFleetFlags,
  addRunFlags,
  collectTags,
  type FleetFlags,
} from "../rebase/flags.ts";
import type { ReportFlags, RollbackFlags } from "../rebase/journals.ts";
import type { PlanFlags } from "../rebase/plan.ts";

/** Flags of `wherry rebase`. */
export interface RebaseFlags extends FleetFlags {
  readonly tag?: readonly string[];
  readonly previousImage?: string;
  readonly dryRun?: boolean;
  readonly referrers?: boolean;
  readonly reportOutputDir?: string;
}

/** `wherry rebase NAME...`, `plan`, `apply`, `rollback`, `report`. */
export function define(command: Command, io: Io, done: (code: number) => void): void {
  command
    .argument(
      "[names...]",
      "images, store:NAME, oci:DIR, or patterns as in registry.example/team/*:*",
    )
    .usage("NAME... [FLAGS]").helpCommand(false);
  addFleetFlags(addBaseFlags(command))
    .option("-t, --tag <name>", "another name for the result (repeatable)", collectTags)
    .option("--previous-image <ref>", "rebase this image and write the result to NAME")
    .option("--dry-run", "say what would be done")
    .option("--referrers", "one image: say what speaks of the old one only, signatures for example")
    .option("--report-output-dir <dir>", "also write report.toml there");
  addOutput(addTagTemplate(command));
  addCommonFlags(addRegistryFlags(addRunFlags(command)));
  command.addHelpText("after", HELP);
  command.action(async (names: readonly string[], flags: RebaseFlags) => {
    refuseNothing(names, flags);
    const { LOOK, Session } = await import("../session.ts");
    const { beginToRead, isOne } = await import("../rebase/begin.ts");
    await using session = new Session(io, flags, isOne(names, flags) ? LOOK : {});
    await beginToRead(session, names, flags);
    const { rebase } = await import("../rebase/rebase.ts");
    done(await rebase(session, names, flags));
  });
  // Flags before the word belong to it as well: `rebase --publish plan NAME`.
  const sub = (name: string, summary: string) =>
    command.command(name).summary(summary).description(summary).usage("[FLAGS]");
  const merged = <Flags>(one: Command) => {
    refuseForeign(command, one);
    return one.optsWithGlobals() as Flags;
  };

  const plan = sub("plan", "Say what a rebase of these images would do, and keep it for apply")
    .argument("[names...]", "as for rebase").usage("NAME... [FLAGS]")
    .option(
      "--out <file>",
      "also write the plan there, for wherry rebase apply; or to oci:REGISTRY/REPOSITORY:TAG",
    );
  addOutput(addTagTemplate(addFleetFlags(addBaseFlags(plan))));
  plan.option("--concurrency <n>", "images under way at once (default: 32)")
    .option("--max-rps <n>", "requests a second to each registry, at most (default: no limit)")
    .option("--shard <k/n>", "only the K-th of N parts");
  addCommonFlags(addRegistryFlags(plan)).addHelpText(
    "after",
    `
Nothing is written. A list is of images in registries; a plain NAME is one of the store, or with --publish of its registry.
Exits with 3 when some image cannot be rebased or read, else with 0.`,
  ).action(async (names: readonly string[]) => {
    const flags = merged<PlanFlags>(plan);
    refuseNothing(names, flags);
    const { plan: make } = await import("../rebase/plan.ts");
    done(await make(io, names, flags));
  });

  const apply = sub("apply", "Do what a plan says, to images that are still as it says")
    .argument("<plan>", "a file, - for standard input, or oci:REFERENCE").usage("PLAN [FLAGS]")
    .option(
      "--policy <file>",
      "a TOML file: which run images, and what may be moved when (see docs/rebase.md)",
    );
  addOutput(apply);
  addCommonFlags(addRegistryFlags(addRunFlags(apply))).action(async (file: string) => {
    const { apply: act } = await import("../rebase/plan.ts");
    done(await act(io, file, merged<FleetFlags>(apply)));
  });

  const rollback = sub("rollback", "Put back the tags that a run moved")
    .argument("<journal>", "of the run: a file, or oci:REFERENCE").usage("JOURNAL [FLAGS]")
    .option("--only <name>", "this image alone (repeatable)", collectTags)
    .option("--publish", "images in their registries, as for the run")
    .option("--dry-run", "say which tags would be put back");
  addOutput(rollback);
  addCommonFlags(addRegistryFlags(addRunFlags(rollback))).action(async (file: string) => {
    const { rollback: act } = await import("../rebase/journals.ts");
    done(await act(io, file, merged<RollbackFlags>(rollback)));
  });

  const report = sub("report", "Merge the journals of all shards, and fail on gaps")
    .argument(
      "<journals...>",
      "of all shards: files, oci:REFERENCE, or a pattern of tags as in oci:HOST/RUNS:7-*",
    ).usage("JOURNAL... [FLAGS]")
    .option("--metrics <file>", "also write counts there, as a node exporter reads them");
  addCommonFlags(addRegistryFlags(addOutput(report))).action(async (files: readonly string[]) => {
    const { report: tell } = await import("../rebase/journals.ts");
    done(await tell(io, files, merged<ReportFlags>(report)));
  });
}

function addOutput(command: Command): Command {
  return command.addOption(outputFlag(["csv"], "human, json (one line an image) or csv"));
}

function addTagTemplate(command: Command): Command {
  return command.option(
    "--tag-template <template>",
    "a tag for the result instead of the image's own: '{tag}-r{date}'",
  );
}

/** A flag of `rebase` that means nothing to `one` was meant to mean something: `--dry-run` above all. */
function refuseForeign(rebase: Command, one: Command): void {
  const own = new Set(one.options.map((option) => option.attributeName()));
  const foreign = rebase.options.find((option) =>
    rebase.getOptionValueSource(option.attributeName()) === "cli" &&
    !own.has(option.attributeName())
  );
  if (foreign === undefined) return;
  throw new UsageError(
    `Cannot use ${foreign.long} with rebase ${one.name()} (see: wherry rebase ${one.name()} --help)`,
  );
}

function refuseNothing(names: readonly string[], flags: { readonly from?: string }): void {
  if (names.length > 0 || flags.from !== undefined) return;
  throw new UsageError(
    "Cannot rebase nothing: want NAME... or --from FILE (see: wherry rebase --help)",
  );
}

const HELP = `
Without --publish images are those of the local store. No layer of an app is read or sent.
Exit codes: 0 all is well, 2 some images failed, 72 none succeeded; for one image its own (72 a check refused it).`;
