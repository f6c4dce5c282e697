import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { Digester, digestOf } from "../oci/digest.ts";
import { tempDir } from "../temp_testing.ts";
import { openCompressPool } from "./compress_pool.ts";
import type { TreeEntry } from "./entry.ts";
import { filesLayer } from "./fixed_layers.ts";
import { walkTar } from "./tar_reader.ts";
import { joined, streamOf } from "./tar_testing.ts";
import { walkTree } from "./tree.ts";
import { hashLayer, writeLayer, type WriteLayerOptions } from "./write_layer.ts";

const owner = { uid: 1000, gid: 1000 };

/** Text that compresses about as code does, the same on every run. */
function sampleBytes(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  let state = 1;
  for (let at = 0; at < size; at++) {
    state = Math.imul(state, 1103515245) + 12345 >>> 0;
    bytes[at] = (at & 64) === 0 ? 97 + (state >>> 28) : 32 + (at & 31);
  }
  return bytes;
}

function collector() {
  const chunks: Uint8Array[] = [];
  return {
    write: (chunk: Uint8Array) => {
      chunks.push(chunk.slice());
      return Promise.resolve();
    },
    bytes: () => joined(...chunks),
  };
}

async function write(entries: readonly TreeEntry[], options: WriteLayerOptions = {}) {
  const sink = collector();
  const layer = await writeLayer(entries, sink, options);
  return { layer, bytes: sink.bytes() };
}

const large = filesLayer(
  new Map([["/a/big", sampleBytes(5_000_000)], ["/a/small", sampleBytes(100)]]),
  { owner },
);

Deno.test("one pass gives diffID, digest and size of the very bytes that were written", async () => {
  const { layer, bytes } = await write(large);
  const plain = new Uint8Array(gunzipSync(bytes));
  deepEqual(layer, {
    diffId: digestOf(plain),
    descriptor: {
      mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
      digest: digestOf(bytes),
      size: bytes.byteLength,
    },
    tarSize: plain.byteLength,
  });
  deepEqual(await hashLayer(large), { diffId: layer.diffId, tarSize: layer.tarSize });
  equal(layer.descriptor.size < layer.tarSize / 2, true);
});

