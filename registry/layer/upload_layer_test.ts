import { deepEqual, equal, rejects } from "node:assert/strict";
import { openStore } from "../store/store.ts";
import { readAll } from "../source.ts";
import { filesLayer } from "./fixed_layers.ts";
import { uploadLayer, writeLayer } from "./write_layer.ts";

const text = new TextEncoder().encode("some words and more words\n".repeat(20_000));
const entries = filesLayer(new Map([["/a/file", text]]), { owner: { uid: 1000, gid: 1000 } });

async function tempStore() {
  const dir = await Deno.makeTempDir({ prefix: "wherry-test-" });
  const store = await openStore(`${dir}/store`);
  return {
    store,
    blobs: `${dir}/store/blobs/sha256`,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

Deno.test("a layer that is uploaded has the digest of one that is written", async () => {
  await using temp = await tempStore();
  for (const compression of ["gzip", "zstd", "none"] as const) {
    const upload = await temp.store.upload("layers");
    const uploaded = await uploadLayer(entries, upload, { compression });
    const chunks: Uint8Array[] = [];
    const sink = {
      write: (chunk: Uint8Array) => {
        chunks.push(chunk.slice());
        return Promise.resolve();
      },
    };
    deepEqual(uploaded, await writeLayer(entries, sink, { compression }));
    const { digest, size } = uploaded.descriptor;
    const stored = await temp.store.blob("layers", digest);
    equal((await readAll(stored!, 2 ** 24)).byteLength, size);
    equal(upload.size, size);
  }
});

Deno.test("bytes of a store are hashed as they are read, unless the reader says it will", async () => {
  await using temp = await tempStore();
  const upload = await temp.store.upload("layers");
  const { descriptor: { digest, size } } = await uploadLayer(entries, upload, {
    compression: "none",
  });
  const hex = digest.slice("sha256:".length);
  const path = `${temp.blobs}/${hex.slice(0, 2)}/${hex}`;
  await Deno.chmod(path, 0o644);
  using file = await Deno.open(path, { write: true });
  await file.write(new Uint8Array([1]));
  const unchecked = await temp.store.blob("layers", digest, { verify: false });
  equal((await readAll(unchecked!, 2 ** 24)).byteLength, size);
  const checked = await temp.store.blob("layers", digest);
  await rejects(readAll(checked!, 2 ** 24), /its bytes have digest/);
});
