/** clients that keep a server waiting. */
import { equal, match, ok, rejects } from "node:assert/strict";
import { memoryRegistry } from "../memory.ts";
import { sampleBytes } from "../registry_suite_testing.ts";
import { collect } from "../source.ts";
import { createServer } from "./server.ts";
import { serve } from "./serve.ts";
import { patientAnswer, patientBody, TooSlow } from "./slow_client.ts";

type Bytes = ReadableStream<Uint8Array<ArrayBuffer>>;

Deno.test("R-06 a body in time comes through as it is", async () => {
  const bytes = sampleBytes(300_000);
  const body = new Blob([bytes]).stream() as Bytes;
  equal((await collect(patientBody(body), 1e9)).byteLength, bytes.byteLength);
});

Deno.test("R-06 a body that stops is given up, and its source let go", async () => {
  let cancelled: unknown;
  const body: Bytes = new ReadableStream({
    start: (controller) => controller.enqueue(sampleBytes(10)),
    cancel: (reason) => {
      cancelled = reason;
    },
  });
  const reader = patientBody(body, { idleMs: 10 }).getReader();
  equal((await reader.read()).value?.byteLength, 10);
  await rejects(reader.read(), (error) => {
    ok(error instanceof TooSlow);
    equal(error.status, 408);
    return true;
  });
  ok(cancelled instanceof TooSlow);
});

Deno.test("R-06 a trickle is given up when its grace is over", async () => {
  let now = 0;
  const body: Bytes = new ReadableStream({
    pull(controller) {
      now += 900; // one byte each 0.9 s never idles
      controller.enqueue(sampleBytes(1));
    },
  }, { highWaterMark: 0 });
  const patient = patientBody(body, { idleMs: 1000, graceMs: 10_000, now: () => now });
  await rejects(collect(patient, 1e9), TooSlow);
  ok(now >= 10_000 && now < 11_000, `${now}`);
});

Deno.test("R-06 the server's own slowness is not the client's", async () => {
  let now = 0;
  const body: Bytes = new ReadableStream({
    pull: (controller) => controller.enqueue(sampleBytes(10)),
  }, { highWaterMark: 0 });
  const reader = patientBody(body, { idleMs: 1000, graceMs: 1000, now: () => now }).getReader();
  for (let at = 0; at < 50; at++) {
    ok(!(await reader.read()).done);
    now += 60_000; // the disk is slow
  }
  await reader.cancel();
});

Deno.test("R-06 a body that nobody reads stays untouched", async () => {
  const body = new Blob([sampleBytes(10)]).stream() as Bytes;
  const patient = patientBody(body);
  equal(body.locked, false);
  await patient.cancel();
});

Deno.test("R-06 an answer nobody takes lets its source go", async () => {
  const gone = Promise.withResolvers<unknown>();
  const source: Bytes = new ReadableStream({
    pull: (controller) => controller.enqueue(sampleBytes(10)),
    cancel: gone.resolve,
  }, { highWaterMark: 0 });
  const reader = patientAnswer(source, { idleMs: 10 }).getReader();
  await reader.read();
  ok(await gone.promise instanceof TooSlow);
  await rejects(reader.read(), TooSlow);
});

Deno.test("R-06 over a socket a client that stops in its body gets 408 and holds no upload back", async () => {
  const registry = memoryRegistry();
  const server = createServer(registry, { patience: { idleMs: 50 } });
  await using listening = await serve(server, { listen: { hostname: "127.0.0.1", port: 0 } });
  const { address } = listening;
  ok("port" in address);
  for (
    const [head, code] of [
      ["PUT /v2/app/manifests/v1", "BLOB_UPLOAD_INVALID"],
      [`POST /v2/app/blobs/uploads/?digest=sha256:${"a".repeat(64)}`, "BLOB_UPLOAD_INVALID"],
    ] as const
  ) {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: address.port });
    await connection.write(
      new TextEncoder().encode(
        `${head} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nhello`,
      ),
    );
    const buffer = new Uint8Array(4096);
    const text = new TextDecoder().decode(buffer.subarray(0, await connection.read(buffer) ?? 0));
    match(text, /^HTTP\/1\.1 408 /);
    match(text, new RegExp(code));
  }
});
