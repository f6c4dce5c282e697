/** `wherry bundle serve`: a read-only registry straight from the tar. */
import { parseListen, serve } from "../../registry/server/serve.ts";
import { createServer } from "../../registry/server/server.ts";
import type { CommonFlags } from "../common.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import { Session } from "../session.ts";
import { bundleRegistry } from "../../registry/bundle/registry.ts";
import { openFiles, refuseIncomplete, repositoriesOf } from "./open.ts";
import { readName } from "../places.ts";

/** Serves until it is asked to stop. */
export async function serveBundle(
  io: Io,
  files: readonly string[],
  flags: CommonFlags & { readonly listen: string },
): Promise<void> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  let listen;
  try {
    listen = parseListen(flags.listen);
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
  const bundle = await openFiles(session, files, stack);
  refuseIncomplete(bundle);
  const registry = bundleRegistry(
    bundle,
    bundle.images.map((image) => {
      const { tag, digest } = readName(image.reference);
      return {
        repositories: repositoriesOf(image),
        tag: digest === undefined ? tag ?? "latest" : undefined,
        image,
      };
    }),
  );
  const server = createServer(registry, {
    readOnly: true,
    onError: (error) => session.log.error(error instanceof Error ? error.message : String(error)),
    onRequest: (entry) => session.log.debug(`${entry.method} ${entry.path} ${entry.status}`),
  });
  const listening = await serve(server, { listen, signal: io.signal });
  io.stdout.write(`${listening.url}\n`);
  session.log.info(`Serving ${files.join(", ")} at ${listening.url}, read-only; Ctrl-C ends it`);
  await listening.finished;
}
