import { deepEqual, equal, rejects } from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { digestOf } from "../oci/digest.ts";
import { fileSource } from "../source.ts";
import { eachChunk } from "./file_chunks.ts";
import { walkTar } from "./tar_reader.ts";
import { joined, tarOf } from "./tar_testing.ts";

async function tempFile(bytes: Uint8Array): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempFile({ prefix: "wherry-test-" });
  await Deno.writeFile(path, bytes);
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path) };
}

Deno.test("the chunks of a file are the file", async () => {
  for (const size of [0, 1, 256 * 1024, 256 * 1024 + 1, 3_000_000]) {
    const bytes = new Uint8Array(size).map((_, at) => at * 7);
    await using file = await tempFile(bytes);
    const chunks: Uint8Array[] = [];
    await eachChunk(file.path, (chunk) => chunks.push(chunk.slice()));
    equal(digestOf(joined(...chunks)), digestOf(bytes));
  }
});

Deno.test("reading a file ends at an abort and lets timers run", async () => {
  await using file = await tempFile(new Uint8Array(4_000_000));
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(new Error("enough")), 1);
  const slow = () => {
    const until = performance.now() + 4;
    while (performance.now() < until); // as a disk or a hash would
  };
  await rejects(eachChunk(file.path, slow, stop.signal), /^Error: enough$/);
  clearTimeout(timer);
});

Deno.test("a tar in a file is read as one in a stream, plain and compressed", async () => {
  const tar = tarOf({ name: "/a", text: "x".repeat(1e6) }, { name: "/b", text: "hello" });
  for (const bytes of [tar, new Uint8Array(gzipSync(tar))]) {
    await using file = await tempFile(bytes);
    const names: string[] = [];
    const seen = await walkTar(fileSource(file.path, bytes.byteLength), {
      header: ({ name }) => names.push(name),
    });
    deepEqual(names, ["/a", "/b"]);
    deepEqual(seen, { entries: 2, bytes: tar.byteLength });
  }
  await using cut = await tempFile(tar.subarray(0, 700_000));
  await rejects(walkTar(fileSource(cut.path, 700_000), { header() {} }), /ends in the middle/);
});
