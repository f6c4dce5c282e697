/** Archives and images made up for tests. */
import { gzipSync } from "node:zlib";
import { encodeJson, type Image, makeImage } from "../image.ts";
import { encodeHeader } from "../layer/tar_encode.ts";
import { padded } from "../layer/tar_format.ts";
import { parseConfig } from "../oci/config.ts";
import { digestOf } from "../oci/digest.ts";
import { MediaType } from "../oci/media_type.ts";
import { describeBytes, sampleBytes } from "../registry_suite_testing.ts";
import { bytesSource } from "../source.ts";

/** An image of two layers, the second one compressed. */
export function sampleImage(seed = 1): Image {
  const tar = tarOf([{ name: `file${seed}`, body: sampleBytes(50_000, seed) }]);
  const second = tarOf([{ name: "second", body: sampleBytes(10, seed) }]);
  const zipped = new Uint8Array(gzipSync(second));
  const config = parseConfig(
    encodeJson({ os: "linux", architecture: "amd64", rootfs: {}, config: {} }),
  );
  return makeImage(config, [
    {
      diffId: digestOf(tar),
      descriptor: describeBytes(tar, MediaType.ociLayer),
      blob: () => Promise.resolve(bytesSource(tar)),
    },
    {
      diffId: digestOf(second),
      descriptor: describeBytes(zipped, MediaType.ociLayerGzip),
      blob: () => Promise.resolve(bytesSource(zipped)),
    },
  ]);
}

/** An entry of a test archive. */
export interface Entry {
  /** As written. */
  readonly name: string;
  /** Of a file. */
  readonly body?: Uint8Array;
  /** Makes it a link. */
  readonly link?: string;
  /** Of a link; default `symlink`. */
  readonly type?: "symlink" | "link";
}

/** A tar of these, whatever they are. */
export function tarOf(entries: readonly Entry[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for (const { name, body = new Uint8Array(), link, type } of entries) {
    const size = body.byteLength;
    const common = { name, mode: 0o644, uid: 0, gid: 0, mtime: 1, size };
    parts.push(
      encodeHeader(
        link === undefined
          ? { ...common, type: "file" }
          : { ...common, type: type ?? "symlink", linkName: link },
      ),
      body,
      new Uint8Array(padded(size) - size),
    );
  }
  parts.push(new Uint8Array(1024));
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}
