/** Flags about bases and policy, which every way of rebasing shares. */
import type { Command } from "commander";
import { Option } from "commander";
import { collect, collectWords, type CommonFlags } from "../common.ts";
import type { PullPolicy } from "../pull_policy.ts";

/** The flags, as commander hands them over. */
export interface BaseFlags extends CommonFlags {
  readonly runImage?: string;
  readonly runImageMap?: readonly string[];
  readonly pullPolicy?: PullPolicy;
  readonly publish?: boolean;
  readonly force?: boolean;
  readonly policy?: string;
}

/** Adds them; without `--force` for a command that only looks. */
export function addBaseFlags(command: Command, looks = false): Command {
  command
    .option(
      "--run-image <ref>",
      "the new base (default: what the image says, on a host that was named)",
    )
    .option(
      "--run-image-map <old=new>",
      "where a run image that images name lies here; a repository or a name with its tag (repeatable)",
      collect,
    )
    .option("--publish", "images in their registries, instead of the local store");
  if (!looks) command.option("--force", "what is questionable is a warning");
  return command
    .addOption(
      new Option(
        "--pull-policy <policy>",
        "whether the registry is asked for a run image; if not said, always",
      )
        .choices(["always", "if-not-present", "never"]),
    )
    .option(
      "--policy <file>",
      "a TOML file: which run images, and what may be moved when (see docs/rebase.md)",
    );
}

/** Flags of a run over many images. */
export interface FleetFlags extends BaseFlags {
  readonly from?: string;
  readonly concurrency?: string;
  readonly shard?: string;
  readonly canary?: string;
  readonly then?: string;
  readonly pause?: string;
  readonly hook?: string;
  readonly maxFailures?: string;
  readonly journal?: string;
  readonly report?: string;
  readonly tagTemplate?: string;
  readonly backupTag?: string;
  readonly output: string;
}

/** Adds the flags that say how a fleet is worked through. */
export function addRunFlags(command: Command): Command {
  return command
    .optionsGroup("How a fleet is worked through:")
    .option("--concurrency <n>", "images under way at once (default: 32)")
    .option("--max-rps <n>", "requests a second to each registry, at most (default: no limit)")
    .option("--shard <k/n>", "only the K-th of N parts (default: what the CI engine or Job says)")
    .option("--canary <n>", "these many images first (or a share: 5%)")
    .option("--then <n>", "then so many at a time (or a share: 20%); default: all the rest")
    .option("--pause <time>", "wait between these waves: 30s, 10m, 1h")
    .option("--hook <command>", "run between waves; the run stops when it fails")
    .option("--max-failures <n>", "stop when more than so many images failed")
    .option(
      "--journal <file>",
      "write down what is done; a run that was stopped goes on from it; or oci:REGISTRY/REPOSITORY:TAG",
    )
    .option("--report <file>", "also write the results there, as JSON lines")
    .option(
      "--backup-tag <template>",
      "also keep the old image by this tag: '{tag}-before-{date}'",
    );
}

/** Adds the flags that say which images are meant. */
export function addFleetFlags(command: Command): Command {
  return command.option(
    "--from <file>",
    "a list of images: names, JSON lines, kubectl's JSON; - is stdin",
  );
}

/** `--tag`, repeatable. */
export const collectTags = collectWords;
