import { deepEqual, equal, rejects } from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { digestOf } from "../oci/digest.ts";
import { collect } from "../source.ts";
import { rewriteLayer } from "./rewrite.ts";
import type { TarHeader } from "./tar_format.ts";
import { readTar } from "./tar_reader.ts";
import { joined, type Sample, streamOf, tarOf } from "./tar_testing.ts";

const names = { userName: "someone", groupName: "staff", mtime: 1_700_000_000 };

async function rewritten(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  return await collect(rewriteLayer(streamOf(bytes, 1000)), 1e9);
}

async function headers(bytes: Uint8Array): Promise<TarHeader[]> {
  const all: TarHeader[] = [];
  for await (const { header } of readTar(streamOf(bytes))) all.push(header);
  return all;
}

const SAMPLES: readonly Sample[] = [
  { ...names, name: "/some-dir/", type: "directory", mode: 0o755, uid: 501, gid: 20 },
  { ...names, name: "/some-dir/file", text: "x".repeat(700), uid: 501, gid: 20 },
];

/** The results were made with Go 1.26 `archive/tar`: Next, set ModTime, blank names, WriteHeader, copy. */
const ROWS: readonly (readonly [dialect: "gnu" | "ustar", sha256: string])[] = [
  ["gnu", "d4ea3235c9153f5bd415ac7b3d40c84aaec36fb05eb6942d0de4827cbb3f27a5"],
  ["ustar", "030af549d33993f4124c2d81a8243af8e7aadbc7701da74905b2f5bb99b0abf1"],
];

for (const [dialect, sha256] of ROWS) {
  Deno.test(`TA-8 ${dialect} stays ${dialect}, as Go rewrites it`, async () => {
    const source = joined(
      tarOf(...SAMPLES.map((one) => ({ ...one, dialect }))),
      new Uint8Array(6656),
    );
    const out = await rewritten(gzipSync(source));
    equal(digestOf(out), `sha256:${sha256}`);
    const [dir, file] = await headers(out);
    deepEqual(
      [dir!.name, dir!.uid, dir!.gid, dir!.userName, dir!.groupName, dir!.mtime, dir!.dialect],
      ["/some-dir/", 501, 20, "", "", 315532801, dialect],
    );
    equal(file!.size, 700);
  });
}

Deno.test("TA-8 trailing padding is cut to two blocks", async () => {
  const out = await rewritten(joined(tarOf({ name: "/a", text: "x" }), new Uint8Array(10240)));
  equal(out.byteLength, 512 + 512 + 1024);
});

Deno.test("TA-8 PAX records that are still true stay, others go", async () => {
  const long = "/" + "x".repeat(120);
  const pax = new Map([["SCHILY.xattr.user.a", "\xff\x01"], ["mtime", "1700000000.5"], [
    "comment",
    "c",
  ]]);
  const [header] = await headers(
    await rewritten(tarOf({ ...names, name: long, text: "y", dialect: "pax", pax })),
  );
  deepEqual(
    [...header!.pax].sort(),
    [["SCHILY.xattr.user.a", "\xff\x01"], ["comment", "c"], ["path", long]],
  );
  deepEqual([header!.mtime, header!.userName], [315532801, ""]);
});

Deno.test("TA-8 a damaged layer is an error of the stream", async () => {
  await rejects(rewritten(tarOf({ name: "/a", text: "x" }).subarray(0, 700)), /in the middle/);
});
