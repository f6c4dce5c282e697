import { deepEqual, equal, rejects } from "node:assert/strict";
import { gzipSync } from "node:zlib";
import fc from "../oci/property_testing.ts";
import { formatPax } from "./pax.ts";
import { encodeHeader } from "./tar_encode.ts";
import { FIELD, type TarHeader } from "./tar_format.ts";
import { readTar, walkTar } from "./tar_reader.ts";
import { joined, patchHeader, type Sample, streamOf, tarOf } from "./tar_testing.ts";
import { zstdFrame } from "./zstd.ts";

const long = "d".repeat(60) + "/" + "f".repeat(160);

async function read(bytes: Uint8Array, chunk?: number): Promise<[TarHeader, string][]> {
  const all: [TarHeader, string][] = [];
  for await (const { header, body } of readTar(streamOf(bytes, chunk), { keep: () => true })) {
    all.push([header, new TextDecoder().decode(body)]);
  }
  return all;
}

const SAMPLES: readonly Sample[] = [
  { name: "/a", text: "hello" },
  { name: "/d/", type: "directory", mode: 0o755 },
  { name: `/${long}`, text: "x".repeat(1000) },
  { name: "/\u00e9", uid: 3_000_000, text: "y" },
  { name: `/g/${long}`, dialect: "gnu", linkName: "t".repeat(150), type: "symlink" },
  { name: "/h", type: "link", linkName: "a" },
  { name: "/c", type: "char", major: 1, minor: 3 },
  { name: "/big-uid", dialect: "gnu", uid: 4_000_000_000 },
];

Deno.test("reads back every dialect, in chunks of any size", async () => {
  const bytes = tarOf(...SAMPLES);
  const whole = await read(bytes);
  deepEqual(whole.map(([header]) => header.name), SAMPLES.map(({ name }) => name));
  deepEqual(whole.map(([, text]) => text), SAMPLES.map(({ text }) => text ?? ""));
  equal(whole[3]![0].uid, 3_000_000);
  equal(whole[4]![0].linkName, "t".repeat(150));
  equal(whole[7]![0].uid, 4_000_000_000);
  for (const chunk of [1, 7, 511, 512, 513, 4096]) deepEqual(await read(bytes, chunk), whole);
});

Deno.test("X-12 gzip of several members, zstd and plain are told apart by their bytes", async () => {
  const bytes = tarOf(...SAMPLES);
  const want = await read(bytes);
  const half = bytes.byteLength >> 1;
  deepEqual(await read(gzipSync(bytes)), want);
  const members = joined(gzipSync(bytes.subarray(0, half)), gzipSync(bytes.subarray(half)));
  for (const chunk of [1, 5, 65536]) deepEqual(await read(members, chunk), want);
  const frames = joined(zstdFrame(bytes.subarray(0, half), 1), zstdFrame(bytes.subarray(half), 1));
  for (const chunk of [3, 65536]) deepEqual(await read(frames, chunk), want);
});

Deno.test("X-12 what lies behind the end is counted, not read", async () => {
  const tail = new TextEncoder().encode("garbage".repeat(1000));
  const bytes = joined(tarOf({ name: "/a", text: "x" }), tail);
  const seen = await walkTar(streamOf(bytes), { header() {} });
  deepEqual(seen, { entries: 1, bytes: bytes.byteLength });
});

Deno.test("X-12 a tar or its compression cut short is an error", async () => {
  const bytes = tarOf({ name: `/${long}`, text: "x".repeat(2000) });
  for (let end = 1; end < bytes.byteLength - 1024; end += 100) {
    if (end === 0) continue;
    await rejects(read(bytes.subarray(0, end)), /ends in the middle/, `cut at ${end}`);
  }
  const packed = gzipSync(bytes);
  await rejects(read(packed.subarray(0, packed.byteLength - 3)), /Cannot decompress gzip/);
  await rejects(read(zstdFrame(bytes, 1).subarray(0, 40)), /Cannot/);
});

