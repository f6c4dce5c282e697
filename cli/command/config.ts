import type { Command } from "commander";
import { addCommonFlags, collectWords, type CommonFlags, subcommands } from "../common.ts";
import type { Io } from "../io.ts";
import { outputFlag, type OutputFormat } from "../output.ts";
import type { AddFlags } from "../registry_mirrors.ts";

/** `wherry config registry-mirrors add`, `remove`, `list` and `explain`. */
export function define(command: Command, io: Io): void {
  const summary = "Where images are read from instead of their own registry";
  const mirrors = subcommands(command)("registry-mirrors", summary);
  const sub = subcommands(mirrors);
  const add = sub("add", "Set the mirrors of a registry")
    .argument("<registry>", "a host with an optional path, *.domain, or * for all")
    .usage("REGISTRY --mirror MIRROR... [FLAGS]")
    .requiredOption(
      "-m, --mirror <host[/path]>",
      "takes the place of REGISTRY in names (repeatable, tried in order)",
      collectWords,
    )
    .option("--no-fallback", "never ask the registry itself")
    .option("--pull <what>", "all, digest-only or tag-only", "all")
    .option("--insecure", "plain http or unverified TLS is fine for these mirrors");
  addCommonFlags(add).action(async (registry: string, flags: AddFlags) => {
    const { addMirrors } = await import("../registry_mirrors.ts");
    await addMirrors(io, registry, flags);
  });
  const remove = sub("remove", "Take the mirrors of a registry away")
    .argument("<registry>", "as it was added").usage("REGISTRY [FLAGS]");
  addCommonFlags(remove).action(async (registry: string, flags: CommonFlags) => {
    const { removeMirrors } = await import("../registry_mirrors.ts");
    await removeMirrors(io, registry, flags);
  });
  const list = sub("list", "Show the mirrors of all files, those of registries.conf too")
    .usage("[FLAGS]").addOption(outputFlag());
  addCommonFlags(list).action(async (flags: CommonFlags & { readonly output: OutputFormat }) => {
    const { listMirrors } = await import("../registry_mirrors.ts");
    await listMirrors(io, flags, flags.output);
  });
  const explain = sub("explain", "Say where an image is read from, in order; dials nothing")
    .argument("<name>", "an image").usage("NAME [FLAGS]")
    .addOption(outputFlag());
  addCommonFlags(explain).action(
    async (name: string, flags: CommonFlags & { readonly output: OutputFormat }) => {
      const { explainMirrors } = await import("../registry_mirrors.ts");
      await explainMirrors(io, name, flags, flags.output);
    },
  );
}
