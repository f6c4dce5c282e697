/** A layer that was made earlier comes back into a root, so that the next instruction finds what it would have found. */
import { lchownSync } from "node:fs";
import type { Layer } from "../../registry/image.ts";
import { walkTar } from "../../registry/layer/tar_reader.ts";
import type { TarHeader } from "../../registry/layer/tar_format.ts";
import { openFileCapabilities } from "../../registry/layer/libc.ts";
import type { ExtendRoot } from "./root.ts";
import { CAPABILITY_RECORD } from "./snapshot.ts";

const WHITEOUT = ".wh.";

/** Whether {@linkcode applyLayer} can make it: Deno makes no devices and pipes. */
export function canApply(type: TarHeader["type"]): boolean {
  return type === "file" || type === "directory" || type === "symlink" || type === "link";
}

/**
 * Applies a layer of ours: directories come before what is in them, and no name leads through a link.
 *
 * @throws {TypeError} When it is not one of ours.
 */
export async function applyLayer(
  root: ExtendRoot,
  layer: Layer,
  signal: AbortSignal,
): Promise<void> {
  const source = await layer.blob();
  const safe = new Set<string>();
  using capabilities = openFileCapabilities();
  let file: Deno.FsFile | undefined;
  let done: (() => void) | undefined;
  try {
    await walkTar(await source.open({ signal }), {
      header(header) {
        const path = placeOf(root.root, header.name, safe);
        const name = path.slice(path.lastIndexOf("/") + 1);
        if (name.startsWith(WHITEOUT)) {
          remove(`${path.slice(0, -name.length)}${name.slice(WHITEOUT.length)}`);
          return;
        }
        const finish = () => {
          if (root.realOwners) lchownSync(path, header.uid, header.gid);
          if (header.type !== "symlink") Deno.chmodSync(path, header.mode & 0o7777);
          // Last: whatever else is changed takes them away.
          const rights = root.realOwners ? header.pax.get(CAPABILITY_RECORD) : undefined;
          if (rights !== undefined) {
            capabilities?.set(path, Uint8Array.from(rights, (char) => char.charCodeAt(0)));
          }
        };
        switch (header.type) {
          case "directory":
            if (!isDirectory(path)) {
              remove(path);
              Deno.mkdirSync(path);
            }
            return finish();
          case "symlink":
            remove(path);
            Deno.symlinkSync(header.linkName, path);
            return finish();
          case "link": {
            const target = placeOf(root.root, header.linkName, safe);
            if (!isFile(target)) {
              throw new TypeError(
                `Cannot apply ${JSON.stringify(header.name)}: ${target} is no file to link to`,
              );
            }
            if (target === path) return;
            remove(path);
            return Deno.linkSync(target, path);
          }
          case "file":
            remove(path);
            file = Deno.openSync(path, { createNew: true, write: true });
            done = finish;
            return;
          default:
            throw new TypeError(
              `Cannot apply ${JSON.stringify(header.name)}: it is a ${header.type}`,
            );
        }
      },
      body(chunk) {
        for (let at = 0; file !== undefined && at < chunk.byteLength;) {
          at += file.writeSync(chunk.subarray(at));
        }
      },
      end() {
        file?.close();
        file = undefined;
        done?.();
        done = undefined;
      },
    }, { signal });
  } finally {
    file?.close();
  }
}

/** The path on this machine; every directory on the way is a real one. */
function placeOf(root: string, name: string, safe: Set<string>): string {
  const steps = name.split("/").filter((step) => step !== "" && step !== ".");
  if (steps.length === 0 || steps.includes("..")) {
    throw new TypeError(`Cannot apply ${JSON.stringify(name)}: it leads out of the root`);
  }
  let path = root === "/" ? "" : root;
  for (const step of steps.slice(0, -1)) {
    path = `${path}/${step}`;
    if (safe.has(path)) continue;
    if (!isDirectory(path)) {
      throw new TypeError(`Cannot apply ${JSON.stringify(name)}: ${path} is no directory`);
    }
    safe.add(path);
  }
  return `${path}/${steps.at(-1)}`;
}

function isDirectory(path: string): boolean {
  return lstat(path)?.isDirectory ?? false;
}

function isFile(path: string): boolean {
  return lstat(path)?.isFile ?? false;
}

function lstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch {
    return undefined;
  }
}

function remove(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
