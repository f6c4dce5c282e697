/** A long blob by several requests at once (C-DL-04). */
import assert from "node:assert/strict";
import { digestOf } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { sampleBytes } from "../registry_suite_testing.ts";
import { readAll } from "../source.ts";
import { connectRegistry } from "./client.ts";
import type { ClientOptions } from "./options.ts";
import { type QuirkServer, quirkServer } from "./quirk_testing.ts";
import { RANGE_BYTES } from "./ranges.ts";

const LONG = sampleBytes(4 * RANGE_BYTES + 12_345);
const DIGEST = digestOf(LONG);
/** A clock by which every answer is slow. */
function slowly(): () => number {
  let now = 0;
  return () => now += 300;
}
const FAST: ClientOptions = { retry: { baseMs: 1 }, rangesFrom: RANGE_BYTES, now: slowly() };

/** Serves {@linkcode LONG}; `change` may answer a part in another way. */
function ranged(
  change: (from: number, nth: number) => Response | Promise<Response> | undefined = () => undefined,
): QuirkServer & { readonly parts: () => string[] } {
  const server = quirkServer(({ headers }, nth) => {
    const match = /^bytes=(\d+)-(\d*)$/.exec(headers.get("range") ?? "");
    if (match === null) {
      return new Response(LONG, {
        headers: { "accept-ranges": "bytes", "content-length": String(LONG.byteLength) },
      });
    }
    const from = Number(match[1]);
    const to = match[2] === "" ? LONG.byteLength - 1 : Number(match[2]);
    return change(from, nth) ?? new Response(LONG.subarray(from, to + 1), {
      status: 206,
      headers: { "content-range": `bytes ${from}-${to}/${LONG.byteLength}` },
    });
  });
  return Object.assign(server, {
    parts: () => server.seen.map(({ headers }) => headers.get("range") ?? "whole"),
  });
}

async function read(server: QuirkServer, options: ClientOptions = FAST, reuse = false) {
  await using registry = connectRegistry(server.host, options);
  const source = await registry.blob("app", DIGEST);
  if (!reuse) return await readAll(source!, LONG.byteLength);
  const all = new Uint8Array(LONG.byteLength);
  let at = 0;
  for await (const chunk of await source!.open({ reuse: true })) {
    assert.ok(chunk.byteLength <= 1024 * 1024);
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}

Deno.test("C-DL-04 a long blob comes in parts, in order, and is verified as a whole", async () => {
  for (const reuse of [false, true]) {
    await using server = ranged();
    assert.equal(digestOf(await read(server, FAST, reuse)), DIGEST);
    const end = LONG.byteLength - 1;
    assert.deepEqual(
      new Set(server.parts()),
      new Set([
        "whole",
        ...[2, 3].map((at) => `bytes=${at * RANGE_BYTES}-${(at + 1) * RANGE_BYTES - 1}`),
        `bytes=${4 * RANGE_BYTES}-${end}`,
      ]),
    );
    assert.equal(server.seen.length, 4);
  }
});

Deno.test("C-DL-04 parts are on their way while the first is read", async () => {
  let asked = 0;
  const all = Promise.withResolvers<void>();
  await using server = ranged((from) => {
    if (++asked === 3) all.resolve();
    // None is answered before all were asked for.
    return all.promise.then(() => {
      const to = Math.min(from + RANGE_BYTES, LONG.byteLength);
      return new Response(LONG.subarray(from, to), {
        status: 206,
        headers: { "content-range": `bytes ${from}-${to - 1}/${LONG.byteLength}` },
      });
    });
  });
  assert.equal(digestOf(await read(server)), DIGEST);
});

Deno.test("C-DL-04 what one connection brings fast enough is read by one", async () => {
  await using server = ranged();
  assert.equal(digestOf(await read(server, { ...FAST, now: () => 0 })), DIGEST);
  assert.deepEqual(server.parts(), ["whole"]);
});

Deno.test("C-DL-04 short blobs, and registries that say nothing of ranges, are read as one", async () => {
  await using short = ranged();
  assert.equal(digestOf(await read(short, { ...FAST, rangesFrom: LONG.byteLength + 1 })), DIGEST);
  assert.deepEqual(short.parts(), ["whole"]);
  await using silent = quirkServer(() => new Response(LONG));
  assert.equal(digestOf(await read(silent)), DIGEST);
  assert.equal(silent.seen.length, 1);
});

Deno.test("C-DL-04 no more bulk requests than a registry is asked at once", async () => {
  await using server = ranged();
  assert.equal(digestOf(await read(server, { ...FAST, maxBulk: 1 })), DIGEST);
  assert.deepEqual(server.parts(), ["whole"]);
});

Deno.test("C-DL-04 a part that is refused, or is another one, is read behind what came as one", async () => {
  for (
    const wrong of [
      () => new Response(null, { status: 416 }),
      () => new Response(LONG),
      () => new Response("ab", { status: 206, headers: { "content-range": "bytes 0-1/2" } }),
    ]
  ) {
    let refused = 0;
    await using server = ranged((from) => {
      if (from !== 2 * RANGE_BYTES || refused++ > 0) return undefined;
      return wrong();
    });
    assert.equal(digestOf(await read(server)), DIGEST);
    assert.ok(server.parts().includes(`bytes=${2 * RANGE_BYTES}-`), server.parts().join());
  }
});

Deno.test("C-DL-04, C-DL-01 a part with other bytes is an error at the end", async () => {
  await using server = ranged((from) =>
    from !== 2 * RANGE_BYTES ? undefined : new Response(new Uint8Array(RANGE_BYTES), {
      status: 206,
      headers: { "content-range": `bytes ${from}-${from + RANGE_BYTES - 1}/${LONG.byteLength}` },
    })
  );
  await assert.rejects(() => read(server), (error) => isOciError(error, "DIGEST_INVALID"));
});

Deno.test("C-DL-04 who leaves early lets all parts go", async () => {
  const hung = Promise.withResolvers<Response>();
  let asked = 0;
  const all = Promise.withResolvers<void>();
  await using server = ranged(() => {
    if (++asked === 3) all.resolve();
    return hung.promise;
  });
  await using registry = connectRegistry(server.host, FAST);
  const source = await registry.blob("app", DIGEST);
  const reader = (await source!.open()).getReader();
  await readOn(reader);
  await all.promise;
  await reader.cancel();
  const stop = new AbortController();
  const again = (await source!.open({ signal: stop.signal })).getReader();
  await readOn(again);
  stop.abort(new Error("enough"));
  await again.cancel();
  hung.resolve(new Response(null, { status: 503 }));
});

/** Reads until parts are on their way. */
async function readOn(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  for (let got = 0; got <= RANGE_BYTES;) got += (await reader.read()).value!.byteLength;
  await reader.read();
}
