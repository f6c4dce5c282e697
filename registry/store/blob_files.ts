/**
 * The files of a store: `blobs/<algorithm>/<first two hex digits>/<hex>` (ST-12), and `ingest/` where bytes
 * wait until they are verified. Nothing outside this file makes a path of a digest (ST-11).
 */
import { dirname, join } from "node:path";
import { renameSync, unlinkSync } from "node:fs";
import { algorithmOf, type Digest, hexOf, isDigest, parseDigest } from "../oci/digest.ts";
import { translate } from "./database.ts";

/** An ingest that nobody finished within a day is abandoned. */
const UPLOAD_TTL_MS = 24 * 60 * 60 * 1000;
/** Between making a file and locking it there is a moment; younger files are left alone. */
const UNLOCKED_MS = 60 * 1000;

/** Digests whose durability is remembered. */
const MAX_SETTLED = 100_000;

/**
 * Who may still write to an ingest file: an upload of a client lives between requests, a push does not. A pull has the
 * digest of a long blob for its id and outlives its process: whoever wants the blob next goes on where it ended (C-DL-03).
 */
export type IngestKind = "upload" | "push" | "pull";

/** How the files of a place are named, and who may see them. */
export interface FileShape {
  /** Below `blobs/<algorithm>/`: in 256 directories, or all in one. */
  readonly sharded: boolean;
  /** Path of a waiting file, up to its kind and id. */
  readonly ingest: string;
  /** Of published files. */
  readonly fileMode: number;
  /** Of directories. */
  readonly dirMode: number;
  /** Whether what is acknowledged must outlive the machine's power. */
  readonly durable: boolean;
}

/** The store's own: for this user alone (ST-07), good for ten million blobs. */
const PRIVATE: FileShape = {
  sharded: true,
  ingest: "ingest/",
  fileMode: 0o444,
  dirMode: 0o700,
  durable: true,
};

/** A store's that goes when its process ends. */
export const TEMPORARY_SHAPE: FileShape = { ...PRIVATE, durable: false };

/** As the OCI image layout wants it; other tools and users read it. */
export const LAYOUT_SHAPE: FileShape = {
  sharded: false,
  ingest: ".wherry-",
  fileMode: 0o644,
  dirMode: 0o755,
  durable: true,
};

/** The files below one store directory. */
export class BlobFiles {
  readonly #dir: string;
  readonly #shape: FileShape;
  /** Which file of a digest has a name that is known to be on the disk: inode and time of its last change. */
  readonly #settled = new Map<Digest, string>();
  /** Directories below the store whose own names are known to be on the disk. */
  readonly #rooted = new Set<string>();

  /** Of the store in `dir`; touches nothing. */
  constructor(dir: string, shape: FileShape = PRIVATE) {
    this.#dir = dir;
    this.#shape = shape;
  }

