import assert from "node:assert/strict";
import { CHECKED } from "../expectation.ts";
import { encodeJson } from "../image.ts";
import { digestOf } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { MediaType } from "../oci/media_type.ts";
import { connectRegistry } from "./client.ts";
import { errorBody, quirkServer, type Seen } from "./quirk_testing.ts";

const FAST = { retry: { baseMs: 1 } };

function indexOf(name: string) {
  const document = {
    schemaVersion: 2,
    mediaType: MediaType.ociIndex,
    manifests: [],
    annotations: { name },
  };
  const bytes = encodeJson(document);
  return { mediaType: MediaType.ociIndex, bytes, digest: digestOf(bytes) };
}

const [old, ours, theirs] = ["old", "ours", "theirs"].map(indexOf) as [
  ReturnType<typeof indexOf>,
  ReturnType<typeof indexOf>,
  ReturnType<typeof indexOf>,
];

/** One tag, as most registries have it; `trouble` may answer for it, before it moves or after. */
function tagServer(
  trouble: (
    tag: { bytes: Uint8Array | undefined },
    seen: Seen,
    put: number,
  ) => Response | undefined,
  looks = false,
) {
  const tag: { bytes: Uint8Array | undefined } = { bytes: old.bytes };
  let puts = 0;
  const server = quirkServer((seen) => {
    if (seen.method === "PUT") {
      const answer = trouble(tag, seen, ++puts);
      if (answer !== undefined) return answer;
      if (looks && seen.headers.has("if-none-match") && tag.bytes !== undefined) {
        const detail = { tag: "1", digest: digestOf(new Uint8Array(tag.bytes)) };
        return Response.json({
          errors: [{ code: "PRECONDITION_FAILED", message: "no", detail }],
        }, { status: 412 });
      }
      tag.bytes = seen.body;
      return new Response(null, { status: 201, headers: looks ? { [CHECKED]: "1" } : {} });
    }
    if (tag.bytes === undefined) return errorBody(404, "MANIFEST_UNKNOWN", "no");
    const bytes = new Uint8Array(tag.bytes);
    return new Response(seen.method === "HEAD" ? null : bytes, {
      headers: {
        "content-type": MediaType.ociIndex,
        "content-length": String(bytes.byteLength),
        "docker-content-digest": digestOf(bytes),
      },
    });
  });
  return { server, tag, puts: () => puts };
}

Deno.test("C-PUT-06 a tag that somebody moves while the registry wants to be left alone is not overwritten", async () => {
  const it = tagServer((tag, _, nth) => {
    if (nth > 1) return undefined;
    tag.bytes = theirs.bytes;
    return new Response(null, { status: 429, headers: { "retry-after": "0" } });
  });
  await using server = it.server;
  await using registry = connectRegistry(server.host, FAST);
  const expect = [{ tag: "1", is: [old.digest] }];
  await assert.rejects(
    () => registry.pushManifest("app", ours, { tags: ["1"], expect }),
    (error) => isOciError(error, "PRECONDITION_FAILED"),
  );
  assert.equal(it.puts(), 1);
  assert.deepEqual(it.tag.bytes, theirs.bytes);
});

Deno.test("C-PUT-06 a put that has to wait for its turn looks again when it leaves", async () => {
  let now = 0;
  const it = tagServer(() => undefined);
  await using server = it.server;
  await using registry = connectRegistry(server.host, {
    now: () => now,
    maxSmall: 1,
    perSecond: 1,
    retry: {
      wait: (ms) => {
        now += ms;
        it.tag.bytes = theirs.bytes; // meanwhile
        return Promise.resolve();
      },
    },
  });
  const expect = [{ tag: "1", is: [old.digest] }];
  await assert.rejects(
    () => registry.pushManifest("app", ours, { tags: ["1"], expect }),
    (error) => isOciError(error, "PRECONDITION_FAILED"),
  );
  assert.deepEqual(it.tag.bytes, theirs.bytes);
});

Deno.test("C-PUT-06 a put whose answer was lost is done, whether the tag was to be there or not, and the registry looks or not", async () => {
  for (const looks of [false, true]) {
    for (const is of [[old.digest], "absent"] as const) {
      const it = tagServer((tag, { body }, nth) => {
        if (nth > 1) return undefined;
        tag.bytes = body;
        return new Response(null, { status: 502, headers: looks ? { [CHECKED]: "1" } : {} });
      }, looks);
      it.tag.bytes = is === "absent" ? undefined : old.bytes;
      await using server = it.server;
      await using registry = connectRegistry(server.host, FAST);
      const expect = [{ tag: "1", is }];
      const { digest } = await registry.pushManifest("app", ours, { tags: ["1"], expect });
      assert.equal(digest, ours.digest);
      assert.deepEqual(it.tag.bytes, ours.bytes);
    }
  }
});
