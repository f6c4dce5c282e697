/** Writing an archive: a tar that is the same for the same content, and is there whole or not at all. */
import { dirname, resolve } from "node:path";
import { encodeHeader } from "../layer/tar_encode.ts";
import { LAYER_MTIME } from "../layer/entry.ts";
import { BLOCK, padded } from "../layer/tar_format.ts";
import type { CallOptions } from "../registry.ts";
import { OciError } from "../oci/error.ts";
import { bytesSource, type Source } from "../source.ts";
import { syncDir } from "./blob_files.ts";
import { translate } from "./database.ts";

/** Takes entries in order. */
export interface ArchiveSink {
  /** Adds an empty directory; `name` without a slash at its end. */
  directory(name: string): Promise<void>;
  /** Adds a file; once for each name. */
  file(name: string, content: Uint8Array | Source): Promise<void>;
}

/**
 * Writes a tar to `path`: beside it first, then renamed, so that a failure leaves what was there before.
 *
 * @throws {OciError} `UNAVAILABLE` when it cannot be written, `SIZE_INVALID` when a source lied about its size.
 */
export async function writeArchive(
  path: string,
  fill: (sink: ArchiveSink) => Promise<void>,
  options: CallOptions = {},
): Promise<void> {
  const target = resolve(path);
  const there = await Deno.stat(target).catch(() => undefined);
  // Renaming over it would be the end of /dev/stdout on this machine.
  if (there?.isFile === false || /^\/(dev\/(?!shm\/)|proc\/)/.test(target)) {
    throw new OciError("UNAVAILABLE", `Cannot write archive ${path}: it is not a regular file`);
  }
  const waiting = `${target}.wherry-${crypto.randomUUID()}`;
  let file: Deno.FsFile;
  try {
    file = await Deno.open(waiting, { createNew: true, write: true, mode: 0o644 });
  } catch (cause) {
    throw translate(cause, `write archive ${path}`);
  }
  let open = true;
  try {
    await fill(sinkOver(file, path, options.signal));
    await writeAll(file, new Uint8Array(2 * BLOCK), path);
    await file.sync();
    file.close();
    open = false;
    await Deno.rename(waiting, target);
  } catch (error) {
    if (open) file.close();
    await Deno.remove(waiting).catch(() => {});
    throw translate(error, `write archive ${path}`);
  }
  await syncDir(dirname(target));
}

function sinkOver(file: Deno.FsFile, path: string, signal: AbortSignal | undefined): ArchiveSink {
  const seen = new Set<string>();
  const common = { uid: 0, gid: 0, mtime: LAYER_MTIME };
  return {
    async directory(name) {
      if (seen.has(name)) return;
      seen.add(name);
      const header = {
        ...common,
        name: `${name}/`,
        type: "directory" as const,
        mode: 0o755,
        size: 0,
      };
      await writeAll(file, encodeHeader(header), path);
    },
    async file(name, content) {
      if (seen.has(name)) return;
      seen.add(name);
      const source = content instanceof Uint8Array ? bytesSource(content) : content;
      const { size } = source;
      const header = { ...common, name, type: "file" as const, mode: 0o644, size };
      await writeAll(file, encodeHeader(header), path);
      let written = 0;
      for await (const chunk of await source.open({ signal })) {
        signal?.throwIfAborted();
        written += chunk.byteLength;
        if (written > size) break;
        await writeAll(file, chunk, path);
      }
      if (written !== size) {
        throw new OciError(
          "SIZE_INVALID",
          `Cannot write ${name} of archive ${path}: it has ${
            written > size ? "more" : written
          } bytes, want ${size}`,
        );
      }
      await writeAll(file, new Uint8Array(padded(size) - size), path);
    },
  };
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array, path: string): Promise<void> {
  try {
    for (let at = 0; at < bytes.byteLength;) at += await file.write(bytes.subarray(at));
  } catch (cause) {
    throw translate(cause, `write archive ${path}`);
  }
}