  /**
   * Where the bytes of `digest` lie, if they do.
   *
   * @throws {OciError} `DIGEST_INVALID` when it is none after all: nothing unchecked becomes a path (ST-11).
   */
  path(digest: Digest): string {
    const hex = hexOf(parseDigest(digest));
    const shard = this.#shape.sharded ? hex.slice(0, 2) : "";
    return join(this.#dir, "blobs", algorithmOf(digest), shard, hex);
  }

  /** Whether there ever was a file. */
  any(): boolean {
    try {
      return Deno.lstatSync(join(this.#dir, "blobs")).isDirectory;
    } catch {
      return false;
    }
  }

  /** The path below the store, for messages. */
  name(digest: Digest): string {
    return this.path(digest).slice(join(this.#dir, "/").length);
  }

  /** Bytes on the disk, or `undefined`. */
  sizeOf(digest: Digest): number | undefined {
    try {
      const info = Deno.lstatSync(this.path(digest));
      return info.isFile ? info.size : undefined;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  /** Starts an ingest file, private to us; a push holds an OS lock on it, which a crash lets go (ST-03). */
  async ingest(id: string, kind: IngestKind): Promise<Deno.FsFile> {
    const path = this.ingestPath(id, kind);
    const open = () => Deno.open(path, { createNew: true, read: true, write: true, mode: 0o600 });
    let file: Deno.FsFile;
    try {
      file = await open().catch(async (error: unknown) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
        await this.#makeDir(dirname(path));
        return await open();
      });
    } catch (cause) {
      throw translate(cause, `write to ${path}`);
    }
    if (kind === "push") await file.tryLock(true);
    return file;
  }

  /** Opens the file of an upload again, at its end, or `undefined`. */
  async reopen(id: string): Promise<{ file: Deno.FsFile; size: number } | undefined> {
    try {
      const file = await Deno.open(this.ingestPath(id, "upload"), { read: true, write: true });
      const size = await file.seek(0, Deno.SeekMode.End);
      return { file, size };
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  /**
   * Opens the file of a pull, at its end, whether there was one or not; it is locked for us. `undefined` when somebody else
   * is at it.
   */
  async openPull(id: string): Promise<{ file: Deno.FsFile; size: number } | undefined> {
    const path = this.ingestPath(id, "pull");
    const open = () => Deno.open(path, { create: true, read: true, write: true, mode: 0o600 });
    const file = await open().catch(async (error: unknown) => {
      if (error instanceof Deno.errors.PermissionDenied) await Deno.chmod(path, 0o600); // its writer ended while sealing it
      else if (error instanceof Deno.errors.NotFound) {
        await this.#makeDir(dirname(path));
      } else throw translate(error, `write to ${path}`);
      return await open();
    });
    try {
      const mine = await file.tryLock(true);
      const [held, named] = [await file.stat(), await Deno.lstat(path).catch(ignoreAbsent)];
      if (mine && held.ino === named?.ino) {
        return { file, size: await file.seek(0, Deno.SeekMode.End) };
      }
      file.close(); // it was published while we opened it
      return undefined;
    } catch (error) {
      file.close();
      throw translate(error, `write to ${path}`);
    }
  }

  /** Drops an ingest file. Never throws: what cannot be removed now is purged later. Idempotent. */
  async discard(id: string, kind: IngestKind): Promise<void> {
    await Deno.remove(this.ingestPath(id, kind)).catch(() => {});
  }

  /**
   * Makes the bytes durable and ready to be published: the file is synced, its shard exists. Closes `file`.
   *
   * @returns Publishes; to be called inside the transaction that records the blob, and then {@linkcode settle}.
   */
  async seal(
    id: string,
    kind: IngestKind,
    file: Deno.FsFile,
    digest: Digest,
  ): Promise<() => void> {
    const from = this.ingestPath(id, kind);
    const to = this.path(digest);
    try {
      await Deno.chmod(from, this.#shape.fileMode);
      if (this.#shape.durable) await file.sync();
    } catch (cause) {
      throw translate(cause, `write blob ${digest}`);
    } finally {
      file.close();
    }
    await this.#makeDir(dirname(to));
    return () => {
      try {
        renameSync(from, to);
      } catch (error) {
        // Of a pull another process may have found the whole file and been faster: it is there, then.
        if (kind !== "pull" || this.sizeOf(digest) === undefined) throw error;
      }
    };
  }

  /**
   * Makes published names durable: syncs the directories that hold them. Others may have published them, and not
   * have come to this yet: whoever acknowledges something that needs a blob asks first. Costs nothing the second time.
   */
  async settle(...digests: readonly Digest[]): Promise<void> {
    if (!this.#shape.durable) return;
    const waiting = new Map<Digest, string>();
    for (const digest of digests) {
      const seen = this.stamp(digest);
      if (seen === undefined || this.#settled.get(digest) !== seen) waiting.set(digest, seen ?? "");
    }
    const shards = new Set([...waiting.keys()].map((digest) => dirname(this.path(digest))));
    await Promise.all([...shards].map((shard) => this.#syncPath(shard)));
    if (this.#settled.size > MAX_SETTLED) this.#settled.clear();
    for (const [digest, seen] of waiting) if (seen !== "") this.#settled.set(digest, seen);
  }

  async #makeDir(dir: string): Promise<void> {
    const { durable, dirMode: mode } = this.#shape;
    if (durable) await makeDir(dir, mode);
    else await Deno.mkdir(dir, { recursive: true, mode });
  }

  /** Syncs `dir`, and once what is above it: who made it may have died before its name was on the disk. */
  async #syncPath(dir: string): Promise<void> {
    await syncDir(dir);
    for (let below = dir; below !== this.#dir && !this.#rooted.has(below);) {
      await syncDir(dirname(below));
      this.#rooted.add(below);
      below = dirname(below);
    }
  }

  /** Tells one file of a digest from the next: a collector may have taken the first one. */
  stamp(digest: Digest): string | undefined {
    try {
      const { ino, ctime } = Deno.lstatSync(this.path(digest));
      return `${ino}:${ctime?.getTime() ?? 0}`;
    } catch (error) {
      return ignoreAbsent(error);
    }
  }

  /** Takes a blob off the disk; inside the transaction that forgets it. Idempotent. */
  removeSync(digest: Digest): void {
    try {
      unlinkSync(this.path(digest));
    } catch (error) {
      ignoreAbsent(error);
    }
  }

  /**
   * As {@linkcode removeSync} for many large ones: moves it aside, which takes microseconds where unlinking may
   * take tenths of a second, so that the transaction stays short. What it returns is unlinked by
   * {@linkcode discardTrash} when the transaction is over, or by {@linkcode purge} after a crash.
   */
  trashSync(digest: Digest): string | undefined {
    const trash = join(this.#dir, `${this.#shape.ingest}trash-${crypto.randomUUID()}`);
    try {
      renameSync(this.path(digest), trash);
      return trash;
    } catch (error) {
      ignoreAbsent(error);
      this.removeSync(digest); // the directory of waiting files may be what is absent
      return undefined;
    }
  }

  /** Takes back {@linkcode trashSync}. Never throws: the error that made it necessary is the one to tell. */
  untrashSync(path: string, digest: Digest): void {
    try {
      renameSync(path, this.path(digest));
    } catch { /* nobody needed it, or it would not have been thrown away */ }
  }

  /** Unlinks what {@linkcode trashSync} moved aside. Never throws: what stays is purged later. */
  async discardTrash(trash: readonly string[]): Promise<void> {
    for (const path of trash) await Deno.remove(path).catch(() => {});
  }

  /** Every blob on the disk, a shard at a time. Names that are not digests are left out. */
  async *list(): AsyncIterable<{ readonly digest: Digest; readonly modified: number }[]> {
    for (const algorithm of ["sha256", "sha384", "sha512"]) {
      const top = join(this.#dir, "blobs", algorithm);
      for (const shard of await namesIn(top)) {
        const found: { digest: Digest; modified: number }[] = [];
        for (const hex of await namesIn(join(top, shard))) {
          const digest = `${algorithm}:${hex}`;
          if (!isDigest(digest)) continue;
          const info = await Deno.lstat(join(top, shard, hex)).catch(ignoreAbsent);
          if (info?.isFile) found.push({ digest, modified: info.mtime?.getTime() ?? 0 });
        }
        if (found.length > 0) yield found;
      }
    }
  }

  /** Removes what crashed pushes and forgotten uploads left behind, unless `dry`; returns how many. */
  async purge(now: number, dry = false): Promise<number> {
    let removed = 0;
    const dir = join(this.#dir, "ingest");
    for (const name of await namesIn(dir)) {
      const path = join(dir, name);
      const info = await Deno.lstat(path).catch(ignoreAbsent);
      if (info === undefined || !info.isFile) continue;
      const age = now - (info.mtime?.getTime() ?? 0);
      if (age < (/^(upload|pull)-/.test(name) ? UPLOAD_TTL_MS : UNLOCKED_MS)) continue;
      if (!name.startsWith("upload-") && await isLocked(path)) continue;
      if (!dry) await Deno.remove(path).catch(ignoreAbsent);
      removed++;
    }
    return removed;
  }

  /** Where the bytes of an upload wait. */
  ingestPath(id: string, kind: IngestKind): string {
    return join(this.#dir, `${this.#shape.ingest}${kind}-${id}`);
  }
}

async function isLocked(path: string): Promise<boolean> {
  try {
    using file = await Deno.open(path, { read: true, write: true });
    return !await file.tryLock(true);
  } catch (error) {
    ignoreAbsent(error);
    return true;
  }
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(dir), (entry) => entry.name)).sort();
  } catch (error) {
    ignoreAbsent(error);
    return [];
  }
}

/** Makes `dir` and what is missing above it, each name durable; for us alone unless `mode` says more (ST-07). */
export async function makeDir(dir: string, mode = 0o700): Promise<void> {
  try {
    await Deno.mkdir(dir, { mode });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return;
    if (!(error instanceof Deno.errors.NotFound)) throw translate(error, `make directory ${dir}`);
    await makeDir(dirname(dir), mode);
    await Deno.mkdir(dir, { mode }).catch((cause) => {
      if (!(cause instanceof Deno.errors.AlreadyExists)) {
        throw translate(cause, `make directory ${dir}`);
      }
    });
  }
  await syncDir(dirname(dir));
}

/** Makes the names in `dir` durable; some file systems cannot and say so, which is not an error. */
export async function syncDir(dir: string): Promise<void> {
  try {
    using handle = await Deno.open(dir);
    await handle.sync();
  } catch (cause) {
    if (/EINVAL|ENOTSUP|EBADF/.test(String((cause as { code?: unknown }).code))) return;
    throw translate(cause, `sync ${dir}`);
  }
}

function ignoreAbsent(error: unknown): undefined {
  if ((error as { code?: unknown }).code !== "ENOENT") throw error;
  return undefined;
}
