/** Flags about the app and its buildpacks, which `build` and `detect` share. */
import { type Command, Option } from "commander";
import { collect, collectWords, type CommonFlags } from "./common.ts";
import type { PullPolicy } from "./pull_policy.ts";

/** The flags, as commander hands them over. */
export interface SiteFlags extends CommonFlags {
  readonly path: string;
  readonly buildpack?: readonly string[];
  readonly buildpacks?: string;
  readonly order?: string;
  readonly extension?: readonly string[];
  readonly descriptor?: string;
  readonly env?: readonly string[];
  readonly envFile?: readonly string[];
  readonly binding?: readonly string[];
  readonly execEnv: string;
  readonly isolation: string;
  readonly network?: string;
  readonly memory?: string;
  readonly workspace: string;
  readonly uid?: string;
  readonly gid?: string;
  readonly platform?: string;
  readonly allowRootBuild?: boolean;
  readonly builder?: string;
  readonly preBuildpack?: readonly string[];
  readonly postBuildpack?: readonly string[];
  readonly buildpackRegistry?: string;
  readonly disableSystemBuildpacks?: boolean;
  readonly volume?: readonly string[];
  readonly pullPolicy?: PullPolicy;
}

/** Adds the flags that say what is built. */
export function addInputFlags(command: Command): Command {
  return command
    .optionsGroup("What goes in:")
    .option("-p, --path <path>", "the app: a directory, a zip or jar file", ".")
    .option(
      "-B, --builder <image>",
      "what to build in: a name, oci:DIR, FILE.tar (default: this machine itself)",
    )
    .option(
      "-b, --buildpack <name>",
      "a directory, .tgz, .cnb, https://..., image, id@version, from=builder (repeatable, in order)",
      collectWords,
    )
    .option(
      "--extension <name>",
      "an image extension: a directory, .tgz, .cnb, https://..., image, or one of the builder (repeatable)",
      collectWords,
    )
    .option("--pre-buildpack <name>", "in front of every group (repeatable)", collectWords)
    .option("--post-buildpack <name>", "behind every group (repeatable)", collectWords)
    .option(
      "-r, --buildpack-registry <index>",
      "where urn:cnb:registry: names are looked up: a directory, a tar, https://...",
    )
    .option("--disable-system-buildpacks", "leave out those a builder puts around every group")
    .option(
      "--buildpacks <dir>",
      "where ids are looked up (default: $CNB_BUILDPACKS_DIR, /cnb/buildpacks)",
    )
    .option("--order <file>", "an order.toml, instead of --buildpack")
    .option("-d, --descriptor <file>", "a project.toml (default: the one of the app)")
    .option(
      "-e, --env <name=value>",
      "a variable for buildpacks; without = the caller's value",
      collect,
    )
    .option("--env-file <file>", "such variables, one a line", collect)
    .option("--binding <name=dir>", "a service binding: a directory of its entries", collect)
    .option("--volume <host:target[:rw]>", "a directory for buildpacks, read-only", collect)
    .option("--exec-env <name>", "production, test, development, ...", "production");
}

/** Adds the flags that say how buildpacks run. */
export function addRunFlags(command: Command): Command {
  return command
    .optionsGroup("How it runs:")
    .addOption(
      new Option("--isolation <mode>", "how buildpacks are kept apart").choices([
        "auto",
        "namespaces",
        "takeover",
        "chroot",
        "in-place",
      ]).default("auto"),
    )
    .addOption(new Option("--network <mode>", "of buildpacks").choices(["host", "none"]))
    .option("--memory <size>", "at most this for buildpacks (wants a delegated control group)")
    .option("--workspace <dir>", "where the app is", "/workspace")
    .option("--uid <id>", "user of the build (default: $CNB_USER_ID, 1000)")
    .option("--gid <id>", "group of the build (default: $CNB_GROUP_ID, 1000)")
    .option(
      "--platform <os/arch>",
      command.name() === "detect"
        ? "what is built for (default: this machine)"
        : "what the image is for; several, with commas, make an index (default: this machine)",
    )
    .option(
      "--allow-root-build",
      "run buildpacks as root (--uid 0), or where nothing else is possible",
    );
}
