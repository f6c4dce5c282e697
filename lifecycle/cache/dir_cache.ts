/**
 * The directory cache, in the layout of the Go lifecycle so that either can go on with what the other left
 * (CA-1): `committed/` is what readers see, `staging/` what a draft collects, and a commit is two renames. Nothing is synced
 * to the disk, which for a gigabyte can take longer than the rest of a build: a layer is hashed before it is used (CA-5) and
 * metadata that cannot be read are an empty cache (CA-4), so a power cut costs what the cache saved and can do no harm.
 */
import { eachChunk } from "../../registry/layer/file_chunks.ts";
import { type FileMark, isMarked, markFile } from "../../registry/layer/unchanged.ts";
import type { ByteSink } from "../../registry/layer/write_layer.ts";
import { type Digest, Digester, isDigest } from "../../registry/oci/digest.ts";
import { fileSource, type Source } from "../../registry/source.ts";
import { isThere } from "../is_there.ts";
import {
  type Cache,
  type CacheDraft,
  CacheLayerError,
  EMPTY_CACHE_METADATA,
  type SpooledLayer,
  type UncheckedLayer,
} from "./cache.ts";
import { type DirLock, lockDir } from "./dir_lock.ts";
import { clearSpools, DirSpool } from "./dir_spool.ts";
import {
  type CacheMetadata,
  formatCacheMetadata,
  parseCacheMetadata,
} from "../file/lifecycle_metadata.ts";

/** The document's file name, which is the image cache's label too. */
const METADATA = "io.buildpacks.lifecycle.cache.metadata";

/** A larger document is not ours, in bytes. */
const MAX_METADATA = 64 * 1024 * 1024;

/** Options of {@linkcode openDirCache}. */
export interface DirCacheOptions {
  /** Stops waiting for another process. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens the cache in `dir` (CA-2). What a killed build left behind is cleared away; if it was killed between
 * the two renames of its commit, the content before that commit comes back.
 *
 * @throws {Deno.errors.NotFound} When there is no such directory.
 */
export async function openDirCache(dir: string, options: DirCacheOptions = {}): Promise<Cache> {
  const info = await Deno.stat(dir);
  if (!info.isDirectory) throw new TypeError(`Cannot use cache ${dir}: it is not a directory`);
  {
    using _lock = await lockDir(dir, options.signal);
    const places = placesOf(dir);
    if (!isThere(places.committed) && isThere(places.backup)) {
      await Deno.rename(places.backup, places.committed);
    }
    await remove(places.staging);
    await remove(places.backup);
    await clearSpools(dir);
    // A file or a dangling link is in the way, not a cache.
    if (!(await isDirectory(places.committed))) await remove(places.committed);
    await Deno.mkdir(places.committed, { recursive: true });
  }
  return new DirCache(dir);
}

type Places = { readonly committed: string; readonly staging: string; readonly backup: string };

function placesOf(dir: string): Places {
  return {
    committed: `${dir}/committed`,
    staging: `${dir}/staging`,
    backup: `${dir}/committed-backup`,
  };
}

class DirCache implements Cache {
  readonly name: string;
  readonly #places: Places;
  /** Layers this process has read to the end and found right, or has written itself. */
  readonly #verified = new Set<Digest>();
  /** Those of them that can be told to be untouched. */
  readonly marks: Map<Digest, FileMark> = new Map<Digest, FileMark>();
  #believed: ReadonlyMap<Digest, FileMark> = new Map();
  #draft: CacheDraft | undefined;

  constructor(dir: string) {
    this.name = dir;
    this.#places = placesOf(dir);
  }

  async metadata(): Promise<CacheMetadata> {
    try {
      const path = `${this.#places.committed}/${METADATA}`;
      // Reading a pipe would wait for ever, and a document without end would fill the memory.
      const { isFile, size } = await Deno.lstat(path);
      if (!isFile || size > MAX_METADATA) return EMPTY_CACHE_METADATA;
      return parseCacheMetadata(await Deno.readTextFile(path));
    } catch {
      return EMPTY_CACHE_METADATA; // CA-4: whatever is wrong with it, a cache is only a cache
    }
  }

