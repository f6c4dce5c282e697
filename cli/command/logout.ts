import type { Command } from "commander";
import { addCommonFlags, type CommonFlags } from "../common.ts";
import type { Io } from "../io.ts";

/** `wherry logout HOST`. */
export function define(command: Command, io: Io): void {
  command.argument("<host>", "a registry, or a namespace of it").usage("HOST [FLAGS]");
  addCommonFlags(command);
  command.action(async (host: string, flags: CommonFlags) => {
    const { logout } = await import("../login.ts");
    await logout(io, host, flags);
  });
}
