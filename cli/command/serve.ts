import type { Command } from "commander";
import { addCommonFlags, type CommonFlags } from "../common.ts";
import type { Io } from "../io.ts";

/** Flags of `wherry serve`. */
export interface ServeFlags extends CommonFlags {
  readonly listen: string;
  readonly readOnly?: boolean;
  readonly ephemeral?: boolean;
  readonly insecureNoAuth?: boolean;
}

/** `wherry serve`. */
export function define(command: Command, io: Io): void {
  command
    .option(
      "--listen <host:port>",
      "where to listen; port 0 takes a free one; unix:PATH for a socket",
      "127.0.0.1:5000",
    )
    .option("--read-only", "refuse everything that changes the store")
    .option("--ephemeral", "serve an empty registry in memory instead of the store")
    .option("--insecure-no-auth", "listen beyond this machine although everybody may push")
    .addHelpText(
      "after",
      "\nThe address is printed on stdout when the server is ready. Without authentication it\nlistens on this machine only.",
    );
  addCommonFlags(command);
  command.action(async (flags: ServeFlags) => {
    const { serveStore } = await import("../serve_store.ts");
    await serveStore(io, flags);
  });
}