  async layer(diffId: Digest, signal?: AbortSignal): Promise<Source> {
    const path = layerPath(this.#places.committed, diffId);
    const size = await this.#verify(path, diffId, signal);
    return fileSource(path, size);
  }

  async unchecked(diffId: Digest): Promise<UncheckedLayer> {
    const path = layerPath(this.#places.committed, diffId);
    const size = await sizeOf(path, diffId);
    const mark = markFile(path);
    const confirm = () => {
      this.#verified.add(diffId);
      if (mark !== undefined) this.marks.set(diffId, mark);
    };
    return { tar: fileSource(path, size), confirm };
  }

  believe(marks: ReadonlyMap<Digest, FileMark>): void {
    this.#believed = marks;
  }

  async draft(signal?: AbortSignal): Promise<CacheDraft> {
    const lock = await lockDir(this.name, signal);
    try {
      await remove(this.#places.staging);
      await Deno.mkdir(this.#places.staging, { recursive: true });
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
    const verify = (path: string, diffId: Digest, stop?: AbortSignal) =>
      this.#verify(path, diffId, stop);
    this.#draft = new DirDraft(this.#places, lock, verify, this.#verified);
    return this.#draft;
  }

  async spool(): Promise<SpooledLayer> {
    return await DirSpool.create(this.name);
  }

  async close(): Promise<void> {
    await this.#draft?.abort();
  }

  /** Bytes of the layer file at `path`, after its hash was found right once. */
  async #verify(path: string, diffId: Digest, signal?: AbortSignal): Promise<number> {
    const size = await sizeOf(path, diffId);
    if (this.#verified.has(diffId)) return size;
    const mark = this.#believed.get(diffId);
    if (mark !== undefined && isMarked(path, mark)) return size;
    const digester = new Digester();
    await eachChunk(path, (chunk) => digester.update(chunk), signal);
    const found = digester.digest();
    if (found !== diffId) {
      throw new CacheLayerError(
        `expected layer contents to have SHA '${diffId}'; found '${found}'`,
      );
    }
    this.#verified.add(diffId);
    return size;
  }
}

class DirDraft implements CacheDraft {
  readonly #places: Places;
  readonly #lock: DirLock;
  readonly #verify: (path: string, diffId: Digest, signal?: AbortSignal) => Promise<number>;
  readonly #verified: Set<Digest>;
  #ended = false;
  #count = 0;

  constructor(
    places: Places,
    lock: DirLock,
    verify: (path: string, diffId: Digest, signal?: AbortSignal) => Promise<number>,
    verified: Set<Digest>,
  ) {
    this.#places = places;
    this.#lock = lock;
    this.#verify = verify;
    this.#verified = verified;
  }

  async keep(diffId: Digest, signal?: AbortSignal): Promise<void> {
    this.#check();
    const staged = layerPath(this.#places.staging, diffId);
    if (isThere(staged)) return;
    const committed = layerPath(this.#places.committed, diffId);
    await this.#verify(committed, diffId, signal);
    try {
      await Deno.link(committed, staged);
    } catch (error) {
      // Some file systems (FAT, some network mounts) know no hard links.
      if (error instanceof Deno.errors.NotFound) throw error;
      await Deno.copyFile(committed, staged);
    }
  }

  async add(
    write: (sink: ByteSink, compression: "none" | "gzip") => Promise<Digest>,
  ): Promise<Digest> {
    this.#check();
    const temporary = `${this.#places.staging}/adding-${this.#count++}`;
    const file = await Deno.open(temporary, { createNew: true, write: true });
    let diffId: Digest;
    try {
      try {
        // On this thread: the block was hashed a moment ago, and another thread would fetch it from memory again.
        const sink = { write: (chunk: Uint8Array) => Promise.try(writeAll, file, chunk) };
        diffId = await write(sink, "none");
      } finally {
        file.close();
      }
    } catch (error) {
      await remove(temporary);
      throw error;
    }
    await Deno.rename(temporary, layerPath(this.#places.staging, diffId));
    this.#verified.add(diffId);
    return diffId;
  }

  async take(layer: SpooledLayer, diffId: Digest): Promise<void> {
    this.#check();
    if (!(layer instanceof DirSpool)) {
      throw new TypeError("Cannot take a layer: want one of this cache");
    }
    await layer.moveTo(layerPath(this.#places.staging, diffId));
    this.#verified.add(diffId);
  }

  async commit(metadata: CacheMetadata): Promise<void> {
    this.#check();
    this.#ended = true;
    const { committed, staging, backup } = this.#places;
    try {
      const file = await Deno.open(`${staging}/${METADATA}`, { create: true, write: true });
      try {
        writeAll(file, new TextEncoder().encode(formatCacheMetadata(metadata) + "\n"));
      } finally {
        file.close();
      }
      await remove(backup);
      await Deno.rename(committed, backup);
      try {
        await Deno.rename(staging, committed);
      } catch (error) {
        await Deno.rename(backup, committed);
        throw error;
      }
      await remove(backup);
    } catch (error) {
      await remove(staging);
      throw error;
    } finally {
      this.#lock[Symbol.dispose]();
    }
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    try {
      await remove(this.#places.staging);
    } finally {
      this.#lock[Symbol.dispose]();
    }
  }

  #check(): void {
    if (this.#ended) throw new TypeError("Cannot change cache: it is committed or aborted already");
  }
}

/** The file of a layer. Digests come from documents anyone may write: only sha256 names a file here. */
function layerPath(directory: string, diffId: Digest): string {
  if (!isDigest(diffId) || !diffId.startsWith("sha256:")) {
    throw new CacheLayerError(
      `Cannot use cache layer "${String(diffId).slice(0, 80)}": want sha256`,
    );
  }
  return `${directory}/${diffId}.tar`;
}

async function sizeOf(path: string, diffId: Digest): Promise<number> {
  try {
    const info = await Deno.lstat(path);
    if (!info.isFile) throw new Deno.errors.NotFound("not a file");
    return info.size;
  } catch (cause) {
    throw new CacheLayerError(`Cannot use cache layer ${diffId}: ${path} is not there`, { cause });
  }
}

function writeAll(file: Deno.FsFile, chunk: Uint8Array): void {
  for (let at = 0; at < chunk.byteLength;) at += file.writeSync(chunk.subarray(at));
}

async function isDirectory(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isDirectory, () => false);
}

async function remove(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
