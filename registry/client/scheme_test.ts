import { equal, ok, rejects } from "node:assert/strict";
import { digestOf } from "../oci/digest.ts";
import { bytesSource } from "../source.ts";
import { connectRegistry } from "./client.ts";
import { makePki } from "./pki_testing.ts";
import { quirkServer } from "./quirk_testing.ts";

const pki = await makePki();
const bytes = new TextEncoder().encode("blob");
const descriptor = { mediaType: "x/y", digest: digestOf(bytes), size: bytes.byteLength };

/** A port that reads what is said first on each connection, says `answer` and closes. */
function listen(answer: (first: Uint8Array) => Uint8Array | undefined) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const seen: string[] = [];
  const done = (async () => {
    for await (const wire of listener) {
      const first = new Uint8Array(2000);
      const length = await wire.read(first) ?? 0;
      seen.push(new TextDecoder("latin1").decode(first.subarray(0, length)));
      const said = answer(first);
      if (said !== undefined) await wire.write(said);
      wire.close();
    }
  })();
  return {
    host: `127.0.0.1:${(listener.addr as Deno.NetAddr).port}`,
    seen,
    async [Symbol.asyncDispose]() {
      listener.close();
      await done;
    },
  };
}

const TLS_HANDSHAKE = 22;
const NOT_HTTPS = new TextEncoder().encode(
  "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
);

Deno.test("C-CONN-02 a registry of this machine gets its first request at once, without a handshake before", async () => {
  await using server = quirkServer(() => new Response(null, { status: 404 }));
  await using registry = connectRegistry(server.host);
  equal(await registry.manifest("app", "1"), undefined);
  equal(new Set(server.seen.map(({ peer }) => peer)).size, 1);
  equal(server.calls().join(), "GET /v2/app/manifests/1");
});

Deno.test("C-CONN-02 one that wants TLS says so in many ways: it is asked with a handshake then", async () => {
  for (
    const answer of [() => undefined, () => NOT_HTTPS, () => Uint8Array.of(21, 3, 1, 0, 2, 2, 70)]
  ) {
    await using server = listen((first) =>
      first[0] === TLS_HANDSHAKE ? Uint8Array.of(21, 3, 1, 0, 2, 2, 40) : answer()
    );
    await using registry = connectRegistry(server.host, { retry: { tries: 1 } });
    await rejects(() => registry.manifest("app", "1"), /Cannot read .*app:1: /);
    equal(server.seen[0]!.startsWith("GET /v2/app/manifests/1 HTTP/1.1\r\n"), true);
    equal(server.seen[1]!.charCodeAt(0), TLS_HANDSHAKE);
    equal(server.seen.slice(1).every((one) => one.charCodeAt(0) === TLS_HANDSHAKE), true);
  }
});

Deno.test("C-CONN-02 what is written, or has a secret, does not go by presumption: a handshake comes first", async () => {
  await using server = listen(() => undefined);
  await using registry = connectRegistry(server.host, { retry: { tries: 1 } });
  const push = () => registry.pushBlob("app", descriptor, bytesSource(bytes), { fresh: true });
  await rejects(push);
  equal(server.seen[0]!.charCodeAt(0), TLS_HANDSHAKE);
});

Deno.test({
  name: "C-CONN-02 two first requests at once, to one that speaks TLS after all",
  ignore: pki === undefined,
}, async () => {
  await using server = quirkServer(() => new Response(null, { status: 404 }), pki!.server);
  await using registry = connectRegistry(server.host, { caCerts: [pki!.ca] });
  registry.foresee([{ repository: "app", write: true }, { repository: "run", write: false }]);
  const both = [registry.manifest("app", "1"), registry.manifest("run", "1")];
  equal((await Promise.all(both)).join(), ",");
  equal(server.seen.length, 2);
});

Deno.test("C-CONN-02 who is stopped while it is looked for TLS need not wait for that", async () => {
  const looking = Promise.withResolvers<void>();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const wires: Deno.Conn[] = [];
  const serving = (async () => {
    for await (const wire of listener) {
      wires.push(wire);
      await wire.read(new Uint8Array(2000));
      if (wires.length === 1) wire.close(); // no answer: a look is worth it, which then meets silence
      else looking.resolve();
    }
  })();
  {
    await using registry = connectRegistry(`127.0.0.1:${listener.addr.port}`);
    const stop = new AbortController();
    const asking = registry.manifest("app", "1", { signal: stop.signal });
    await looking.promise;
    let tenths = 0;
    const counting = setInterval(() => tenths++, 100); // not a clock: this machine may stand still meanwhile
    stop.abort(new Error("stopped"));
    await rejects(() => asking, /stopped/);
    clearInterval(counting);
    ok(tenths < 20, "a look takes 3 s where nobody answers");
  }
  listener.close();
  await serving;
  for (const wire of wires.slice(1)) wire.close();
});
