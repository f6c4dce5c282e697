import { type Command, Option } from "commander";
import {
  addCommonFlags,
  addRegistryFlags,
  collect,
  collectNames,
  collectWords,
} from "../common.ts";
import type { BuildFlags } from "../build_flags.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import { outputFlag } from "../output.ts";
import { addInputFlags, addRunFlags } from "../site_flags.ts";

/** pack's flags without a meaning here: taken, with one warning that says why. */
const IGNORED: Readonly<Record<string, { readonly flags: string; readonly why: string }>> = {
  trustBuilder: {
    flags: "--trust-builder",
    why: "buildpacks never see credentials, trusted or not",
  },
  trustExtraBuildpacks: {
    flags: "--trust-extra-buildpacks",
    why: "buildpacks never see credentials, trusted or not",
  },
  lifecycleImage: { flags: "--lifecycle-image <image>", why: "wherry is the lifecycle" },
  dockerHost: { flags: "--docker-host <host>", why: "there is no daemon" },
  usernsHost: { flags: "--userns-host", why: "there is no daemon" },
  interactive: { flags: "--interactive", why: "there is no terminal interface" },
};

/** pack's flags that would change the result and are not there yet: refused, with what to use instead. */
const REFUSED: Readonly<Record<string, { readonly flags: string; readonly instead: string }>> = {
  sparse: { flags: "--sparse", instead: "layouts are always whole" },
};

/** `wherry build NAME`. */
export function define(command: Command, io: Io, done: (code: number) => void): void {
  command
    .argument("<name>", "the image: a name, or oci:DIR, oci-archive:FILE, docker-archive:FILE")
    .usage("NAME [FLAGS]");
  addInputFlags(command)
    .option("--run-image <image>", "the base: a name, oci:DIR, or scratch for none at all")
    .option(
      "--from <bundle>",
      "take images from this bundle first (repeatable: its parts; see: wherry bundle)",
      collectNames,
    )
    .optionsGroup("What comes out:")
    .option("--publish", "straight to the registry, instead of the local store")
    .option("-t, --tag <name>", "another name for the image (repeatable)", collectWords)
    .option("-D, --default-process <type>", "which process starts by default")
    .option(
      "--creation-time <time>",
      "seconds since 1970, or now (default: $SOURCE_DATE_EPOCH, 1980)",
    )
    .option("--report-output-dir <dir>", "also write report.toml there")
    .option("--sbom-output-dir <dir>", "also write the bills of materials there")
    .option(
      "--sbom-referrer",
      "also put the merged bill of materials beside the image, where scanners look",
    )
    .addOption(outputFlag())
    .optionsGroup("What is not done twice:")
    .option("--previous-image <image>", "take layers from this image (default: the image itself)")
    .option(
      "--cache <spec>",
      "type=build;format=bind;source=DIR, format=volume;name=NAME, format=image;name=NAME",
      collect,
    )
    .option("--cache-image <image>", "the same as --cache 'type=build;format=image;name=IMAGE'")
    .option("--clear-cache", "forget the cache first")
    .addOption(
      new Option(
        "--pull-policy <policy>",
        "whether the registry is asked; if not said, always",
      )
        .choices(["always", "if-not-present", "never"]),
    );
  addRunFlags(command)
    .option("--sub-ids", "with the ids of /etc/subuid, for extensions that need several users")
    .option("--shell", "when a buildpack fails, a shell in its place, with its environment")
    .option("--keep-sandbox", "leave the directories of a failing build, and say where they are");
  addRegistryFlags(command);
  addCommonFlags(command);
  for (const { flags } of Object.values(IGNORED)) command.addOption(new Option(flags).hideHelp());
  for (const { flags } of Object.values(REFUSED)) command.addOption(new Option(flags).hideHelp());
  command.addHelpText("after", HELP);
  command.action(async (name: string, flags: BuildFlags) => {
    const given = flags as unknown as Readonly<Record<string, unknown>>;
    for (const [key, { flags, instead }] of Object.entries(REFUSED)) {
      if (given[key] !== undefined) {
        throw new UsageError(`Cannot use ${flags.replace(/^-\w, /, "").split(" ")[0]}: ${instead}`);
      }
    }
    if (flags.subIds && io.user.uid !== 0) {
      if (flags.shell) {
        throw new UsageError("Cannot use --shell with --sub-ids: it has no terminal");
      }
      const { againWithSubIds } = await import("../sub_ids.ts");
      return done(await againWithSubIds(io));
    }
    const { buildApp } = await import("../build_app.ts");
    const notes = Object.entries(IGNORED).filter(([key]) => given[key] !== undefined)
      .map(([, { flags, why }]) => `${flags.split(" ")[0]} has no meaning here: ${why}`);
    if (flags.subIds) notes.push("--sub-ids has no meaning here: root has all ids");
    await buildApp(
      io,
      name,
      flags.from === undefined ? flags : { ...flags, fromBundle: flags.from },
      notes,
    );
  });
}

const HELP = `
Buildpacks run in the builder's own root, or on this machine, fenced off: they see neither credentials nor your files.
Exit codes: 20 no buildpack detected, 21 one of them failed to, 51 a build failed, 62 export failed,
3 words that make no sense, or name what is not there.`;
