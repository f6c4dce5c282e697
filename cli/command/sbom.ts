import type { Command } from "commander";
import {
  addCommonFlags,
  addRegistryFlags,
  collectNames,
  collectWords,
  subcommands,
} from "../common.ts";
import type { Io } from "../io.ts";
import { type AnyFormat, anyOutputFlag, outputFlag } from "../output.ts";
import type { QueryFlags } from "../sbom_query.ts";
import type { SbomFlags } from "../sbom_read.ts";

type Flags = SbomFlags & { readonly output: AnyFormat };

/** `wherry sbom list`, `show`, `download` `attach` and `query`. */
export function define(command: Command, io: Io, done: (code: number) => void): void {
  const sub = subcommands(command);
  const ofImage = (name: string, summary: string) =>
    sub(name, summary, "NAME [FLAGS]").argument("<name>", "an image, in any place");
  const which = (one: Command) =>
    one.option("--platform <os/arch>", "which image of an index (default: this machine's)")
      .option("--remote", "ask the registry, not the store")
      .option("--buildpack <id>", "only of this buildpack (repeatable)", collectNames)
      .option("--layer <name>", "only of this layer (repeatable)", collectNames);
  const finish = (one: Command) => addCommonFlags(addRegistryFlags(one));

  finish(
    which(ofImage("list", "List the bills of materials of an image")).addOption(anyOutputFlag()),
  )
    .action(async (name: string, flags: Flags) => {
      const { listSboms } = await import("../sbom_show.ts");
      await listSboms(io, name, flags, flags.output);
    });
  finish(
    which(ofImage("show", "Show the packages of an image, or its documents"))
      .option("--format <format>", "print a document: cyclonedx, spdx or syft")
      .option(
        "--merge",
        "all documents as one, with the buildpack of each package (default: cyclonedx)",
      )
      .addOption(anyOutputFlag("the list of packages as human, json, yaml or toml")),
  )
    .action(async (name: string, flags: Flags & { format?: string; merge?: boolean }) => {
      const { listPackages, showSbom } = await import("../sbom_show.ts");
      if (flags.format === undefined && !flags.merge) {
        return await listPackages(io, name, flags, flags.output);
      }
      const { bomFormat } = await import("../sbom_read.ts");
      const format = flags.format === undefined ? undefined : bomFormat(flags.format);
      await showSbom(io, name, { ...flags, format });
    });
  finish(
    which(ofImage("download", "Write the bills of materials of an image to files"))
      .option("-o, --output-dir <dir>", "where to (default: here)"),
  )
    .action(async (name: string, flags: SbomFlags & { outputDir?: string }) => {
      const { downloadSboms } = await import("../sbom_download.ts");
      await downloadSboms(io, name, flags);
    });
  finish(
    ofImage("attach", "Put an image's bill of materials beside it, where scanners look")
      .option("--platform <os/arch>", "which image of an index (default: this machine's)")
      .option("--remote", "the image of the registry, not the store's")
      .option("--format <format>", "cyclonedx (default), spdx or syft (repeatable)", collectWords)
      .option("--file <file>", "this document instead of the merged one of the image")
      .addOption(outputFlag()),
  )
    .action(
      async (
        name: string,
        { format = ["cyclonedx"], ...flags }: Flags & { format?: readonly string[]; file?: string },
      ) => {
        const { bomFormat } = await import("../sbom_read.ts");
        const { attachSboms } = await import("../sbom_attach.ts");
        await attachSboms(io, name, { ...flags, format: format.map(bomFormat) });
      },
    );
  finish(
    sub("query", "Say which images hold a package")
      .argument("<query>", "pkg:TYPE/NAME@RANGE, NAME@RANGE or license:PATTERN")
      .argument("[name...]", "images or patterns of names")
      .usage("QUERY [NAME...] [--from FILE] [FLAGS]")
      .option(
        "--from <file>",
        "names from a file, one a line, or - ; kubectl get pods -A -o json too",
      )
      .option("--platform <os/arch>", "which image of an index (default: all)")
      .option("--remote", "ask the registry, not the store")
      .addOption(outputFlag(["csv"])),
  )
    .addHelpText("after", QUERY_HELP)
    .action(async (query: string, names: readonly string[], flags: QueryFlags) => {
      const { querySboms } = await import("../sbom_query.ts");
      done(await querySboms(io, query, names, flags));
    });
}

const QUERY_HELP = `
Ranges: <, <=, >, >=, =, !=, ~1.2, ^1.2, a version; a comma means and, || or. Versions are compared as their ecosystem does.
What was read is kept in the store: the next query takes one small request an image, or none for a digest.
Exits with 1 when an image could not be asked.`;
