/** Small servers that behave as some registry in the field does, and remember what they were asked. */

/** One request as a server saw it. */
export interface Seen {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Headers;
  /** Read to its end before the handler runs, unless the server is told not to. */
  readonly body: Uint8Array;
  /** The client's port: the same for requests on one connection. */
  readonly peer: number;
}

/** A server that is asked and remembers. */
export interface QuirkServer extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** In order of arrival. */
  readonly seen: Seen[];
  /** `METHOD path` of each request, without queries. */
  calls(): readonly string[];
}

/** Starts a server whose answers `handle` gives; a throw is a 500. */
export function quirkServer(
  handle: (seen: Seen, nth: number) => Response | Promise<Response>,
  tls: { readonly cert?: string; readonly key?: string } = {},
): QuirkServer {
  const seen: Seen[] = [];
  const { cert, key } = tls;
  const server = Deno.serve({
    port: 0,
    hostname: "127.0.0.1",
    onListen() {},
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
  }, async (request, { remoteAddr }) => {
    const url = new URL(request.url);
    const one: Seen = {
      method: request.method,
      url: url.pathname + url.search,
      headers: request.headers,
      body: new Uint8Array(await request.arrayBuffer()),
      peer: (remoteAddr as Deno.NetAddr).port,
    };
    seen.push(one);
    return await handle(one, seen.length);
  });
  return {
    host: `127.0.0.1:${(server.addr as Deno.NetAddr).port}`,
    seen,
    calls: () => seen.map(({ method, url }) => `${method} ${url.replace(/\?.*/, "")}`),
    async [Symbol.asyncDispose]() {
      await server.shutdown();
    },
  };
}

/** A server below HTTP: `talk` gets each connection, with its request line and headers read, and may cut it. */
export interface RawServer extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** Heads of requests in order of arrival. */
  readonly heads: string[];
}

/** Starts a raw server. A connection that begins with a TLS handshake is closed. */
export function rawServer(
  talk: (connection: Deno.TcpConn, head: string, nth: number) => Promise<void>,
): RawServer {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const heads: string[] = [];
  const open = new Set<Promise<void>>();
  const serve = async (connection: Deno.TcpConn) => {
    try {
      const head = await readHead(connection);
      if (head !== undefined) {
        heads.push(head);
        await talk(connection, head, heads.length);
      }
    } catch {
      // The client went away: that is what some of these tests are about.
    } finally {
      connection.close();
    }
  };
  const accepting = (async () => {
    for await (const connection of listener) {
      const talking: Promise<void> = serve(connection).finally(() => open.delete(talking));
      open.add(talking);
    }
  })();
  return {
    host: `127.0.0.1:${listener.addr.port}`,
    heads,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await Promise.all(open);
    },
  };
}

/** Sends text or bytes whole. */
export async function say(connection: Deno.TcpConn, what: string | Uint8Array): Promise<void> {
  let rest = typeof what === "string" ? new TextEncoder().encode(what) : what;
  while (rest.byteLength > 0) rest = rest.subarray(await connection.write(rest));
}

async function readHead(connection: Deno.TcpConn): Promise<string | undefined> {
  const byte = new Uint8Array(1);
  let head = "";
  while (!head.endsWith("\r\n\r\n")) {
    if (await connection.read(byte) === null) return undefined;
    if (head === "" && byte[0] === 0x16) return undefined;
    head += String.fromCharCode(byte[0]!);
  }
  return head;
}

/** The error document of the distribution spec. */
export function errorBody(
  status: number,
  code: string,
  message: string,
  headers: HeadersInit = {},
): Response {
  return Response.json({ errors: [{ code, message }] }, { status, headers });
}
