/** Finds the command a line asks for and runs it. Only that command's code is loaded. */
import { Command, CommanderError } from "commander";
import { pathOf, wordsOf } from "./command_path.ts";
import type { Io } from "./io.ts";
import { lifecyclePhase } from "./lifecycle_call.ts";

/** What a command's file exports. */
export interface CommandModule {
  /** Adds arguments, flags and the action to `command`; the action's result is the exit code. */
  define(command: Command, io: Io, done: (code: number) => void): void;
}

interface Entry {
  readonly summary: string;
  readonly group: string;
  readonly aliases?: readonly string[];
  /** Not in `--help`: an old name. */
  readonly hidden?: boolean;
  readonly load: () => Promise<CommandModule>;
}

/** Every command, in the order of `--help`. */
const COMMANDS: Readonly<Record<string, Entry>> = {
  build: {
    summary: "Turn source into an image with buildpacks",
    group: "Images:",
    load: () => import("./command/build.ts"),
  },
  detect: {
    summary: "Say which buildpacks would take part, and why the others would not",
    group: "Images:",
    load: () => import("./command/detect.ts"),
  },
  rebase: {
    summary: "Put images on another run image, moving no layer: one, many, a fleet",
    group: "Images:",
    load: () => import("./command/rebase.ts"),
  },
  run: {
    summary: "Start an image in a root of its own, without a daemon",
    group: "Images:",
    load: () => import("./command/run.ts"),
  },
  inspect: {
    summary: "Say what an image is made of, from metadata alone",
    group: "Images:",
    aliases: ["inspect-image"],
    load: () => import("./command/inspect.ts"),
  },
  outdated: {
    summary: "Say which images stand on which base, and what a rebase would change",
    group: "Images:",
    load: () => import("./command/outdated.ts"),
  },
  relaunch: {
    summary: "Give images this wherry's launcher, without a build",
    group: "Images:",
    load: () => import("./command/relaunch.ts"),
  },
  diff: {
    summary: "Say which layer, file and field differ between two images, and who made them",
    group: "Images:",
    load: () => import("./command/diff.ts"),
  },
  verify: {
    summary: "Check an image against itself and the specs",
    group: "Images:",
    load: () => import("./command/verify.ts"),
  },
  sbom: {
    summary: "List, show, download, attach and search bills of materials",
    group: "Images:",
    load: () => import("./command/sbom.ts"),
  },
  push: {
    summary: "Copy an image from the store to its registry",
    group: "Images:",
    load: () => import("./command/push.ts"),
  },
  pull: {
    summary: "Copy an image from its registry into the store",
    group: "Images:",
    load: () => import("./command/pull.ts"),
  },
  copy: {
    summary: "Copy an image from any place to any other",
    group: "Images:",
    load: () => import("./command/copy.ts"),
  },
  builder: {
    summary: "Make and inspect builders",
    group: "Builders:",
    load: () => import("./command/builder.ts"),
  },
  "inspect-builder": {
    summary: "Say what a builder holds",
    group: "Builders:",
    hidden: true,
    load: () => import("./command/inspect_builder.ts"),
  },
  buildpack: {
    summary: "Make, package and inspect buildpacks",
    group: "Builders:",
    load: () => import("./command/buildpack.ts"),
  },
  extension: {
    summary: "Make, package and inspect image extensions",
    group: "Builders:",
    load: () => import("./command/extension.ts"),
  },
  manifest: {
    summary: "Make indexes: one name for images of several platforms",
    group: "Registries:",
    load: () => import("./command/manifest.ts"),
  },
  bundle: {
    summary: "Carry images and all they need across an air gap",
    group: "Registries:",
    load: () => import("./command/bundle.ts"),
  },
  fleet: {
    summary: "Run the parts of a fleet on Kubernetes, Tekton, GitLab or GitHub",
    group: "Images:",
    load: () => import("./command/fleet.ts"),
  },
  login: {
    summary: "Keep the password of a registry, once it was tried",
    group: "Registries:",
    load: () => import("./command/login.ts"),
  },
  logout: {
    summary: "Forget the password of a registry",
    group: "Registries:",
    load: () => import("./command/logout.ts"),
  },
  config: {
    summary: "Set mirrors of registries",
    group: "Registries:",
    load: () => import("./command/config.ts"),
  },
  ls: {
    summary: "List the images of the store",
    group: "Store:",
    load: () => import("./command/ls.ts"),
  },
  tag: {
    summary: "Give an image of the store another name",
    group: "Store:",
    load: () => import("./command/tag.ts"),
  },
  rm: {
    summary: "Remove images from the store",
    group: "Store:",
    load: () => import("./command/rm.ts"),
  },
  store: {
    summary: "Collect, check and measure the store",
    group: "Store:",
    load: () => import("./command/store.ts"),
  },
  serve: {
    summary: "Serve the store as an OCI registry",
    group: "Store:",
    load: () => import("./command/serve.ts"),
  },
  lifecycle: {
    summary: "Run a phase of the lifecycle, as builders of other platforms do",
    group: "wherry itself:",
    load: () => import("./command/lifecycle.ts"),
  },
  completion: {
    summary: "Print what makes a shell complete wherry's words",
    group: "wherry itself:",
    load: () => import("./command/completion.ts"),
  },
  doctor: {
    summary: "Say what this machine allows, and how buildpacks would be kept apart",
    group: "wherry itself:",
    load: () => import("./command/doctor.ts"),
  },
  report: {
    summary: "Print versions and settings, for a question or a bug report",
    group: "wherry itself:",
    load: () => import("./command/report.ts"),
  },
  version: {
    summary: "Print the version and what this file was made of",
    group: "wherry itself:",
    load: () => import("./command/version.ts"),
  },
  licenses: {
    summary: "Print the licences of what this file carries",
    group: "wherry itself:",
    load: () => import("./command/licenses.ts"),
  },
};

