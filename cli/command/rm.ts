import type { Command } from "commander";
import { addCommonFlags, type CommonFlags } from "../common.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";

/** `wherry rm NAME...`. */
export function define(command: Command, io: Io): void {
  command.argument("<name...>", "images of the store, by tag or digest").usage("NAME... [FLAGS]");
  addCommonFlags(command);
  command.addHelpText("after", "\nBytes that no image needs any more are freed at once.");
  command.action(async (names: readonly string[], flags: CommonFlags) => {
    const { Session } = await import("../session.ts");
    const { inStore, readName } = await import("../places.ts");
    await using session = new Session(io, flags);
    const store = await session.store();
    const missing: string[] = [];
    for (const name of names) {
      const { repository, reference, name: shown } = await inStore(session, readName(name));
      if (await store.deleteManifest(repository, reference)) session.log.info(`Removed ${shown}`);
      else missing.push(shown);
    }
    const freed = await store.gc();
    session.log.debug(`Freed ${freed.bytes} bytes in ${freed.blobs} blobs`);
    if (missing.length > 0) {
      throw new UsageError(`Cannot remove ${missing.join(", ")}: not in the store`);
    }
  });
}
