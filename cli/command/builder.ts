import type { Command } from "commander";
import {
  addCommonFlags,
  addRegistryFlags,
  collect,
  collectNames,
  collectWords,
  subcommands,
} from "../common.ts";
import type { Io } from "../io.ts";
import { anyOutputFlag, outputFlag, type OutputFormat } from "../output.ts";
import { addSourceFlags } from "./buildpack.ts";

/** `wherry builder ...`. */
export function define(command: Command, io: Io): void {
  const sub = subcommands(command);

  const create = sub("create", "Make a builder image", "NAME [FLAGS]")
    .argument("<name>", "the builder: a name, oci:DIR, or oci-archive:FILE")
    .option("-c, --config <file>", "builder.toml: what it is made of")
    .option("--from <builder>", "change this builder instead: see --buildpack")
    .option(
      "-b, --buildpack <name>",
      "with --from: put this buildpack in the place of the one with its id (repeatable)",
      collectWords,
    )
    .option("--publish", "straight to the registry, instead of the local store")
    .option("--tag <name>", "another name for it (repeatable)", collectWords)
    .option("-l, --label <key=value>", "a label of the image (repeatable)", collect)
    .option(
      "-t, --target <target>",
      "a platform, for example linux/arm64 (repeatable; default: those of the file or the old builder)",
      collect,
    )
    .option(
      "--flatten <id@version,...>",
      "these buildpacks in one layer (repeatable)",
      collectNames,
    )
    .option(
      "--lifecycle <file>",
      "the executable for another platform's builder (repeatable; default: this one, or wherry-ARCH beside it)",
      collectNames,
    )
    .option(
      "--append-image-name-suffix",
      "publish each platform under NAME:TAG-OS-ARCH too",
    );
  addSourceFlags(create)
    .addOption(outputFlag())
    .addHelpText(
      "after",
      `
A builder.toml, as small as it can be:
  [build]
  image = "registry.example/build:1"
  [[run.images]]
  image = "registry.example/run:1"
  [[buildpacks]]
  uri = "./node"
  [[order]]
  group = [{ id = "samples/node" }]`,
    );
  addRegistryFlags(create);
  addCommonFlags(create).action(async (name: string, flags) => {
    const { makeBuilder } = await import("../package/make_builder.ts");
    await makeBuilder(io, name, flags);
  });

  defineInspect(sub("inspect", "Say what a builder holds", "NAME [FLAGS]"), io);

  const suggest = sub("suggest", "Name builders that are known", "[FLAGS]")
    .addOption(outputFlag());
  addCommonFlags(suggest).action(async ({ output }: { readonly output: OutputFormat }) => {
    const { suggestions } = await import("../package/suggest.ts");
    io.stdout.write(suggestions(output));
  });
}

/** `builder inspect`, also as `inspect-builder`. */
export function defineInspect(command: Command, io: Io): void {
  command
    .argument("<name>", "a builder: a name, oci:DIR, or an archive")
    .option("-d, --depth <n>", "how deep to show orders (default: all)")
    .addOption(anyOutputFlag());
  addRegistryFlags(command);
  addCommonFlags(command).action(async (name: string, flags) => {
    const { inspectBuilder } = await import("../package/inspect_builder.ts");
    await inspectBuilder(io, name, flags);
  });
}
