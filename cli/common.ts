/** Flags that every command has, and what they turn into. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { UsageError } from "./exit.ts";

/** The common flags, as commander hands them over. */
export interface CommonFlags {
  /** `--store` */
  readonly store?: string;
  /** `--ca-cert`, repeatable. */
  readonly caCert?: readonly string[];
  /** `--insecure-registry`, repeatable. */
  readonly insecureRegistry?: readonly string[];
  /** `--offline` */
  readonly offline?: boolean;
  /** `build --from`: bundles that images are read from first. */
  readonly fromBundle?: readonly string[];
  /** `--max-rps` of commands for many images. */
  readonly maxRps?: string;
  /** `--quiet` */
  readonly quiet?: boolean;
  /** `--verbose` */
  readonly verbose?: boolean;
  /** `--timestamps` */
  readonly timestamps?: boolean;
  /** `--no-color`: commander makes it `color: false`. */
  readonly color?: boolean;
  /** `--force-color` */
  readonly forceColor?: boolean;
}

/** `--format` of what copies images. */
export function formatOption(): Option {
  return new Option("--format <family>", "turn the documents into this family of media types")
    .choices(["oci", "docker"]);
}

/** Collects a flag that may be given several times, or once with commas between. */
export function collectWords(
  value: string,
  before: readonly string[] | undefined,
): readonly string[] {
  const words = value.split(",").map((word) => word.trim()).filter((word) => word !== "");
  return [...(before ?? []), ...(words.length > 0 ? words : absent())];
}

/** Collects a flag that may be given several times; commas are part of the value. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

/** As {@linkcode collect}, of names: none is empty. */
export function collectNames(
  value: string,
  before: readonly string[] | undefined,
): readonly string[] {
  return [...(before ?? []), value.trim() === "" ? absent() : value];
}

/** Most often a variable that is not set: to go on without would do something else than was meant. */
function absent(): never {
  throw new InvalidArgumentError("Want a name.");
}

/** Adds the flags about what is shown and where the store is. */
export function addCommonFlags(command: Command): Command {
  return command
    .optionsGroup("Common flags:")
    .option(
      "--store <dir>",
      "the local store (default: $WHERRY_STORE, or wherry in $XDG_DATA_HOME)",
    )
    .option("-q, --quiet", "only results and errors")
    .option("-v, --verbose", "debug lines too")
    .option("--no-color", "no colours")
    .option("--force-color", "colours even when nobody seems to look")
    .option("--timestamps", "the time in front of each line");
}

/** Adds the flags about how registries are reached. */
export function addRegistryFlags(command: Command): Command {
  return command
    .optionsGroup("Registry flags:")
    .option(
      "--ca-cert <file>",
      "trust this certificate authority too (PEM; repeatable)",
      collectNames,
    )
    .option(
      "--insecure-registry <host>",
      "plain http or unverified TLS is fine for this host (repeatable; http://HOST or https://HOST: only that)",
      collectWords,
    )
    .option(
      "--offline",
      "dial nothing but what [offline] allow in config.toml names; fail, naming what would have been dialled",
    );
}

/**
 * Makes `command` one of commands: alone it prints its help.
 *
 * @returns Adds a command below it.
 */
export function subcommands(
  command: Command,
): (name: string, summary: string, usage?: string) => Command {
  command.usage("COMMAND [FLAGS]").helpCommand(false);
  command.action(() => command.outputHelp());
  return (name, summary, usage = "[FLAGS]") =>
    command.command(name).summary(summary).description(summary).usage(usage);
}

/** The level that the flags ask for. */
export function levelOf(flags: CommonFlags): "debug" | "info" | "error" {
  if (flags.quiet && flags.verbose) {
    throw new UsageError("Cannot be quiet and verbose at once: want --quiet or --verbose");
  }
  return flags.quiet ? "error" : flags.verbose ? "debug" : "info";
}