/** A PAX record with its length. */
function record(key: string, value: string): string {
  return new TextDecoder().decode(formatPax(new Map([[key, value]])));
}

/** An extended header of `flag` in front of an entry `/name` with five bytes. */
function extended(flag: string, text: string, entry = tarOf({ name: "/name", text: "hello" })) {
  const head = tarOf({ name: "./PaxHeaders/x", text }).subarray(0, -1024);
  return joined(patchHeader(new Uint8Array(head), 0, FIELD.typeflag, flag), entry);
}

const plain = tarOf({ name: "/name", text: "hello" });

const REFUSED: readonly (readonly [why: string, bytes: Uint8Array, message: RegExp])[] = [
  [
    "PAX size against ustar size (CVE-2025-62518)",
    extended("x", record("size", "512")),
    /size is 5/,
  ],
  ["PAX path twice", extended("x", record("path", "/a") + record("path", "/b")), /two of path/],
  ["PAX path with NUL", extended("x", record("path", "/a\0b")), /NUL/],
  [
    "GNU and PAX name",
    joined(
      extended("x", record("path", "/a")).subarray(0, 1024),
      extended("L", "/b\0"),
    ),
    /said twice/,
  ],
  [
    "two long names",
    joined(extended("L", "/a\0").subarray(0, 1024), extended("L", "/b\0")),
    /two L/,
  ],
  [
    "two PAX headers",
    joined(
      extended("x", record("comment", "a")).subarray(0, 1024),
      extended("x", record("comment", "b")),
    ),
    /two x/,
  ],
  [
    "global header that renames all",
    extended("g", record("path", "/evil")),
    /global header sets path/,
  ],
  ["global header that resizes all", extended("g", record("size", "0")), /global header sets size/],
  ["PAX length too long", extended("x", "99 path=/a\n"), /malformed length/],
  ["PAX length with a sign", extended("x", "+9 path=/a\n"), /malformed length/],
  ["PAX without a key", extended("x", "6 =ab\n"), /no key=value/],
  ["GNU sparse in PAX", extended("x", record("GNU.sparse.major", "1")), /sparse/],
  ["GNU sparse", patchHeader(plain, 0, FIELD.typeflag, "S"), /sparse/],
  ["unknown type", patchHeader(plain, 0, FIELD.typeflag, "Q"), /of type "Q"/],
  [
    "file with a directory's name",
    patchHeader(plain, 0, FIELD.name, "/name/"),
    /name of a directory/,
  ],
  ["directory with content", patchHeader(plain, 0, FIELD.typeflag, "5"), /5 bytes of content/],
  ["link with content", patchHeader(plain, 0, FIELD.typeflag, "1"), /5 bytes of content/],
  ["link to nowhere", tarOf({ name: "/l", type: "symlink" }), /to nowhere/],
  ["empty name", patchHeader(plain, 0, FIELD.name, ""), /name is empty/],
  [
    "name that is not UTF-8",
    patchHeader(plain, 0, FIELD.name, Uint8Array.of(47, 255)),
    /not UTF-8/,
  ],
  ["number with a hole", patchHeader(plain, 0, FIELD.size, "5\0" + "00000000"), /size is/],
  ["number with letters", patchHeader(plain, 0, FIELD.mode, "0x1ff"), /mode is/],
  [
    "negative base-256 size",
    patchHeader(plain, 0, FIELD.size, new Uint8Array(12).fill(255)),
    /size is -1/,
  ],
  [
    "huge base-256 size",
    patchHeader(
      plain,
      0,
      FIELD.size,
      Uint8Array.of(0x80, 127, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255),
    ),
    /size is/,
  ],
  [
    "X-09 negative base-256 uid",
    patchHeader(plain, 0, FIELD.uid, new Uint8Array(8).fill(255)),
    /uid is -1/,
  ],
  ["X-09 uid over 32 bits", extended("x", record("uid", "4294967296")), /uid is 4294967296/],
  ["X-09 negative PAX uid", extended("x", record("uid", "-1")), /PAX uid/],
  [
    "v7 header with a prefix",
    patchHeader(patchHeader(plain, 0, FIELD.magic, ""), 0, FIELD.prefix, "/evil"),
    /no ustar mark/,
  ],
  ["entry behind a lone block of zeros", joined(new Uint8Array(512), plain), /lone block/],
  ["wrong checksum", plain.with(0, 65), /checksum/],
  [
    "PAX header above 1 MiB",
    extended("x", record("comment", "x".repeat(1024 * 1024))),
    /header has/,
  ],
  [
    "extended header of nothing",
    extended("x", record("path", "/a")).subarray(0, 1024),
    /in the middle/,
  ],
];

