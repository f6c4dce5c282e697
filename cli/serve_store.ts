/** `wherry serve`: the store, or a registry in memory, over HTTP. */
import { memoryRegistry } from "../registry/memory.ts";
import { createServer } from "../registry/server/server.ts";
import { type ListenAddress, parseListen, serve } from "../registry/server/serve.ts";
import { openStore } from "../registry/store/store.ts";
import type { ServeFlags } from "./command/serve.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import { Session } from "./session.ts";

/** Serves until it is asked to stop; requests under way are finished first. */
export async function serveStore(io: Io, flags: ServeFlags): Promise<void> {
  await using session = new Session(io, flags);
  const listen = readListen(flags.listen);
  if (!isLocal(listen) && !flags.insecureNoAuth) {
    throw new UsageError(
      `Cannot listen on ${flags.listen}: everybody who reaches it could push and delete; want 127.0.0.1, unix:PATH, or --insecure-no-auth`,
    );
  }
  await using stack = new AsyncDisposableStack();
  const store = flags.ephemeral
    ? undefined
    : flags.readOnly
    ? stack.use(await openStore(session.storeDir(), { readOnly: true }))
    : await session.store();
  const server = createServer(store ?? memoryRegistry(), {
    ...(store ? { locate: (digest) => store.locate(digest) } : {}),
    onError: (error) => session.log.error(error instanceof Error ? error.message : String(error)),
    readOnly: flags.readOnly ?? false,
    onRequest: (entry) =>
      session.log.debug(
        `${entry.method} ${entry.path} ${entry.status} ${entry.bytesIn} in ${entry.bytesOut} out ${
          entry.durationMs.toFixed(1)
        } ms`,
      ),
  });
  const listening = await serve(server, { listen, signal: io.signal });
  io.stdout.write(`${listening.url}\n`);
  session.log.info(
    `Serving ${flags.ephemeral ? "a registry in memory" : session.storeDir()} at ${listening.url}${
      flags.readOnly ? ", read-only" : ""
    }; Ctrl-C ends it`,
  );
  await listening.finished;
}

function readListen(text: string): ListenAddress {
  try {
    return parseListen(text);
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

function isLocal(address: ListenAddress): boolean {
  return "path" in address || /^(127\.|::1$|localhost$)/.test(address.hostname);
}
