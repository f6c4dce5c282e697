/** For tests: layers made of samples, and a box whose outside must stay as it is. */
import { deepEqual } from "node:assert/strict";
import { gzipSync } from "node:zlib";
import type { Layer } from "../../registry/image.ts";
import { type Sample, tarOf } from "../../registry/layer/tar_testing.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { bytesSource } from "../../registry/source.ts";

/** A layer that holds `samples`, gzipped. */
export function layerOf(...samples: readonly Sample[]): Layer {
  return layerOfTar(tarOf(...samples));
}

/** A layer of a whole tar. */
export function layerOfTar(tar: Uint8Array<ArrayBuffer>): Layer {
  const packed = new Uint8Array(gzipSync(tar, { level: 1 }));
  return {
    diffId: digestOf(tar),
    descriptor: {
      mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
      digest: digestOf(packed),
      size: packed.byteLength,
    },
    blob: () => Promise.resolve(bytesSource(packed)),
  };
}

/** A root to unpack into beside things that must stay as they are; checked after `act`, whatever it did. */
export interface Box {
  /** Empty. */
  readonly root: string;
  /** Nothing may ever happen here. It has `file` and `dir`. */
  readonly outside: string;
}

/** Runs `act`, then looks whether anything but the root was touched. */
export async function boxed(act: (box: Box) => Promise<void>): Promise<void> {
  const top = await Deno.makeTempDir({ prefix: "wherry-box-" });
  try {
    const box = { root: `${top}/in/root`, outside: `${top}/outside` };
    await Deno.mkdir(box.root, { recursive: true });
    await Deno.mkdir(`${box.outside}/dir`, { recursive: true });
    await Deno.writeTextFile(`${box.outside}/file`, "untouched");
    const before = await describeTree(top, box.root);
    await act(box);
    deepEqual(await describeTree(top, box.root), before, "something outside was touched");
  } finally {
    await new Deno.Command("chmod", { args: ["-R", "u+rwx", top] }).output();
    await Deno.remove(top, { recursive: true });
  }
}

/** Everything below `dir` but `except`, with all of its metadata, inode numbers included. */
async function describeTree(dir: string, except?: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    const path = `${dir}/${name}`;
    if (path === except) continue;
    const { mode, size, ino, nlink, mtime, uid, gid } = await Deno.lstat(path);
    lines.push(
      `${path} ${mode?.toString(8)} ${size} ${ino} ${nlink} ${mtime?.getTime()} ${uid}:${gid}`,
    );
    if (isDirectory) lines.push(...await describeTree(path, except));
  }
  return lines.sort();
}

/** The tree below `dir` as short lines: `d a`, `f a/b text`, `l a/c -> target`. */
export async function shapeOf(dir: string, below = ""): Promise<string[]> {
  const lines: string[] = [];
  for await (const { name } of Deno.readDir(`${dir}/${below}`)) {
    const path = below === "" ? name : `${below}/${name}`;
    const about = await Deno.lstat(`${dir}/${path}`);
    if (about.isDirectory) lines.push(`d ${path}`, ...await shapeOf(dir, path));
    else if (about.isSymlink) lines.push(`l ${path} -> ${await Deno.readLink(`${dir}/${path}`)}`);
    else if (about.isFile) lines.push(`f ${path} ${await Deno.readTextFile(`${dir}/${path}`)}`);
    else lines.push(`? ${path}`);
  }
  return lines.sort();
}
