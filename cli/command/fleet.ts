import { type Command, Option } from "commander";
import { ENGINES } from "../../lifecycle/fleet/manifest.ts";
import { collect, subcommands } from "../common.ts";
import type { Io } from "../io.ts";
import type { ManifestFlags } from "../rebase/manifest.ts";

/** `wherry fleet manifest`. */
export function define(command: Command, io: Io): void {
  subcommands(command)("manifest", "Print what runs the shards of a plan on an engine")
    .addOption(
      new Option("--engine <engine>", "where it runs").choices([...ENGINES]).makeOptionMandatory(),
    )
    .requiredOption("--image <ref>", "an image that has wherry in its PATH")
    .option("--name <name>", "of the job", "wherry-rebase")
    .option("--shards <n>", "how many parts", "4")
    .option("--parallel <n>", "how many of them at once (default: all)")
    .option(
      "--plan <file>",
      "the plan of wherry rebase plan, put into a ConfigMap where the engine has them; or oci:REFERENCE",
    )
    .option(
      "--config-map <name>",
      "the ConfigMap of the plan (key plan.jsonl); without --plan one that is there (default: wherry-plan)",
    )
    .option(
      "--journal <ref>",
      "keep journals there, as oci:REGISTRY/REPOSITORY:7-{shard}, and not in files of the jobs",
    )
    .option("--secret <name>", "a dockerconfigjson secret with credentials")
    .option(
      "--flag <word>",
      "another word for wherry rebase apply (repeatable): --flag=--max-failures=3",
      collect,
    )
    .action(async (flags: ManifestFlags) => {
      const { manifest } = await import("../rebase/manifest.ts");
      await manifest(io, flags);
    });
}
