import type { Command } from "commander";
import type { Io } from "../io.ts";
import { defineInspect } from "./builder.ts";

/** `wherry inspect-builder`, as `wherry builder inspect`. */
export function define(command: Command, io: Io): void {
  defineInspect(command.usage("NAME [FLAGS]"), io);
}
