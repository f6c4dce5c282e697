import type { Command } from "commander";
import type { Io } from "../io.ts";
import { defineModules } from "./buildpack.ts";

/** `wherry extension ...`. */
export function define(command: Command, io: Io, done: (code: number) => void): void {
  defineModules(command, io, done, "extension");
}
