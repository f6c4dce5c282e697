/**
 * Listening with TLS. `Deno.listenTls` (2.9.6) asks for no certificate, whatever it is told, and a connection whose
 * handshake does not end cannot be closed there. Node's server, which Deno has too, asks, verifies and tells whose it is,
 * and has a limit for handshakes. What it accepts is served as any other connection.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import { OciError } from "../../oci/error.ts";
import type { Door, Guest, ServerTls } from "./door.ts";
import type { Wire } from "./input.ts";

/**
 * Listens. With `clientCa` a client without a certificate of these authorities does not get past the handshake.
 *
 * @throws {OciError} `UNAVAILABLE` when the address or the certificates cannot be used.
 */
export async function openTlsDoor(
  listen: { readonly hostname: string; readonly port: number },
  tls: ServerTls,
  handshakeMs: number,
): Promise<Door> {
  const where = `${listen.hostname}:${listen.port}`;
  checkPem(where, tls);
  const guests = new Queue<Guest>();
  /** Also those that never get through the handshake: they would hold the end up. */
  const entering = new Set<Socket>();
  const server = createServer({
    cert: tls.cert,
    key: tls.key,
    ...(tls.clientCa === undefined
      ? {}
      : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
    minVersion: "TLSv1.2",
    ALPNProtocols: ["http/1.1"],
    handshakeTimeout: handshakeMs,
  }, (socket) => {
    const remote = socket.remoteAddress ?? "";
    if (tls.clientCa === undefined) return guests.push({ wire: wireOf(socket), peer: { remote } });
    const certificate = socket.authorized ? nameIn(socket) : undefined;
    if (certificate === undefined) return void socket.destroy();
    guests.push({ wire: wireOf(socket), peer: { remote, certificate } });
  });
  server.on("connection", (socket: Socket) => {
    entering.add(socket);
    socket.once("close", () => entering.delete(socket));
    socket.on("error", () => socket.destroy());
  });
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) =>
      reject(
        new OciError("UNAVAILABLE", `Cannot listen on ${where}: ${cause.message}`, { cause }),
      ));
    server.listen(listen.port, listen.hostname, resolve);
  });
  const { port } = server.address() as { port: number };
  return {
    address: { hostname: listen.hostname, port },
    accept: () => guests.shift(),
    close() {
      guests.end();
      server.close();
      for (const socket of entering) socket.destroy();
    },
  };
}

/** Hands on what came to whoever waits for it. */
class Queue<T> {
  readonly #here: T[] = [];
  #waiting: ((value: T | undefined) => void) | undefined;
  #ended = false;

  push(value: T): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) waiting(value);
    else this.#here.push(value);
  }

  shift(): Promise<T | undefined> {
    if (this.#here.length > 0 || this.#ended) return Promise.resolve(this.#here.shift());
    return new Promise((resolve) => this.#waiting = resolve);
  }

  end(): void {
    this.#ended = true;
    this.#waiting?.(undefined);
  }
}

/** One of Node's sockets as a connection of ours. */
function wireOf(socket: TLSSocket): Wire {
  let ended = false;
  let failure: Error | undefined;
  let rest: Uint8Array | undefined;
  let wake: (() => void) | undefined;
  const stir = () => {
    const waiting = wake;
    wake = undefined;
    waiting?.();
  };
  const gone = () => failure ??= new Error("Cannot go on: the client went away");
  socket.setNoDelay(true);
  socket.on("readable", stir);
  socket.once("end", () => {
    ended = true;
    stir();
  });
  socket.once("error", (error) => {
    failure ??= error;
    stir();
  });
  socket.once("close", () => {
    if (!ended) gone();
    ended = true;
    stir();
  });
  return {
    async read(into) {
      for (;;) {
        const chunk = rest ?? socket.read() as Uint8Array | null;
        rest = undefined;
        if (chunk !== null && chunk.byteLength > 0) {
          const part = chunk.subarray(0, into.byteLength);
          into.set(part);
          if (part.byteLength < chunk.byteLength) rest = chunk.subarray(part.byteLength);
          return part.byteLength;
        }
        if (failure !== undefined) throw failure;
        if (ended) return null;
        await new Promise<void>((resolve) => wake = resolve);
      }
    },
    write(bytes) {
      return new Promise((resolve, reject) => {
        if (failure !== undefined || socket.destroyed) return reject(failure ?? gone());
        const onClose = () => reject(failure ?? gone());
        socket.once("close", onClose);
        socket.write(bytes, (error) => {
          socket.off("close", onClose);
          if (error) reject(error);
          else resolve(bytes.byteLength);
        });
      });
    },
    closeWrite() {
      socket.end();
      return Promise.resolve();
    },
    close() {
      gone();
      socket.destroy();
      stir();
    },
  };
}
/** Node's server of Deno 2.9.6 finds out what is wrong with these only when a client comes, and tells nobody. */
function checkPem(
  where: string,
  { cert, key, clientCa }: ServerTls,
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
  if (clientCa !== undefined) read(clientCa, "what clients are checked against");
  const [own] = read(cert, "its certificate");
  let fits: boolean;
  try {
    fits = own!.checkPrivateKey(createPrivateKey(key));
  } catch {
    throw fail("its private key cannot be read"); // no cause: it may quote the key
  }
  if (!fits) throw fail("its private key is not that of its certificate");
}
/** Who a verified certificate is of: its common name, or the first of its other names. */
function nameIn(socket: TLSSocket): string | undefined {
  const { subject, subjectaltname } = socket.getPeerCertificate();
  const common = subject?.CN as string | string[] | undefined;
  const name = Array.isArray(common) ? common[0] : common;
  return name || /^(?:DNS|email|URI):([^,"]+)/.exec(subjectaltname ?? "")?.[1];
}
