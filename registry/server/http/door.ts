/** Where connections come in: a port or a socket file, with TLS or without. */
import { OciError } from "../../oci/error.ts";
import type { Peer } from "../server.ts";
import type { Wire } from "./input.ts";

/** Where to listen. */
export type ListenAddress =
  | { readonly hostname: string; readonly port: number }
  | { readonly path: string };

/** What a server proves itself with. */
export interface ServerTls {
  /** PEM of its certificate, and of those between it and its authority. */
  readonly cert: string;
  /** PEM of its key. */
  readonly key: string;
  /** PEM of authorities: nobody gets in without a certificate of one of these. */
  readonly clientCa?: string | undefined;
}

/** A connection that came in. */
export interface Guest {
  /** Ours to close. */
  readonly wire: Wire;
  /** Who it is. */
  readonly peer: Peer;
}

/** Where they come in. */
export interface Door {
  /** The real address: with the port that was chosen. */
  readonly address: ListenAddress;
  /** The next one; `undefined` once it is closed. A failure may pass. */
  accept(): Promise<Guest | undefined>;
  /** Lets nobody in any more. */
  close(): void;
}

/**
 * Listens. Who has not ended a TLS handshake within `handshakeMs` is put out.
 *
 * @throws {OciError} `UNAVAILABLE` when the address cannot be had, or certificate and key cannot be used.
 */
export async function openDoor(
  listen: ListenAddress,
  tls: ServerTls | undefined,
  handshakeMs: number,
): Promise<Door> {
  if ("path" in listen && tls !== undefined) {
    throw new TypeError("Cannot speak TLS on a socket file");
  }
  if (!("path" in listen) && tls !== undefined) {
    const { openTlsDoor } = await import("./tls_door.ts");
    return await openTlsDoor(listen, tls, handshakeMs);
  }
  const where = "path" in listen ? `unix:${listen.path}` : `${listen.hostname}:${listen.port}`;
  try {
    return doorOf(
      "path" in listen
        ? Deno.listen({ transport: "unix", path: listen.path })
        : Deno.listen({ ...listen }),
    );
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new OciError("UNAVAILABLE", `Cannot listen on ${where}: ${why}`, { cause });
  }
}

function doorOf(listener: Deno.Listener | Deno.UnixListener): Door {
  const { addr } = listener;
  let closed = false;
  return {
    address: addr.transport === "unix"
      ? { path: addr.path }
      : { hostname: (addr as Deno.NetAddr).hostname, port: (addr as Deno.NetAddr).port },
    async accept() {
      try {
        const connection: Deno.Conn = await listener.accept();
        const { remoteAddr } = connection;
        // Heads are small and shall not wait for more to come.
        if ("setNoDelay" in connection) (connection as Deno.TcpConn).setNoDelay();
        return {
          wire: connection,
          peer: { remote: remoteAddr.transport === "tcp" ? remoteAddr.hostname : "" },
        };
      } catch (error) {
        if (closed) return undefined;
        throw error;
      }
    },
    close() {
      closed = true;
      listener.close();
    },
  };
}
