/** A tar on the disk as a table of its files: read once, nothing unpacked, nothing written outside it. */
import { type Digest, Digester } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { decompress } from "../layer/decompress.ts";
import { TarParser } from "../layer/tar_reader.ts";
import type { TarHeader } from "../layer/tar_format.ts";
import type { CallOptions } from "../registry.ts";
import { fileSource, readAll, type Source } from "../source.ts";
import { filePart } from "./part.ts";

/** One file inside. */
export interface TarMember {
  /** Of its bytes, computed while the table was made. */
  readonly digest: Digest;
  /** Its first bytes (at most four), to tell compressions. */
  readonly magic: Uint8Array;
  /** Its bytes. */
  readonly source: Source;
}

interface Link {
  readonly target: string;
}

/** Files an archive may have; an image has a few hundred. */
const MAX_MEMBERS = 100_000;
/** Links that lead to links (docker save of old wrote one step). */
const MAX_LINKS = 16;

/** An opened tar. Close it: a compressed one is kept unpacked in a temporary file until then. */
export class TarFile implements AsyncDisposable {
  readonly #path: string;
  readonly #members: ReadonlyMap<string, TarMember | Link>;
  readonly #temporary: string | undefined;

  private constructor(
    path: string,
    members: ReadonlyMap<string, TarMember | Link>,
    temporary: string | undefined,
  ) {
    this.#path = path;
    this.#members = members;
    this.#temporary = temporary;
  }

  /**
   * Reads `path` to its end: names, places and digests of its files.
   *
   * @throws {OciError} `MANIFEST_INVALID` for names that lead outside or a broken tar, `NAME_UNKNOWN`
   * when there is no such file, `UNAVAILABLE` when it cannot be read.
   */
  static async open(path: string, options: CallOptions = {}): Promise<TarFile> {
    const { signal } = options;
    const info = await Deno.stat(path).catch((cause) => {
      const absent = cause instanceof Deno.errors.NotFound;
      throw new OciError(
        absent ? "NAME_UNKNOWN" : "UNAVAILABLE",
        `Cannot open archive ${path}: ${absent ? "no such file" : cause.message}`,
        { cause },
      );
    });
    if (!info.isFile) {
      throw new OciError("UNAVAILABLE", `Cannot open archive ${path}: it is not a regular file`);
    }
    let plain = path;
    let size = info.size;
    let temporary: string | undefined;
    try {
      if (await isCompressed(path)) {
        temporary = await Deno.makeTempFile({ prefix: "wherry-archive-" });
        size = await unpack(path, info.size, temporary, signal);
        plain = temporary;
      }
      const members = await readMembers(plain, size, signal);
      return new TarFile(path, members, temporary);
    } catch (cause) {
      if (temporary !== undefined) await Deno.remove(temporary).catch(() => {});
      if (cause instanceof SyntaxError || cause instanceof RangeError) {
        throw new OciError("MANIFEST_INVALID", `Cannot open archive ${path}: ${cause.message}`, {
          cause,
        });
      }
      throw cause;
    }
  }

  /** The file of that name, through links inside the archive; `undefined` when there is none. */
  member(name: string): TarMember | undefined {
    let at = cleanName(name, "");
    for (let step = 0; at !== undefined && step <= MAX_LINKS; step++) {
      const found = this.#members.get(at);
      if (found === undefined) return undefined;
      if ("source" in found) return found;
      at = found.target;
    }
    throw new OciError(
      "MANIFEST_INVALID",
      `Cannot read ${
        JSON.stringify(name)
      } of archive ${this.#path}: it links in a circle or leads outside`,
    );
  }

  /** The clean names of all its files. */
  names(): readonly string[] {
    return [...this.#members].filter(([, member]) => "source" in member).map(([name]) => name);
  }

  /** A small file, whole. */
  async document(name: string, limit: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const found = this.member(name);
    if (found === undefined) return undefined;
    if (found.source.size > limit) {
      throw new OciError(
        "MANIFEST_INVALID",
        `Cannot read ${name} of archive ${this.#path}: it is longer than ${limit} bytes`,
      );
    }
    return await readAll(found.source, limit);
  }

  /** Removes the temporary file, if there was one. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#temporary !== undefined) await Deno.remove(this.#temporary).catch(() => {});
  }
}

async function readMembers(
  path: string,
  size: number,
  signal: AbortSignal | undefined,
): Promise<Map<string, TarMember | Link>> {
  const members = new Map<string, TarMember | Link>();
  let header: TarHeader | undefined;
  let start = 0;
  let digester = new Digester();
  const magic = new Uint8Array(4);
  let filled = 0;
  const add = (name: string, member: TarMember | Link) => {
    // Package files of pack have absolute names; nothing is unpacked, so they lead nowhere but into the table.
    const clean = cleanName(name.replace(/^\/+/, ""), "");
    if (clean === undefined) {
      throw new SyntaxError(`its entry ${JSON.stringify(name.slice(0, 200))} leads outside`);
    }
    if (members.size >= MAX_MEMBERS) {
      throw new RangeError(`it has more than ${MAX_MEMBERS} files`);
    }
    members.set(clean, member);
  };
  const parser = new TarParser({
    header(next) {
      header = next;
      start = -1;
      filled = 0;
      digester = new Digester();
      if (next.type === "symlink" || next.type === "link") {
        const base = next.type === "link" ? "" : next.name.slice(0, next.name.lastIndexOf("/") + 1);
        // A link that leads outside is an error only when somebody follows it.
        add(next.name, { target: cleanName(next.linkName, base) ?? "\0outside" });
      }
    },
    body(bytes) {
      if (start < 0) start = parser.bytes;
      if (filled < 4) {
        const part = bytes.subarray(0, 4 - filled);
        magic.set(part, filled);
        filled += part.byteLength;
      }
      digester.update(bytes);
    },
    end() {
      if (header?.type !== "file") return;
      add(header.name, {
        digest: digester.digest(),
        magic: magic.slice(0, filled),
        source: filePart(path, Math.max(0, start), header.size),
      });
    },
  });
  for await (const chunk of await fileSource(path, size).open({ signal })) parser.push(chunk);
  parser.finish();
  return members;
}

/** `name`, relative to `base` unless absolute, without `.` and `..`; `undefined` when it leads outside. */
function cleanName(name: string, base: string): string | undefined {
  if (name.startsWith("/") || name.includes("\0")) return undefined;
  const parts: string[] = [];
  for (const part of (base + name).split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  return parts.join("/");
}

async function isCompressed(path: string): Promise<boolean> {
  using file = await Deno.open(path);
  const magic = new Uint8Array(4);
  const got = await file.read(magic) ?? 0;
  return compressionOf(magic.subarray(0, got)) !== undefined;
}

/** What the first bytes of a blob say of it. */
export function compressionOf(magic: Uint8Array): "gzip" | "zstd" | undefined {
  if (magic[0] === 0x1f && magic[1] === 0x8b) return "gzip";
  const zstd = [0x28, 0xb5, 0x2f, 0xfd].every((byte, at) => magic[at] === byte);
  return zstd ? "zstd" : undefined;
}

async function unpack(
  from: string,
  size: number,
  to: string,
  signal: AbortSignal | undefined,
): Promise<number> {
  using file = await Deno.open(to, { write: true });
  const stream = await fileSource(from, size).open({ signal });
  let total = 0;
  for await (const chunk of decompress(stream, { signal })) {
    for (let at = 0; at < chunk.byteLength;) at += await file.write(chunk.subarray(at));
    total += chunk.byteLength;
  }
  return total;
}
