/**
 * Listening for clients with certificates. `Deno.serve` asks for none, whatever it is told (Deno 2.9.6); Node's server,
 * which Deno has too, asks, verifies and tells whose it is.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { OciError } from "../oci/error.ts";
import type { Listening } from "./serve.ts";
import type { RegistryServer } from "./server.ts";

/** Options of {@linkcode serveCertificates}. */
export interface CertificateOptions {
  /** A host with a port; 0: any free one. */
  readonly listen: { readonly hostname: string; readonly port: number };
  /** PEM of certificate, key, and of the authorities whose clients are let in. */
  readonly tls: { readonly cert: string; readonly key: string; readonly clientCa: string };
  /** How long requests under way may go on after the end was asked for. */
  readonly drainMs: number;
  /** When aborted, ends as {@linkcode Listening.shutdown} does. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Starts to listen. A client without a certificate of these authorities does not get past the handshake.
 *
 * @throws {OciError} `UNAVAILABLE` when the address or the certificates cannot be used.
 */
export async function serveCertificates(
  server: RegistryServer,
  { listen, tls, drainMs, signal }: CertificateOptions,
): Promise<Listening> {
  const where = `${listen.hostname}:${listen.port}`;
  const sockets = new Set<Socket>();
  let busy = 0;
  let idle: PromiseWithResolvers<void> | undefined;
  checkPem(where, tls);
  const http: Server = createServer({
    cert: tls.cert,
    key: tls.key,
    ca: tls.clientCa,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: "TLSv1.2",
  }, async (incoming, outgoing) => {
    busy++;
    try {
      await answer(server, incoming, outgoing, idle !== undefined);
    } finally {
      if (--busy === 0) idle?.resolve();
    }
  });
  http.requestTimeout = 0; // a large blob takes its time; the server itself judges who is too slow
  // Also those that never get through the handshake: they would hold the end up.
  for (const event of ["connection", "secureConnection"] as const) {
    http.on(event, (socket: Socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    });
  }
  const finished = Promise.withResolvers<void>();
  http.once("close", () => finished.resolve());
  await new Promise<void>((resolve, reject) => {
    http.once("error", (cause) =>
      reject(
        new OciError("UNAVAILABLE", `Cannot listen on ${where}: ${(cause as Error).message}`, {
          cause,
        }),
      ));
    http.listen(listen.port, listen.hostname, resolve);
  });
  let ending: Promise<void> | undefined;
  const shutdown = () =>
    ending ??= (async () => {
      signal?.removeEventListener("abort", onAbort);
      idle = Promise.withResolvers();
      if (busy === 0) idle.resolve();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<void>((resolve) => timer = setTimeout(resolve, drainMs));
      await Promise.race([idle.promise, late]);
      clearTimeout(timer);
      http.close();
      for (const socket of sockets) socket.destroy();
      await finished.promise;
    })();
  const onAbort = () => void shutdown();
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  const { port } = http.address() as { port: number };
  const host = listen.hostname.includes(":") ? `[${listen.hostname}]` : listen.hostname;
  return {
    address: { hostname: listen.hostname, port },
    url: `https://${host}:${port}`,
    shutdown,
    finished: finished.promise.then(() => ending),
    [Symbol.asyncDispose]: shutdown,
  };
}

/** Node's server of Deno 2.9.6 finds out what is wrong with these only when a client comes, and tells nobody. */
function checkPem(
  where: string,
  { cert, key, clientCa }: { cert: string; key: string; clientCa: string },
): void {
  const fail = (why: string, cause?: unknown) =>
    new OciError("UNAVAILABLE", `Cannot listen on ${where}: ${why}`, { cause });
  const read = (pem: string, what: string) => {
    const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    try {
      if (blocks.length > 0) return blocks.map((block) => new X509Certificate(block));
    } catch (cause) {
      throw fail(`${what} cannot be read`, cause);
    }
    throw fail(`there is no certificate in ${what}`);
  };
  read(clientCa, "what clients are checked against");
  const [own] = read(cert, "its certificate");
  let fits: boolean;
  try {
    fits = own!.checkPrivateKey(createPrivateKey(key));
  } catch {
    throw fail("its private key cannot be read"); // no cause: it may quote the key
  }
  if (!fits) throw fail("its private key is not that of its certificate");
}

async function answer(
  server: RegistryServer,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  ending: boolean,
): Promise<void> {
  const socket = incoming.socket as TLSSocket;
  const name = socket.authorized ? nameIn(socket) : undefined;
  const path = incoming.url ?? "/";
  if (ending || name === undefined || !path.startsWith("/")) {
    outgoing.writeHead(ending ? 503 : 400, { "connection": "close", "content-length": "0" });
    outgoing.end();
    return;
  }
  try {
    const { request, unread } = requestOf(incoming, path);
    const response = await server.fetch(request, {
      remote: socket.remoteAddress ?? "",
      certificate: name,
    });
    const headers: Record<string, string | string[]> = {};
    for (const [key, value] of response.headers) headers[key] = value;
    // What the client still sends is not read: the next request could not be found behind it.
    if (unread()) headers["connection"] = "close";
    outgoing.writeHead(response.status, headers);
    if (incoming.method === "HEAD") await response.body?.cancel();
    else await send(response.body, outgoing);
    outgoing.end();
  } catch {
    socket.destroy(); // the head is out, or the client is gone
  }
}

/** Who a verified certificate is of: its common name, or the first of its other names. */
function nameIn(socket: TLSSocket): string | undefined {
  const { subject, subjectaltname } = socket.getPeerCertificate();
  const common = subject?.CN as string | string[] | undefined;
  const name = Array.isArray(common) ? common[0] : common;
  return name || /^(?:DNS|email|URI):([^,"]+)/.exec(subjectaltname ?? "")?.[1];
}

function requestOf(
  incoming: IncomingMessage,
  path: string,
): { readonly request: Request; readonly unread: () => boolean } {
  const headers = new Headers();
  const raw = incoming.rawHeaders;
  for (let at = 0; at + 1 < raw.length; at += 2) headers.append(raw[at]!, raw[at + 1]!);
  const method = incoming.method ?? "GET";
  const init: RequestInit = { method, headers };
  const empty = headers.get("content-length") === "0" ||
    (!headers.has("content-length") && !headers.has("transfer-encoding"));
  if (method !== "GET" && method !== "HEAD" && !empty) {
    Object.assign(init, { body: bodyOf(incoming), duplex: "half" });
  }
  // Only path and query of it are looked at; the host is the client's word.
  return {
    request: new Request(`https://localhost${path}`, init),
    unread: () => !empty && !incoming.complete,
  };
}

/** The body at the pace of whoever reads it. */
function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array<ArrayBuffer>> {
  let over = false;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      incoming.pause();
      const fail = () => {
        if (!over) controller.error(new Error("Cannot read on: the client went away"));
        over = true;
      };
      incoming.on("data", (chunk: Uint8Array) => {
        incoming.pause();
        if (!over) controller.enqueue(new Uint8Array(chunk));
      });
      incoming.once("end", () => {
        if (!over) controller.close();
        over = true;
      });
      incoming.once("error", fail);
      incoming.once("aborted", fail);
      incoming.once("close", fail);
    },
    pull() {
      incoming.resume();
    },
    cancel() {
      over = true;
      incoming.pause();
    },
  }, { highWaterMark: 0 });
}

async function send(
  body: ReadableStream<Uint8Array<ArrayBuffer>> | null,
  outgoing: ServerResponse,
): Promise<void> {
  if (body === null) return;
  for await (const chunk of body) {
    if (outgoing.destroyed) throw new Error("Cannot write on: the client went away");
    if (outgoing.write(chunk)) continue;
    await new Promise<void>((resolve, reject) => {
      const settle = (act: () => void) => () => {
        outgoing.off("drain", onDrain);
        outgoing.off("close", onClose);
        act();
      };
      const onDrain = settle(resolve);
      const onClose = settle(() => reject(new Error("Cannot write on: the client went away")));
      outgoing.once("drain", onDrain);
      outgoing.once("close", onClose);
    });
  }
}
