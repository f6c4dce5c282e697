import assert from "node:assert/strict";
import { collect } from "../source.ts";
import { makePki } from "./pki_testing.ts";
import { quirkServer, rawServer, say } from "./quirk_testing.ts";
import { discard } from "./api_request.ts";
import { Transport } from "./transport.ts";
import { TransportError } from "./transport_error.ts";
import { parseTarget } from "./url.ts";

const pki = await makePki();
const ignore = pki === undefined;
const fault = (name: string) => (error: unknown) => {
  assert(error instanceof TransportError, String(error));
  assert.equal(error.fault, name);
  return true;
};

async function get(transport: Transport, url: string): Promise<string> {
  const answer = await transport.exchange({ method: "GET", target: parseTarget(url) });
  return new TextDecoder().decode(await collect(answer.body, 1000));
}

Deno.test({
  name: "C-CONN-04 a private authority is trusted where it is given, and its host only",
  ignore,
}, async () => {
  await using server = quirkServer(() => new Response("hi"), pki!.server);
  const port = server.host.split(":")[1]!;
  const url = `https://localhost:${port}/`;
  {
    await using transport = new Transport();
    await assert.rejects(() => get(transport, url), fault("certificate"));
  }
  {
    await using transport = new Transport({ caCerts: [pki!.ca] });
    assert.equal(await get(transport, url), "hi");
    assert.equal(await get(transport, `https://127.0.0.1:${port}/`), "hi");
  }
  {
    await using transport = new Transport({
      hosts: { [`localhost:${port}`]: { caCerts: [pki!.ca] } },
    });
    assert.equal(await get(transport, url), "hi");
    await assert.rejects(() => get(transport, `https://127.0.0.1:${port}/`), fault("certificate"));
  }
});

Deno.test({ name: "N-06 a certificate for another name is refused", ignore }, async () => {
  await using server = quirkServer(() => new Response("hi"), pki!.server);
  await using transport = new Transport({ caCerts: [pki!.ca] });
  const port = server.host.split(":")[1]!;
  await assert.rejects(() => get(transport, `https://127.0.0.2:${port}/`), fault("connect"));
  await using other = quirkServer(() => new Response("hi"), pki!.client);
  await assert.rejects(() => get(transport, `https://${other.host}/`), fault("certificate"));
});

Deno.test(
  { name: "C-CONN-05, C-DENO-08 only the host named insecure goes unchecked", ignore },
  async () => {
    await using server = quirkServer(() => new Response("hi"), pki!.server);
    await using other = quirkServer(() => new Response("hi"), pki!.server);
    await using transport = new Transport({ insecureHosts: [server.host] });
    assert.equal(await get(transport, `https://${server.host}/`), "hi");
    await assert.rejects(() => get(transport, `https://${other.host}/`), fault("certificate"));
  },
);

