import type { Command } from "commander";
import { addCommonFlags, type CommonFlags } from "../common.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";

/** `wherry tag NAME NEW`. */
export function define(command: Command, io: Io): void {
  command.argument("<name>", "an image of the store").argument(
    "<new...>",
    "the names it gets besides",
  )
    .usage("NAME NEW... [FLAGS]");
  addCommonFlags(command);
  command.action(async (name: string, added: readonly string[], flags: CommonFlags) => {
    const { Session } = await import("../session.ts");
    const { inStore, readName } = await import("../places.ts");
    const { copy } = await import("../../registry/copy.ts");
    await using session = new Session(io, flags);
    const store = await session.store();
    const from = await inStore(session, readName(name));
    if (await store.stat(from.repository, from.reference) === undefined) {
      throw new UsageError(`Cannot tag ${from.name}: it is not in the store (see: wherry ls)`);
    }
    for (const text of added) {
      const to = await inStore(session, readName(text));
      await copy(store, from.repository, from.reference, store, to.repository, {
        tags: [to.reference],
      });
      session.log.info(`${to.name} is ${from.name} now`);
    }
  });
}
