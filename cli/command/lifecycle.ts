import { Argument, type Command } from "commander";
import type { Io } from "../io.ts";

const PHASES = ["analyze", "detect", "restore", "extend", "build", "export", "create", "rebase"];

/** `wherry lifecycle PHASE`, for `--help` only: the words behind it are read in Go's way, by `run_lifecycle.ts`. */
export function define(command: Command, _io: Io): void {
  command
    .addArgument(new Argument("<phase>", "which").choices(PHASES))
    .usage("PHASE [-FLAGS] [IMAGE...]")
    .addHelpText("after", HELP);
}

const HELP = `
wherry is a lifecycle: put it (or links to it) where a platform looks for /cnb/lifecycle/analyzer, detector, restorer,
builder, exporter, creator, rebaser, extender. CNB_PLATFORM_API (0.7 to 0.15) must be set; flags are the specification's, with one dash.`;
