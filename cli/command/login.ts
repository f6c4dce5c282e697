import type { Command } from "commander";
import { addCommonFlags, addRegistryFlags } from "../common.ts";
import type { Io } from "../io.ts";
import type { LoginFlags } from "../login.ts";

/** `wherry login HOST`. */
export function define(command: Command, io: Io): void {
  command
    .argument("<host>", "a registry, or a namespace of it: registry.example/team")
    .usage("HOST [FLAGS]")
    .option("-u, --username <name>", "who to be; asked for when absent")
    .option("--password-stdin", "read the password from stdin; asked for when absent")
    .addOption(command.createOption("-p, --password [password]").hideHelp())
    .addHelpText(
      "after",
      "\nThe password is tried first. It is kept in $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json or\n~/.docker/config.json, or by the credential helper that file names.",
    );
  addRegistryFlags(command);
  addCommonFlags(command);
  command.action(async (host: string, flags: LoginFlags) => {
    const { login } = await import("../login.ts");
    await login(io, host, flags);
  });
}
