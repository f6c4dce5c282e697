import { type Command, Option } from "commander";
import { addCommonFlags, addRegistryFlags, collect, collectWords, subcommands } from "../common.ts";
import type { Io } from "../io.ts";
import { anyOutputFlag, outputFlag } from "../output.ts";
import type { ModuleKind } from "../../lifecycle/platform/package/module.ts";

/** `wherry buildpack ...`. */
export function define(command: Command, io: Io, done: (code: number) => void): void {
  defineModules(command, io, done, "buildpack");
}

/** The commands that buildpacks and extensions share. */
export function defineModules(
  command: Command,
  io: Io,
  _done: (code: number) => void,
  kind: ModuleKind,
): void {
  const sub = subcommands(command);

  const one = kind === "extension" ? "an extension" : `a ${kind}`;
  const scaffold = sub("new", `Write the skeleton of ${one} into a new directory`, "ID [FLAGS]")
    .argument("<id>", `its id, for example samples/hello`)
    .option("-p, --path <dir>", "where (default: the last part of the id)")
    .option("-V, --version <version>", "its first version", "1.0.0")
    .option("-a, --api <version>", "buildpack API", "0.10")
    .option(
      "-t, --target <target>",
      "what it runs on, for example linux/arm64 (repeatable)",
      collect,
    );
  addCommonFlags(scaffold).action(async (id: string, flags) => {
    const { newModule } = await import("../package/new_module.ts");
    await newModule(io, id, kind, flags);
  });

  const pack = sub(
    "package",
    `Make an image or a .cnb file of ${one} and all it needs`,
    "NAME [FLAGS]",
  )
    .argument("<name>", "the image (a name, oci:DIR, oci-archive:FILE), or the file (NAME.cnb)")
    .option("-p, --path <dir>", `the ${kind}'s directory (default: .)`)
    .option("-c, --config <file>", "package.toml (default: the one in the directory, if any)")
    .addOption(
      new Option(
        "-f, --format <format>",
        "what to make (default: file for a NAME that ends in .cnb, else image)",
      ).choices(["image", "file"]),
    )
    .option("--publish", "straight to the registry, instead of the local store")
    .option("--tag <name>", "another name for it (repeatable)", collectWords)
    .option("-l, --label <key=value>", "a label of the image (repeatable)", collect)
    .option(
      "-t, --target <target>",
      "a platform, for example linux/arm64 (repeatable; default: what package.toml or the descriptor says)",
      collect,
    );
  if (kind === "buildpack") {
    pack.option("--flatten", "all parts in one layer")
      .option(
        "-e, --flatten-exclude <id@version>",
        "but for these (repeatable)",
        collectWords,
      );
  }
  addSourceFlags(pack)
    .addOption(outputFlag());
  addRegistryFlags(pack);
  addCommonFlags(pack).action(async (name: string, flags) => {
    const { packageModule } = await import("../package/package_module.ts");
    await packageModule(io, name, kind, flags);
  });

  const inspect = sub("inspect", `Say what a package, file or directory holds`, "NAME [FLAGS]")
    .argument(
      "<name>",
      "an image, a .cnb file, a directory, an archive, https://..., or urn:cnb:registry:ID",
    )
    .option("-d, --depth <n>", "how deep to show orders (default: all)")
    .addOption(anyOutputFlag());
  addSourceFlags(inspect, "if-not-present"); // what was just packaged is looked at, as other commands do
  addRegistryFlags(inspect);
  addCommonFlags(inspect).action(async (name: string, flags) => {
    const { inspectModule } = await import("../package/inspect_module.ts");
    await inspectModule(io, name, kind, flags);
  });

  const pull = sub("pull", `Copy a package from its registry into the store`, "NAME [FLAGS]")
    .argument("<name>", "an image, or urn:cnb:registry:ID[@VERSION]")
    .option(
      "-r, --buildpack-registry <index>",
      "for urn:cnb:registry: names: a directory, a tar, https://...",
    );
  addRegistryFlags(pull);
  addCommonFlags(pull).action(async (name: string, flags) => {
    const { pullModule } = await import("../package/pull_module.ts");
    await pullModule(io, name, kind, flags);
  });
  if (kind === "extension") return;

  const register = sub("register", "Add a package to a registry index", "NAME [FLAGS]")
    .argument("<name>", "the image, in its registry")
    .requiredOption("-r, --buildpack-registry <dir>", "the directory with the index");
  addRegistryFlags(register);
  addCommonFlags(register).action(async (name: string, flags) => {
    const { registerModule } = await import("../package/pull_module.ts");
    await registerModule(io, name, flags);
  });

  const yank = sub(
    "yank",
    "Mark a version in a registry index as not to be used",
    "ID@VERSION [FLAGS]",
  )
    .argument("<id@version>", "what")
    .requiredOption("-r, --buildpack-registry <dir>", "the directory with the index")
    .option("-u, --undo", "take it back");
  addCommonFlags(yank).action(async (name: string, flags) => {
    const { yankModule } = await import("../package/pull_module.ts");
    await yankModule(io, name, flags);
  });
}

/** Flags about where parts come from. */
export function addSourceFlags(
  command: Command,
  policy?: "if-not-present",
): Command {
  return command
    .addOption(
      new Option(
        "--pull-policy <policy>",
        `whether the registry is asked${policy === undefined ? "; if not said, always" : ""}`,
      )
        .choices(["always", "if-not-present", "never"]).default(policy),
    )
    .option(
      "-r, --buildpack-registry <index>",
      "for urn:cnb:registry: names: a directory, a tar, https://...",
    );
}
