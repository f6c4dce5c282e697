/** `wherry serve`: the store, or a registry in memory, over HTTP. */
import { memoryRegistry } from "../registry/memory.ts";
import { formatAccess, openLineWriter, redactPath } from "../registry/server/access_log.ts";
import { guard } from "../registry/server/auth/guard.ts";
import { isTrustable } from "../registry/server/http/forwarded.ts";
import { Metrics } from "../registry/server/metrics.ts";
import { createServer, type RequestEntry } from "../registry/server/server.ts";
import { type ListenAddress, parseListen, serve } from "../registry/server/serve.ts";
import { describeImage } from "../lifecycle/platform/image_info.ts";
import { createExplorer } from "../registry/server/explorer/explorer.ts";
import { createSite } from "../registry/server/site.ts";
import { openStore } from "../registry/store/store.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import { isGuarded, openAccess, type ServeFlags } from "./serve_access.ts";
import { Session } from "./session.ts";
import { VERSION } from "./version.ts";

/** Serves until it is asked to stop; requests under way are finished first. */
export async function serveStore(io: Io, flags: ServeFlags): Promise<void> {
  await using session = new Session(io, flags);
  const listen = readListen(flags.listen);
  const tls = await readTls(session, flags, listen);
  const stray = flags.trustedProxy?.find((text) => !isTrustable(text));
  if (stray !== undefined) {
    throw new UsageError(
      `Cannot trust proxy ${JSON.stringify(stray)}: want ADDRESS/BITS, as in 10.0.0.0/8, or unix`,
    );
  }
  const guarded = isGuarded(flags);
  if (!isLocal(listen) && !guarded && !flags.insecureNoAuth) {
    throw new UsageError(
      `Cannot listen on ${flags.listen}: everybody who reaches it could push and delete; want --htpasswd FILE, 127.0.0.1, unix:PATH, or --insecure-no-auth`,
    );
  }
  await using stack = new AsyncDisposableStack();
  const store = flags.ephemeral
    ? undefined
    : flags.readOnly
    ? stack.use(await openStore(session.storeDir(), { readOnly: true }))
    : await session.store();
  const registry = store ?? memoryRegistry();
  const metrics = new Metrics({ version: VERSION, startedAt: Date.now() });
  const access = await openAccess(
    session,
    flags,
    listen,
    store && !flags.readOnly ? session.storeDir() : undefined,
    metrics,
  );
  const writeAccess = await openAccessLog(session, flags, stack);
  if (!isLocal(listen) && flags.htpasswd !== undefined && !tls) {
    session.log.warn(
      "Passwords travel without encryption: want --tls-cert and --tls-key, or a proxy in front that has them",
    );
  }
  const server = createServer(registry, {
    locate: (digest) => registry.locate(digest),
    readOnly: flags.readOnly ?? false,
    ...(guarded ? { authorize: guard(registry, access.authority, access.key) } : {}),
    site: createSite({
      authority: access.authority,
      tokens: access.issuing,
      metrics,
      pages: flags.explorer
        ? createExplorer(registry, {
          authority: access.authority,
          open: !guarded,
          host: access.host,
          describe: describeImage,
        })
        : undefined,
    }),
    onError: (error) => {
      metrics.failed();
      session.log.error(error instanceof Error ? error.message : String(error));
    },
    onBegin: () => metrics.begin(),
    onRequest: (entry) => {
      metrics.end(entry);
      writeAccess?.(entry);
      session.log.debug(
        `${entry.method} ${
          redactPath(entry.path)
        } ${entry.status} ${entry.bytesIn} in ${entry.bytesOut} out ${
          entry.durationMs.toFixed(1)
        } ms`,
      );
    },
  });
  const listening = await serve(server, {
    listen,
    signal: io.signal,
    tls,
    trustedProxies: flags.trustedProxy,
  });
  access.listensAt(listening.url);
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

/** what only this machine reaches. */
function isLocal(address: ListenAddress): boolean {
  return "path" in address ||
    /^(127(\.[0-9]{1,3}){3}|::1|localhost)$/.test(address.hostname);
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----/;

async function readTls(
  session: Session,
  { tlsCert, tlsKey, tlsClientCa }: ServeFlags,
  listen: ListenAddress,
): Promise<{ cert: string; key: string; clientCa?: string } | undefined> {
  if (tlsCert === undefined && tlsKey === undefined && tlsClientCa === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined) {
    throw new UsageError("Cannot speak https: want both --tls-cert and --tls-key");
  }
  if ("path" in listen) {
    throw new UsageError("Cannot speak https on a socket file: want --listen HOST:PORT");
  }
  const read = async (file: string, what: RegExp, name: string) => {
    let text: string;
    try {
      text = await Deno.readTextFile(session.path(file));
    } catch (cause) {
      throw new UsageError(`Cannot read ${file}: ${(cause as Error).message}`, { cause });
    }
    if (what.test(text)) return text;
    throw new UsageError(`Cannot use ${file}: want ${name} in PEM`);
  };
  return {
    cert: await read(tlsCert, CERTIFICATE, "a certificate"),
    key: await read(tlsKey, /-----BEGIN ([A-Z]+ )?PRIVATE KEY-----/, "a private key"),
    ...(tlsClientCa === undefined
      ? {}
      : { clientCa: await read(tlsClientCa, CERTIFICATE, "certificates") }),
  };
}

async function openAccessLog(
  session: Session,
  { accessLog }: ServeFlags,
  stack: AsyncDisposableStack,
): Promise<((entry: RequestEntry) => void) | undefined> {
  if (accessLog === undefined) return undefined;
  const format = (entry: RequestEntry) => formatAccess(entry, { now: session.ctx.now() });
  if (accessLog === "-") return (entry) => session.io.stdout.write(format(entry));
  const failed = (error: unknown) =>
    session.log.error(`Cannot write ${accessLog}: ${(error as Error).message}`);
  try {
    const writer = stack.use(await openLineWriter(session.path(accessLog), failed));
    return (entry) => writer.write(format(entry));
  } catch (cause) {
    throw new UsageError(`Cannot write ${accessLog}: ${(cause as Error).message}`, { cause });
  }
}
