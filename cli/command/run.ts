import { type Command, Option } from "commander";
import { addCommonFlags, addRegistryFlags, collect } from "../common.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import type { RunFlags } from "../run_image.ts";

/** `wherry run NAME [-- ARGS]`. */
export function define(command: Command, io: Io, done: (code: number) => void): void {
  command
    .argument("<name>", "the image: a name, oci:DIR, FILE.tar")
    .argument("[args...]", "instead of its own arguments")
    .usage("NAME [FLAGS] [-- ARGS]")
    .optionsGroup("What starts:")
    .option("--entrypoint <program>", "instead of its own, for example a process: /cnb/process/web")
    .option("-e, --env <name=value>", "a variable; without = the caller's value", collect)
    .option("--env-file <file>", "such variables, one a line", collect)
    .option("-u, --user <user>", "instead of its own: a name or number, and perhaps :GROUP")
    .option("-w, --workdir <dir>", "instead of its own")
    .option("--volume <host:target[:rw]>", "a directory of this machine, read-only", collect)
    .addOption(new Option("-p, --publish <ports>").hideHelp().argParser(refusePorts))
    .addOption(new Option("--network <mode>", "ports are the host's").choices(["host", "none"]))
    .addOption(
      new Option("--isolation <mode>", "how it is entered").choices([
        "auto",
        "namespaces",
        "chroot",
      ]).default("auto"),
    )
    .option("--platform <os/arch>", "which image of an index (default: this machine's)")
    .addOption(
      new Option(
        "--pull-policy <policy>",
        "whether an image in the store will do (default: it will, and that is told)",
      ).choices(["always", "if-not-present", "never"]),
    );
  addRegistryFlags(command);
  addCommonFlags(command);
  command.addHelpText(
    "after",
    "\nIt runs in its own root, as its user, with the host's network, and what it writes is forgotten.\nIt reads our stdin, " +
      "its exit code is ours; SIGINT, SIGTERM and SIGHUP are passed on,\nand after ten seconds it is killed.",
  );
  command.action(async (name: string, args: readonly string[], flags: RunFlags) => {
    const { runCommand } = await import("../run_image.ts");
    done(await runCommand(io, name, args, flags));
  });
}

/** Fingers know it from engines. */
function refusePorts(): never {
  throw new UsageError(
    "Cannot use --publish: the image has this machine's network, and its ports are the machine's (many apps read -e PORT=8080)",
  );
}
