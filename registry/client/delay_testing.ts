/** A proxy on the loopback that is far away: what it is sent arrives later, as over a long wire. */

/** A running proxy. Dispose it. */
export interface DelayProxy extends AsyncDisposable {
  /** `127.0.0.1:port`: to be asked in place of the registry. */
  readonly host: string;
  /** Requests since the last look, in order, and how many of them had to wait for another: the waits in a row. */
  take(): Waits;
}

/** What a proxy saw. */
export interface Waits {
  /** `GET /v2/...`, in the order they came. */
  readonly requests: readonly string[];
  /** The longest row of requests each of which was sent after an answer to the one before. */
  readonly depth: number;
}

/**
 * Passes bytes on to `target`, each `ms` after it came, answers at once: one request takes `ms` longer, ten at once
 * too. Understands just enough to count requests, also of a client that sends several without waiting.
 */
export function delayProxy(target: string, ms: number): DelayProxy {
  let requests: string[] = [];
  let deepest = 0;
  const passing = passOn(target, () => {
    let depth = 0;
    return {
      request: (line) => {
        requests.push(line);
        depth = deepest + 1;
      },
      answer: () => {
        deepest = Math.max(deepest, depth);
        return Promise.resolve();
      },
    };
  }, ms);
  return {
    host: passing.host,
    take() {
      const seen = { requests, depth: deepest };
      requests = [];
      deepest = 0;
      return seen;
    },
    [Symbol.asyncDispose]: () => passing[Symbol.asyncDispose](),
  };
}

/** Told of one connection. */
export interface Listener {
  /** A request has come whole, up to its body: `GET /v2/...`. */
  request(line: string): void;
  /** Some of an answer is here; it is passed on when this resolves. */
  answer(): Promise<void>;
}

/** Passes bytes on to `target`, each `ms` after it came, and answers back. */
export function passOn(
  target: string,
  listen: () => Listener,
  ms = 0,
): AsyncDisposable & { readonly host: string } {
  const [hostname = "", port = ""] = target.split(":");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections = new Set<Deno.Conn>();

  const pass = async (client: Deno.Conn) => {
    const server = await Deno.connect({ hostname, port: Number(port) });
    // Small pieces go on at once: waiting for the other side to acknowledge the last one would add 40 ms of the kernel's.
    for (const one of [client, server]) (one as Deno.TcpConn).setNoDelay(true);
    connections.add(client).add(server);
    const ears = listen();
    const heads = requestHeads();
    const there = async () => {
      let sent: Promise<unknown> = Promise.resolve();
      for await (const chunk of client.readable) {
        const due = performance.now() + ms;
        for (const request of heads(chunk)) ears.request(request);
        sent = sent.then(async () => {
          await until(due);
          await writeAll(server, chunk);
        });
        sent.catch(() => {});
      }
      await sent;
      await server.closeWrite();
    };
    const back = async () => {
      for await (const chunk of server.readable) {
        await ears.answer();
        await writeAll(client, chunk);
      }
    };
    await Promise.allSettled([there(), back()]);
    for (const one of [client, server]) {
      connections.delete(one);
      close(one);
    }
  };
  const accepting = (async () => {
    const passing: Promise<void>[] = [];
    for await (const client of listener) passing.push(pass(client).catch(() => {}));
    await Promise.all(passing);
  })();
  return {
    host: `127.0.0.1:${(listener.addr as Deno.NetAddr).port}`,
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const one of connections) close(one);
      await accepting;
    },
  };
}

/** Finds the requests in what a client sends, piece by piece; bodies have a length. */
function requestHeads(): (chunk: Uint8Array) => readonly string[] {
  const decoder = new TextDecoder("latin1");
  let text = "";
  let body = 0;
  return (chunk) => {
    const found: string[] = [];
    text += decoder.decode(chunk);
    for (;;) {
      const skipped = Math.min(body, text.length);
      text = text.slice(skipped);
      body -= skipped;
      const end = body > 0 ? -1 : text.indexOf("\r\n\r\n");
      if (end < 0) return found;
      const head = text.slice(0, end);
      text = text.slice(end + 4);
      body = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      found.push(/^\S+ \S+/.exec(head)?.[0] ?? "?");
    }
  };
}

async function until(due: number): Promise<void> {
  const left = due - performance.now();
  if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
}

async function writeAll(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength;) at += await to.write(bytes.subarray(at));
}

function close(one: Deno.Conn): void {
  try {
    one.close();
  } catch {
    // its stream has closed it
  }
}