Deno.test("TA-10, C-MT-08 one gzip member with a fixed header, and system gzip takes it", async () => {
  const { bytes, layer } = await write(large);
  equal(layer.descriptor.mediaType, "application/vnd.oci.image.layer.v1.tar+gzip");
  deepEqual([...bytes.subarray(0, 10)], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
  const path = await Deno.makeTempFile({ suffix: ".gz" });
  try {
    await Deno.writeFile(path, bytes);
    const { success } = await new Deno.Command("gzip", { args: ["-t", path] }).output();
    equal(success, true);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("the same bytes whatever the number of workers, and from one's own pool", async () => {
  const digests = new Set<string>();
  for (const workers of [1, 2, 5]) {
    using pool = openCompressPool({ workers });
    for (let run = 0; run < 2; run++) digests.add(digestOf((await write(large, { pool })).bytes));
  }
  digests.add(digestOf((await write(large)).bytes));
  equal(digests.size, 1);
});

Deno.test("several layers share a pool at once", async () => {
  using pool = openCompressPool({ workers: 2 });
  const alone = await write(large, { pool });
  const together = await Promise.all([1, 2, 3, 4].map(() => write(large, { pool })));
  for (const { layer } of together) deepEqual(layer, alone.layer);
});

Deno.test("zstd and plain layers have the same diffID", async () => {
  const gzip = await write(large);
  const zstd = await write(large, { compression: "zstd" });
  const none = await write(large, { compression: "none" });
  equal(zstd.layer.diffId, gzip.layer.diffId);
  equal(none.layer.diffId, gzip.layer.diffId);
  equal(none.layer.descriptor.digest, gzip.layer.diffId);
  equal(none.layer.descriptor.mediaType, "application/vnd.oci.image.layer.v1.tar");
  equal(zstd.layer.descriptor.mediaType, "application/vnd.oci.image.layer.v1.tar+zstd");
  for (const { bytes, layer } of [gzip, zstd, none]) {
    const seen = await walkTar(streamOf(bytes, 10_007), { header() {} });
    deepEqual(seen, { entries: 3, bytes: layer.tarSize });
  }
});

Deno.test("sizes around the block boundary", async () => {
  const block = 1024 * 1024;
  for (
    const size of [
      0,
      1,
      511,
      512,
      block - 1536,
      block - 1535,
      block - 1024,
      block,
      2 * block - 1536,
    ]
  ) {
    const entries: TreeEntry[] = [
      { ...owner, name: "/f", type: "file", mode: 0o644, size, body: sampleBytes(size) },
    ];
    const { layer, bytes } = await write(entries);
    const plain = new Uint8Array(gunzipSync(bytes));
    equal(digestOf(plain), layer.diffId, `size ${size}`);
    equal(layer.tarSize, 512 + Math.ceil(size / 512) * 512 + 1024);
  }
});

Deno.test("an abort stops the writing and leaves nothing running", async () => {
  const controller = new AbortController();
  let written = 0;
  const sink = {
    write: (chunk: Uint8Array) => {
      written += chunk.byteLength;
      if (written > 100_000) controller.abort(new Error("enough"));
      return Promise.resolve();
    },
  };
  const endless = function* (): Generator<TreeEntry> {
    for (let at = 0;; at++) {
      const body = sampleBytes(100_000);
      yield { ...owner, name: `/${at}`, type: "file", mode: 0o644, size: body.byteLength, body };
    }
  };
  await rejects(writeLayer(endless(), sink, { signal: controller.signal }), /enough/);
  using pool = openCompressPool();
  await rejects(writeLayer(endless(), sink, { signal: controller.signal, pool }), /enough/);
});

Deno.test("a failing sink ends the writing with its error", async () => {
  const sink = { write: () => Promise.reject(new Error("disk full")) };
  await rejects(writeLayer(large, sink), /disk full/);
});

Deno.test("a closed pool refuses", async () => {
  const pool = openCompressPool();
  pool.close();
  await rejects(writeLayer(large, collector(), { pool }), /the pool is closed/);
});

Deno.test("a body of another size than promised is refused", async () => {
  const entry: TreeEntry = {
    ...owner,
    name: "/f",
    type: "file",
    mode: 0o644,
    size: 4,
    body: new Uint8Array(3),
  };
  await rejects(hashLayer([entry]), /changed while it was read/);
});

Deno.test("timers run while a tree of many files is written, and system tar lists the same", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  for (let at = 0; at < 3000; at++) {
    Deno.writeTextFileSync(`${dir}/${at}`, `file ${at}\n`.repeat(50));
  }
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1); // due whenever a slice of 3 ms has ended
  const place = { outside: dir, inside: "/layers/many" };
  const { bytes, layer } = await write([...walkTree(place, { owner })]);
  const slices = await hashLayer(walkTree(place, { owner }));
  clearInterval(timer);
  ok(ticks > 0, "no timer ran");
  equal(slices.diffId, layer.diffId);
  const path = `${dir}/out.tgz`;
  await Deno.writeFile(path, bytes);
  const { stdout } = await new Deno.Command("tar", { args: ["-tzPf", path] }).output();
  const names = new TextDecoder().decode(stdout).trim().split("\n");
  equal(names.length, 3002);
  equal(names[0], "/layers");
});

Deno.test("hashing a file from disk gives what hashing it from memory gives", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const body = sampleBytes(3_000_000);
  await Deno.writeFile(`${dir}/f`, body, { mode: 0o644 });
  await Deno.chmod(`${dir}/f`, 0o644);
  await Deno.chmod(dir, 0o755);
  const disk = await hashLayer(walkTree({ outside: dir, inside: "/l" }, { owner }));
  const memory = await hashLayer(filesLayer(new Map([["/l/f", body]]), { owner }));
  deepEqual(disk, memory);
  equal(new Digester().update(body).digest(), digestOf(body));
});
