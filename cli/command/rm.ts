import type { Command } from "commander";
import { addCommonFlags, type CommonFlags } from "../common.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import type { Context } from "../../registry/context.ts";
import type { Store } from "../../registry/store/store.ts";

/** `wherry rm NAME...`. */
export function define(command: Command, io: Io): void {
  command.argument("<name...>", "images of the store, by tag or digest").usage("NAME... [FLAGS]");
  addCommonFlags(command);
  command.addHelpText(
    "after",
    "\nBytes that no image needs any more are freed at once, unless a build or a server is at work in the store: " +
      "then wherry store gc frees them later.",
  );
  command.action(async (names: readonly string[], flags: CommonFlags) => {
    const { Session } = await import("../session.ts");
    const { inStore, readName } = await import("../places.ts");
    await using session = new Session(io, flags);
    const store = await session.store();
    const missing: string[] = [];
    let freed = 0;
    for (const name of names) {
      const { repository, reference, name: shown } = await inStore(session, readName(name));
      const released = await store.release(repository, reference);
      if (released === undefined) missing.push(shown);
      else session.log.info(`Removed ${shown}`);
      freed += released?.bytes ?? 0;
    }
    session.log.debug(`Freed ${freed} bytes`);
    await collectDaily(store, session.ctx);
    if (missing.length > 0) {
      throw new UsageError(`Cannot remove ${missing.join(", ")}: not in the store`);
    }
  });
}

const DAY_MS = 24 * 60 * 60 * 1000;
const COLLECTED = "store gc by rm";

/** Images that lost their tag to a newer build are collected too, but not each time: that looks at every blob. */
async function collectDaily(store: Store, { now, signal }: Context): Promise<void> {
  const time = now().getTime();
  if (time - Number(await store.memo.get(COLLECTED) ?? 0) < DAY_MS) return;
  await store.gc({ signal });
  await store.memo.set(COLLECTED, String(time));
}