/**
 * Runs the command line of `io`.
 *
 * @returns The exit code.
 * @throws {UsageError} When the words make no sense, after the usage of the command was printed.
 */
export async function run(io: Io): Promise<number> {
  const phase = await lifecyclePhase(io);
  if (phase !== undefined) return await phase();
  let code = 0;
  const args = helpLast(commandFirst(io.args));
  const asked = chosen(args);
  const program = await commandTree(io, args, (result) => code = result);
  if (asked === undefined && args.includes("--version")) {
    (await import("./version.ts")).printVersion(io);
    return 0;
  }
  if (io.args.length === 0) {
    program.outputHelp();
    return 0;
  }
  try {
    await program.parseAsync([...args], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0; // help was asked for and printed
    throw (await import("./wrong_words.ts")).wrongWords(program, args, error);
  }
  return code;
}

/**
 * The tree of commands; of the one that `args` ask for with all that is below it.
 *
 * @param done Gets the exit code.
 */
export async function commandTree(
  io: Io,
  args: readonly string[],
  done: (code: number) => void = () => {},
): Promise<Command> {
  const program = new Command("wherry")
    .description("Cloud Native Buildpacks with no daemon: source to image, in one file")
    .addHelpCommand(
      new Command("help").argument("[command]").description("Show the help of a command")
        .helpGroup("wherry itself:"),
    )
    .option("--version", "print the version")
    .enablePositionalOptions() // buildpack new has a --version of its own
    .usage("COMMAND [FLAGS]")
    .addHelpText(
      "after",
      "\nStart with: wherry build my-app --path . --buildpack DIR --run-image REF",
    );
  const asked = chosen(args);
  for (const [name, entry] of Object.entries(COMMANDS)) {
    const command = new Command(name).summary(entry.summary).description(entry.summary)
      .usage("[FLAGS]").helpGroup(entry.group);
    for (const alias of entry.aliases ?? []) command.alias(alias);
    if (name === asked || entry.aliases?.includes(asked ?? "")) {
      (await entry.load()).define(command, io, done);
    }
    program.addCommand(command, { hidden: entry.hidden ?? false });
  }
  const help = asksForHelp(program, args) ? await import("./help.ts") : undefined;
  const lines = {
    writeOut: (text: string) =>
      io.stdout.write(help?.fitHelp(text, lines.getOutHelpWidth()) ?? text),
    writeErr: () => {}, // commander's own error texts: ours are printed once, by main.ts
    getOutHelpWidth: () => Math.min(io.stdout.columns(), 100),
    getErrHelpWidth: () => Math.min(io.stderr.columns(), 100),
    // help has no colours; asking for them would load Deno's Node layer, twice the time of all else
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  };
  const all = (command: Command): readonly Command[] => [command, ...command.commands.flatMap(all)];
  for (const command of all(program)) {
    command.exitOverride().configureOutput(lines).showSuggestionAfterError(true);
    help?.dressHelp(command, wordsOf(command).slice(1).join(" "));
  }
  return program;
}

/** Also without the flag: no words at all, or one of a command that does nothing without another. */
function asksForHelp(program: Command, args: readonly string[]): boolean {
  if (args[0] === "help" || args.includes("--help") || args.includes("-h")) return true;
  const at = pathOf(program, args);
  return at.commands.length > 0 && wordsOf(at).length > args.length;
}

/** `help sbom query` as `sbom query --help`: commander looks at one word. */
function helpLast(args: readonly string[]): readonly string[] {
  return args[0] === "help" && args.length > 2 ? [...args.slice(1), "--help"] : args;
}

/** The first word that is not a flag; for `help COMMAND` the command. */
function chosen(args: readonly string[]): string | undefined {
  const words = args.filter((arg) => !arg.startsWith("-"));
  return words[0] === "help" ? words[1] : words[0];
}

/** Flags that take a value and may stand in front of the command, as pack's global flags may. */
const GLOBAL_VALUES = new Set(["--store", "--ca-cert", "--insecure-registry"]);

/** `--quiet build app` as `build --quiet app`: flags in front of the command move behind it. */
function commandFirst(args: readonly string[]): readonly string[] {
  let at = 0;
  while (at < args.length && args[at]!.startsWith("-")) at += GLOBAL_VALUES.has(args[at]!) ? 2 : 1;
  if (at === 0 || at >= args.length) return args;
  return [args[at]!, ...args.slice(0, at), ...args.slice(at + 1)];
}