for (const [why, bytes, message] of REFUSED) {
  Deno.test(`X-10 refuses: ${why}`, async () => {
    await rejects(read(bytes), message);
  });
}

Deno.test("RE-19 a global header that decides nothing is ignored", async () => {
  deepEqual((await read(extended("g", record("comment", "a commit")))).length, 1);
});

Deno.test("X-11 limits on bytes, entries and ratio", async () => {
  const visitor = { header() {} };
  const many = tarOf(...Array.from({ length: 20 }, (_, at) => ({ name: `/${at}` })));
  await rejects(walkTar(streamOf(many), visitor, { limits: { maxEntries: 19 } }), /19 entries/);
  await rejects(walkTar(streamOf(many), visitor, { limits: { maxBytes: 5000 } }), /5000 bytes/);
  const bomb = gzipSync(new Uint8Array(80 * 1024 * 1024));
  await rejects(walkTar(streamOf(bomb), visitor, { limits: { maxRatio: 100 } }), /100 times/);
  await rejects(walkTar(streamOf(bomb), visitor, { limits: { maxBytes: 1e6 } }), /1000000 bytes/);
});

Deno.test("a visitor's error cancels the stream and reaches the caller", async () => {
  let cancelled = false;
  const bytes = gzipSync(tarOf({ name: "/a", text: "x".repeat(1e6) }));
  const stream = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(bytes),
    cancel() {
      cancelled = true;
    },
  });
  const visitor = {
    header() {
      throw new TypeError("enough");
    },
  };
  await rejects(walkTar(stream, visitor), /^TypeError: enough$/);
  equal(cancelled, true);
});

Deno.test("leaving a loop early cancels the stream", async () => {
  let cancelled = false;
  const bytes = tarOf({ name: "/a", text: "x" }, { name: "/b" });
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(bytes),
    cancel() {
      cancelled = true;
    },
  });
  for await (const { header } of readTar(stream)) {
    equal(header.name, "/a");
    break;
  }
  equal(cancelled, true);
});

const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 200 })
  .map((name) => "/" + name.replaceAll("\0", "").replace(/\/+$/, "") + "x")
  .filter((name) => name.isWellFormed());

Deno.test("property: decode(encode(header)) is the header, in both writers' dialects", async () => {
  const header = fc.record({
    name: text,
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    gid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    mtime: fc.integer({ min: 0, max: 2 ** 33 }),
    userName: fc.string({ maxLength: 20 }).map((name) => name.replaceAll("\0", "")),
    gnu: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(header, async ({ gnu, ...fields }) => {
      const block = encodeHeader({
        ...fields,
        type: "file",
        size: 0,
        ...(gnu ? { dialect: "gnu" as const } : {}),
      });
      const [[back]] = await read(joined(block, new Uint8Array(1024))) as [[TarHeader, string]];
      const { name, mode, uid, gid, mtime, userName } = back;
      deepEqual({ name, mode, uid, gid, mtime, userName }, fields);
    }),
    { numRuns: 300 },
  );
});
