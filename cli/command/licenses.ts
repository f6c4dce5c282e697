import type { Command } from "commander";
import type { Io } from "../io.ts";

/** `wherry licenses`: the notices of everything inside the file. */
export function define(command: Command, io: Io): void {
  command.action(async () => {
    const { notices } = await import("../assets.ts");
    io.stdout.write(notices());
  });
}