Deno.test({ name: "C-CONN-04 a client certificate goes to its host", ignore }, async () => {
  const dir = await Deno.makeTempDir({ prefix: "wherry-mtls-" });
  for (const [name, pem] of [["c", pki!.server.cert], ["k", pki!.server.key], ["a", pki!.ca]]) {
    await Deno.writeTextFile(`${dir}/${name}`, pem!);
  }
  const child = new Deno.Command("openssl", {
    args: [
      "s_server",
      "-accept",
      "127.0.0.1:0",
      "-cert",
      "c",
      "-key",
      "k",
      "-CAfile",
      "a",
      "-Verify",
      "1",
      "-verify_return_error",
      "-www",
    ],
    cwd: dir,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const listening = Promise.withResolvers<number>();
  const reading = (async () => {
    let text = "";
    for await (const chunk of child.stdout) {
      text += new TextDecoder().decode(chunk);
      const match = /ACCEPT 127\.0\.0\.1:(\d+)/.exec(text);
      if (match) listening.resolve(Number(match[1]));
    }
    listening.reject(new Error(text));
  })();
  try {
    const host = `localhost:${await listening.promise}`;
    await using transport = new Transport({
      hosts: { [host]: { caCerts: [pki!.ca], ...pki!.client } },
    });
    const answer = await transport.exchange({
      method: "GET",
      target: parseTarget(`https://${host}/`),
    });
    assert.match(new TextDecoder().decode(await collect(answer.body, 100_000)), /CN ?= ?client/);
    await using without = new Transport({ caCerts: [pki!.ca] });
    await assert.rejects(() => get(without, `https://${host}/`));
  } finally {
    child.kill("SIGKILL");
    await child.stdin.close().catch(() => {});
    await reading;
    await child.status;
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test({ name: "C-CONN-02 a handshake tells https from http", ignore }, async () => {
  await using secure = quirkServer(() => new Response("hi"), pki!.server);
  await using plain = quirkServer(() => new Response("hi"));
  await using transport = new Transport();
  assert.equal(await transport.speaksTls(parseTarget(`https://${secure.host}/`)), true);
  assert.equal(await transport.speaksTls(parseTarget(`https://${plain.host}/`)), false);
  await assert.rejects(
    () => transport.speaksTls(parseTarget("https://127.0.0.1:1/")),
    fault("connect"),
  );
});

Deno.test(
  { name: "C-CONN-06 https goes through a tunnel, http to the proxy itself", ignore },
  async () => {
    await using server = quirkServer(() => new Response("hi"), pki!.server);
    const lines: string[] = [];
    const credentials: (string | undefined)[] = [];
    await using proxy = rawServer(async (connection, head) => {
      lines.push(head.split("\r\n")[0]!);
      credentials.push(/proxy-authorization: (.*)\r/i.exec(head)?.[1]);
      if (!head.startsWith("CONNECT")) {
        return await say(
          connection,
          "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nplain",
        );
      }
      const [hostname, port] = server.host.split(":");
      using up = await Deno.connect({ hostname: hostname!, port: Number(port) });
      await say(connection, "HTTP/1.1 200 OK\r\n\r\n");
      await Promise.all([pump(connection, up), pump(up, connection)]);
    });
    // A name nobody resolves: only the proxy needs to know it. Its certificate is for localhost, so it is not checked.
    const transport = new Transport({
      insecureHosts: ["far.example"],
      proxy: { https: `http://me:p%40ss@${proxy.host}`, http: proxy.host },
    });
    assert.equal(await get(transport, "https://far.example/a"), "hi");
    assert.equal(await get(transport, "https://far.example/b"), "hi");
    assert.equal(await get(transport, "http://far.example/c?d"), "plain");
    await transport.close();
    assert.deepEqual(lines, [
      "CONNECT far.example:443 HTTP/1.1",
      "GET http://far.example/c?d HTTP/1.1",
    ]);
    assert.deepEqual(credentials, [`Basic ${btoa("me:p@ss")}`, undefined]);
    assert.deepEqual(server.calls(), ["GET /a", "GET /b"]);
  },
);

Deno.test("C-CONN-06 a proxy that refuses is named, without its password", async () => {
  await using proxy = rawServer((connection) =>
    say(connection, "HTTP/1.1 407 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
  );
  await using transport = new Transport({ proxy: { https: `http://me:hush@${proxy.host}` } });
  await assert.rejects(() => get(transport, "https://far.example/"), (error: Error) => {
    assert.match(
      error.message,
      /^Cannot reach far\.example: the proxy 127\.0\.0\.1:\d+ answered 407$/,
    );
    return true;
  });
});

Deno.test("C-CONN-06 a proxy that says nothing is not waited for", async () => {
  const asked = Promise.withResolvers<void>();
  await using proxy = rawServer(async (connection) => {
    asked.resolve();
    while (await connection.read(new Uint8Array(64)) !== null);
  });
  await using transport = new Transport({ proxy: { https: proxy.host } });
  const target = parseTarget("https://far.example/");
  const stop = new AbortController();
  const waiting = transport.exchange({ method: "GET", target, signal: stop.signal });
  await asked.promise;
  stop.abort(new Error("stopped"));
  await assert.rejects(() => waiting, /stopped/);
});

Deno.test("N-04, C-DENO-07 a host we were sent to may not be nearer than the registry", async () => {
  await using server = quirkServer(() => new Response("hi"));
  const port = server.host.split(":")[1]!;
  const ask = (transport: Transport, host: string, guard: 0 | 1 | 2) =>
    transport.exchange({ method: "GET", target: parseTarget(`http://${host}:${port}/`), guard });
  await using transport = new Transport();
  for (
    const host of ["127.0.0.1", "localhost", "0.0.0.0", "2130706433", "[::ffff:127.0.0.1]", "127.1"]
  ) {
    await assert.rejects(() => ask(transport, host, 0), fault("blocked"), host);
  }
  assert.equal(server.seen.length, 0);
  await discard(await ask(transport, "127.0.0.1", 2));
  await using trusting = new Transport({ trustedHosts: ["127.0.0.1"] });
  await discard(await ask(trusting, "127.0.0.1", 0));
  assert.equal(server.seen.length, 2);
});

Deno.test("C-CONN-07 connections are kept; requests and bytes are counted", async () => {
  await using server = quirkServer(() => new Response("hi"));
  await using transport = new Transport();
  for (let at = 0; at < 3; at++) assert.equal(await get(transport, `http://${server.host}/`), "hi");
  const { requests, bytesReceived } = transport.stats()[server.host]!;
  assert.equal(new Set(server.seen.map(({ peer }) => peer)).size, 1);
  assert.deepEqual({ requests, bytesReceived }, { requests: 3, bytesReceived: 6 });
});

Deno.test("an abort ends a request that waits, and a body that is read", async () => {
  const gate = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  await using server = rawServer(async (connection, head) => {
    if (head.includes("/body")) {
      await say(connection, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc");
    }
    asked.resolve();
    await gate.promise;
  });
  await using transport = new Transport();
  const waiting = new AbortController();
  const request = {
    method: "GET",
    target: parseTarget(`http://${server.host}/`),
    signal: waiting.signal,
  };
  const answer = transport.exchange(request);
  await asked.promise;
  waiting.abort(new Error("enough"));
  await assert.rejects(() => answer, /enough/);
  const reading = new AbortController();
  const { body } = await transport.exchange({
    ...request,
    target: parseTarget(`http://${server.host}/body`),
    signal: reading.signal,
  });
  const reader = body.getReader();
  assert.equal((await reader.read()).value?.byteLength, 3);
  const next = reader.read();
  reading.abort(new Error("stop"));
  await assert.rejects(() => next, /stop/);
  gate.resolve();
});

Deno.test("an answer before the body has left ends the body", async () => {
  await using server = rawServer((connection) =>
    say(connection, "HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\nno").then(() =>
      awayFrom(connection)
    )
  );
  await using transport = new Transport();
  let cancelled = false;
  const answer = await transport.exchange({
    method: "PUT",
    target: parseTarget(`http://${server.host}/`),
    body: {
      size: 1 << 30,
      open: () =>
        Promise.resolve(
          new ReadableStream({
            pull: (controller) => controller.enqueue(new Uint8Array(65536)),
            cancel: () => void (cancelled = true),
          }),
        ),
    },
  });
  assert.equal(answer.status, 401);
  assert.equal(new TextDecoder().decode(await collect(answer.body, 10)), "no");
  assert(cancelled);
});

async function pump(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(65536);
  try {
    for (let got = await from.read(buffer); got !== null; got = await from.read(buffer)) {
      await say(to, buffer.subarray(0, got));
    }
    await to.closeWrite();
  } catch {
    // One side is gone.
  }
}

async function awayFrom(connection: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(65536);
  while (await connection.read(buffer) !== null);
}
