/** clients that keep a server waiting. */
import { equal, match, ok } from "node:assert/strict";
import { memoryRegistry } from "../../memory.ts";
import { createServer } from "../server.ts";
import { serve } from "../serve.ts";
import { makePki } from "../../client/pki_testing.ts";
import { echo, listenWith, RawClient, says, textOf } from "./http_testing.ts";
import { limitsOf, Pace, type Patience, TooSlow } from "./pace.ts";

function watch(patience: Patience) {
  const late: TooSlow[] = [];
  const clock = { now: 0 };
  const pace = new Pace(limitsOf({ ...patience, now: () => clock.now }), "came");
  const begin = (most: number, rated = true) => pace.begin(most, rated, (why) => late.push(why));
  return { late, clock, pace, begin };
}

Deno.test("R-06 a pause that is too long is noticed once", () => {
  const { late, clock, pace, begin } = watch({});
  begin(1000);
  clock.now = 999;
  pace.look();
  equal(late.length, 0);
  clock.now = 1000;
  pace.look();
  pace.look();
  equal(late.length, 1);
  ok(late[0] instanceof TooSlow);
  equal(late[0].status, 408);
});

Deno.test("R-06 a trickle is noticed when its grace is over, also behind a flood", () => {
  const { late, clock, pace, begin } = watch({ graceMs: 10_000, minBytesPerSecond: 100 });
  begin(1000);
  pace.end(50_000_000);
  let begun = 0;
  while (late.length === 0 && clock.now < 100_000) {
    begin(1000);
    clock.now += 900; // one byte each 0.9 s never idles
    pace.look();
    pace.end(1);
    begun++;
  }
  ok(clock.now >= 10_000 && clock.now <= 22_000, `${clock.now}`);
  match(late[0]!.message, /^Cannot wait: \d+ bytes per second are too few$/);
  ok(begun > 10);
});

Deno.test("R-06 the server's own slowness is not the client's", () => {
  const { late, clock, pace, begin } = watch({ idleMs: 1000, graceMs: 1000 });
  for (let at = 0; at < 50; at++) {
    begin(1000);
    pace.look();
    pace.end(10);
    clock.now += 60_000; // the disk is slow
    pace.look();
  }
  equal(late.length, 0);
});

/** A clock that stands until it is told to go: how long a loaded machine takes before that is nobody's fault. */
function stoppedClock() {
  let since: number | undefined;
  return {
    now: () => since === undefined ? 0 : performance.now() - since,
    go: () => void (since ??= performance.now()),
  };
}

Deno.test("R-06 over a socket: a head that does not go on gets 408, nothing at all gets nothing", async () => {
  const { now, go } = stoppedClock();
  await using listening = await listenWith(echo, { patience: { headMs: 30, now } });
  using silent = await RawClient.connect(listening);
  {
    using client = await RawClient.connect(listening);
    await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: ");
    equal((await client.answer()).status, 200); // so what came behind it is here too
    go();
    const { status, head } = await client.answer();
    equal(status, 408);
    match(head, /\r\nconnection: close\r\n/);
  }
  equal(await silent.all(), "");
});

Deno.test("R-06 over a socket: a head has to end in time, however often a byte comes", async () => {
  const { now, go } = stoppedClock();
  await using listening = await listenWith(echo, { patience: { headMs: 60, now } });
  using client = await RawClient.connect(listening);
  await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nG");
  equal((await client.answer()).status, 200);
  go();
  const answer = client.answer();
  let done = false;
  answer.finally(() => done = true);
  await client.send("ET / HTTP/1.1\r\nHost: x\r\nX: ");
  while (!done) {
    await client.send("y").catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 5)); // a trickle is made of pauses
  }
  equal((await answer).status, 408);
});

Deno.test("R-06 over a socket: a connection that lies idle is closed", async () => {
  const { now, go } = stoppedClock();
  await using listening = await listenWith(echo, { patience: { keepMs: 30, now } });
  using client = await RawClient.connect(listening);
  await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  equal((await client.answer()).status, 200);
  go();
  equal(await client.all(), "");
});

Deno.test("R-06 over a socket: a client that stops in its body gets 408 on every route", async () => {
  const server = createServer(memoryRegistry());
  await using listening = await serve(server, {
    listen: { hostname: "127.0.0.1", port: 0 },
    patience: { idleMs: 50 },
  });
  for (
    const request of [
      "PUT /v2/app/manifests/v1",
      `POST /v2/app/blobs/uploads/?digest=sha256:${"a".repeat(64)}`,
    ]
  ) {
    for (
      const body of ["content-length: 1000\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n5"]
    ) {
      using client = await RawClient.connect(listening);
      await client.send(`${request} HTTP/1.1\r\nhost: x\r\n${body}`);
      const answer = await client.answer();
      equal(answer.status, 408);
      equal(JSON.parse(answer.body).errors[0].code, "BLOB_UPLOAD_INVALID");
    }
  }
});

Deno.test("R-06 over a socket: who does not read holds no file open", async () => {
  const path = await Deno.makeTempFile();
  await Deno.truncate(path, 1e9);
  const dropped = Promise.withResolvers<void>();
  await using listening = await listenWith(async () => {
    const file = await Deno.open(path);
    const close = file.close.bind(file);
    file.close = () => {
      close();
      dropped.resolve();
    };
    return { status: 200, headers: {}, body: { file, offset: 0, length: 1e9 } };
  }, { patience: { idleMs: 50 } });
  using client = await RawClient.connect(listening);
  await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await dropped.promise;
  await Deno.remove(path);
});

Deno.test("R-06 over a socket: a body in time comes through", async () => {
  await using listening = await listenWith(async (ask) => says(await textOf(ask)), {
    patience: { idleMs: 5_000 },
  });
  using client = await RawClient.connect(listening);
  await client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n");
  await client.send("x".repeat(300_000));
  equal((await client.answer()).body.length, 300_000);
});

const pki = await makePki();

for (const clientCa of [undefined, pki?.ca]) {
  const whom = clientCa === undefined ? "everybody" : "clients with certificates";
  Deno.test({
    name: `R-06 over TLS for ${whom}: who does not finish the handshake holds nobody up`,
    ignore: pki === undefined,
    async fn() {
      const { cert, key } = pki!.server;
      // Meanwhile others get in, and it may stay as long as it pleases the server.
      for (const headMs of [600_000, 100]) {
        await using listening = await listenWith(echo, {
          tls: { cert, key, clientCa },
          patience: { headMs },
        });
        using silent = await RawClient.connect(listening);
        using odd = await RawClient.connect(listening);
        await odd.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        if (headMs > 100) {
          using client = Deno.createHttpClient({ caCerts: [pki!.ca], ...pki!.client });
          const response = await fetch(`${listening.url}/x`, { client });
          equal(await response.text(), "GET /x ");
        } else {
          await odd.all();
          equal(await silent.all(), "");
        }
      }
    },
  });
}
