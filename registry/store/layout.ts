/** An OCI image layout in a directory, as a place. */
import { join, resolve } from "node:path";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Algorithm, algorithmOf, type Digest, digestOf, isDigest } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { childrenOf, parseDocument } from "../oci/manifest.ts";
import { isForeignLayerType, MediaType } from "../oci/media_type.ts";
import { checkExpected, demand } from "../expectation.ts";
import { referrerOf } from "../referrer.ts";
import type { BlobUpload, CallOptions, ListOptions, RawManifest, Registry } from "../registry.ts";
import { fileSource } from "../source.ts";
import { BlobFiles, LAYOUT_SHAPE, makeDir, syncDir } from "./blob_files.ts";
import { translate } from "./database.ts";
import {
  checkLayout,
  type LayoutFiles,
  type LayoutIndex,
  LayoutReader,
  readLayoutIndex,
  REF_NAME,
  refName,
} from "./layout_reader.ts";
import { FileUpload, fillUpload, newUploadId, type UploadHost } from "./upload.ts";
import { verifiedSource } from "./verified.ts";

/** The one repository of a layout; any other name means the same. */
export const LAYOUT_REPOSITORY = "layout";

/** Options of {@linkcode openLayout}. */
export interface LayoutOptions {
  /** Make the directory when it is absent. Default false. */
  readonly create?: boolean | undefined;
}

/**
 * Opens an OCI image layout. It has one repository, whatever it is asked for as; `ref.name` annotations of
 * `index.json` are its tags. Blobs are written before `index.json`, which changes by rename, so a reader never
 * sees half an image; writers in several processes take turns.
 *
 * @throws {OciError} `NAME_UNKNOWN` when there is no such directory, `UNAVAILABLE` when it is no layout; symlinks and special files in it are refused when they
 * are met.
 */
export async function openLayout(dir: string, options: LayoutOptions = {}): Promise<Registry> {
  const path = resolve(dir);
  if (options.create) await createLayout(path);
  else await mustExist(path);
  const files = layoutFiles(path);
  await checkLayout(files);
  await readLayoutIndex(files);
  return new Layout(path, files);
}

/** The only manifest of the layout in `dir`, when there is one: many tools write theirs without a tag. */
export async function onlyManifest(dir: string): Promise<Digest | undefined> {
  const { manifests } = await readLayoutIndex(layoutFiles(resolve(dir)));
  return manifests.length === 1 ? manifests[0]!.digest : undefined;
}

async function mustExist(dir: string): Promise<void> {
  try {
    await Deno.stat(dir);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) return; // what is wrong is said by who reads it
    throw new OciError("NAME_UNKNOWN", `Cannot open oci:${dir}: no such directory`, { cause });
  }
}

/** @throws {OciError} `UNAVAILABLE` when `dir` is there, and neither a layout nor empty. */
export async function refuseNoLayout(dir: string): Promise<void> {
  const stat = await Deno.stat(dir).catch(() => undefined);
  if (stat === undefined || await regular(join(dir, "oci-layout")) !== undefined) return;
  if (stat.isDirectory) return await refuseOthers(dir);
  throw new OciError("UNAVAILABLE", `Cannot make an OCI layout in ${dir}: it is no directory`);
}

async function refuseOthers(dir: string): Promise<void> {
  for await (const { name } of Deno.readDir(dir)) {
    if (name.startsWith(".wherry-") || name === "index.json" || name === "blobs") continue;
    throw new OciError(
      "UNAVAILABLE",
      `Cannot make an OCI layout in ${dir}: it holds ${
        JSON.stringify(name)
      }; want an empty directory`,
    );
  }
}

async function createLayout(dir: string): Promise<void> {
  await makeDir(dir, 0o755);
  if (await regular(join(dir, "oci-layout")) !== undefined) return;
  await refuseOthers(dir);
  await makeDir(join(dir, "blobs"), 0o755);
  await makeDir(join(dir, "blobs", "sha256"), 0o755);
  if (await regular(join(dir, "index.json")) === undefined) {
    await replace(dir, "index.json", {
      schemaVersion: 2,
      mediaType: MediaType.ociIndex,
      manifests: [],
    });
  }
  // Last, because it says that the rest is there.
  await replace(dir, "oci-layout", { imageLayoutVersion: "1.0.0" });
}

/** Writes a small file whole: beside it, synced, then renamed over it. */
async function replace(dir: string, name: string, value: unknown): Promise<void> {
  const waiting = join(dir, `.wherry-${name}-${crypto.randomUUID()}`);
  try {
    using file = await Deno.open(waiting, { createNew: true, write: true, mode: 0o644 });
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    for (let at = 0; at < bytes.byteLength;) at += await file.write(bytes.subarray(at));
    await file.sync();
    await Deno.rename(waiting, join(dir, name));
  } catch (cause) {
    await Deno.remove(waiting).catch(() => {});
    throw translate(cause, `write ${join(dir, name)}`);
  }
  await syncDir(dir);
}

/** The size of a regular file, `undefined` when it is absent; anything else is refused unread. */
async function regular(path: string): Promise<number | undefined> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw translate(error, `read ${path}`);
  }
  if (info.isFile) return info.size;
  throw new OciError("DENIED", `Cannot read ${path}: it is not a regular file`);
}

function layoutFiles(dir: string): LayoutFiles {
  const blobs = new BlobFiles(dir, LAYOUT_SHAPE);
  return {
    name: `oci:${dir}`,
    async document(path, limit) {
      const full = join(dir, path);
      const size = await regular(full);
      if (size === undefined) return undefined;
      if (size > limit) {
        throw new OciError(
          "MANIFEST_INVALID",
          `Cannot read ${full}: it is longer than ${limit} bytes`,
        );
      }
      return await Deno.readFile(full);
    },
    async blob(digest) {
      for (const above of [join(dir, "blobs"), join(dir, "blobs", algorithmOf(digest))]) {
        const info = await Deno.lstat(above).catch(() => undefined);
        if (info === undefined) return undefined;
        if (!info.isDirectory) {
          throw new OciError("DENIED", `Cannot read ${above}: it is not a directory`);
        }
      }
      const path = blobs.path(digest);
      const size = await regular(path);
      return size === undefined ? undefined : fileSource(path, size);
    },
  };
}

class Layout extends LayoutReader implements Registry, UploadHost {
  readonly name: string;
  readonly files: BlobFiles;
  readonly #dir: string;
  readonly #layout: LayoutFiles;
  #line: Promise<void> = Promise.resolve();

  constructor(dir: string, layout: LayoutFiles) {
    super(layout, verifiedSource);
    this.name = layout.name;
    this.files = new BlobFiles(dir, LAYOUT_SHAPE);
    this.#dir = dir;
    this.#layout = layout;
  }

  async pushBlob(
    ...[repository, descriptor, source, options = {}]: Parameters<Registry["pushBlob"]>
  ): ReturnType<Registry["pushBlob"]> {
    options.signal?.throwIfAborted();
    const { digest, size } = descriptor;
    if ((await this.#layout.blob(digest))?.size === size) return "exists";
    const id = newUploadId(repository);
    const upload = new FileUpload(this, id, "push", repository, algorithmOf(digest));
    await fillUpload(upload, descriptor, source, options);
    return "uploaded";
  }

  // deno-lint-ignore require-await
  async upload(
    repository: string,
    options: CallOptions & { readonly algorithm?: Algorithm | undefined } = {},
  ): Promise<BlobUpload> {
    return new FileUpload(this, newUploadId(repository), "push", repository, options.algorithm);
  }

  async record(
    _repository: string,
    { digest }: { readonly digest: Digest },
    how: { readonly bytes: Uint8Array } | { readonly publish: () => void },
  ): Promise<void> {
    if ("publish" in how) how.publish();
    else await this.#writeBlob(digest, how.bytes);
    await this.files.settle(digest);
  }

  /** Nothing is kept between calls. */
  opened(): void {}

  /** Nothing is kept between calls. */
  ended(): void {}

  async #writeBlob(digest: Digest, bytes: Uint8Array): Promise<void> {
    const id = newUploadId(LAYOUT_REPOSITORY);
    const file = await this.files.ingest(id, "push");
    try {
      for (let at = 0; at < bytes.byteLength;) at += await file.write(bytes.subarray(at));
    } catch (cause) {
      file.close();
      await this.files.discard(id, "push");
      throw translate(cause, `write blob ${digest}`);
    }
    (await this.files.seal(id, "push", file, digest))();
    await this.files.settle(digest);
  }

  async pushManifest(
    ...[_repository, { mediaType, bytes }, options = {}]: Parameters<Registry["pushManifest"]>
  ): Promise<Descriptor> {
    const { tags = [], expect = [] } = options;
    checkExpected(expect, tags);
    const document = parseDocument(bytes, mediaType);
    const digest = digestOf(bytes, options.digest && algorithmOf(options.digest));
    if (options.digest !== undefined && options.digest !== digest) {
      throw new OciError(
        "DIGEST_INVALID",
        `Cannot store manifest in ${this.name}: its bytes have digest ${digest}, want ${options.digest}`,
      );
    }
    const missing: string[] = [];
    const children = childrenOf(document);
    for (const child of children) {
      const foreign = document.kind === "manifest" && isForeignLayerType(child.mediaType);
      if (!foreign && await this.#layout.blob(child.digest) === undefined) {
        missing.push(child.digest);
      }
    }
    if (missing.length > 0) {
      throw new OciError(
        "MANIFEST_BLOB_UNKNOWN",
        `Cannot store manifest in ${this.name}: ${missing[0]} is not there`,
        { detail: missing.map((digest) => ({ digest })) },
      );
    }
    if (await this.#layout.blob(digest) === undefined) await this.#writeBlob(digest, bytes);
    const descriptor = { mediaType: document.mediaType, digest, size: bytes.byteLength };
    const inside = new Set<string>(children.map((child) => child.digest));
    await this.#change((entries) => {
      demand(expect, this.name, digest, (tag) => {
        return entries.find((entry) => refName(entry) === tag)?.digest;
      });
      const kept = entries.filter((entry) => {
        const name = refName(entry);
        if (name !== undefined) return !tags.includes(name);
        // An entry without a name only kept it reachable until something names or lists it.
        return entry.digest !== digest && !inside.has(entry.digest);
      });
      const named = tags.map((tag) => ({ ...descriptor, annotations: { [REF_NAME]: tag } }));
      const reachable = kept.some((entry) => entry.digest === digest);
      return [...kept, ...named, ...named.length > 0 || reachable ? [] : [descriptor]];
    });
    return descriptor;
  }

  async deleteManifest(_repository: string, reference: string): Promise<boolean> {
    const digest = isDigest(reference) ? reference : undefined;
    if (digest !== undefined && await this.manifest(LAYOUT_REPOSITORY, digest) === undefined) {
      return false;
    }
    let found = digest !== undefined;
    await this.#change((entries) => {
      const gone = entries.filter((entry) =>
        digest === undefined ? refName(entry) === reference : entry.digest === digest
      );
      found ||= gone.length > 0;
      return entries.filter((entry) => !gone.includes(entry));
    });
    if (digest !== undefined) this.files.removeSync(digest);
    return found;
  }

  async deleteBlob(_repository: string, digest: Digest): Promise<boolean> {
    if (await this.#layout.blob(digest) === undefined) return false;
    this.files.removeSync(digest);
    return true;
  }

  async *repositories(options: ListOptions = {}): AsyncIterable<string> {
    if ((options.after ?? "") >= LAYOUT_REPOSITORY) return;
    if ((await readLayoutIndex(this.#layout)).manifests.length > 0) yield LAYOUT_REPOSITORY;
  }

  async *tags(_repository: string, options: ListOptions = {}): AsyncIterable<string> {
    const { manifests } = await readLayoutIndex(this.#layout);
    const names = new Set(manifests.map(refName).filter((name) => name !== undefined));
    const after = options.after ?? "";
    yield* [...names].filter((name) => name > after).sort((a, b) => (a < b ? -1 : 1));
  }

  async referrers(
    ...[repository, digest, options = {}]: Parameters<Registry["referrers"]>
  ): Promise<readonly Descriptor[]> {
    const found: Descriptor[] = [];
    const { manifests } = await readLayoutIndex(this.#layout);
    for (const wanted of new Set(manifests.map((entry) => entry.digest))) {
      const raw: RawManifest | undefined = await this.manifest(repository, wanted);
      if (raw === undefined) continue;
      const document = parseDocument(raw.bytes, raw.mediaType);
      const size = raw.bytes.byteLength;
      const said = referrerOf(document, { mediaType: raw.mediaType, digest: raw.digest, size });
      const fits = options.artifactType === undefined ||
        said?.descriptor.artifactType === options.artifactType;
      if (said?.subject === digest && fits) found.push(said.descriptor);
    }
    return found;
  }

  /**
   * Changes `index.json` while nobody else does: the lock is on `oci-layout`, which never changes. Within this
   * object changes wait in line, since each waiting lock would hold a thread.
   */
  async #change(act: (entries: readonly Descriptor[]) => readonly Descriptor[]): Promise<void> {
    const turn = this.#line.then(async () => {
      using lock = await Deno.open(join(this.#dir, "oci-layout"), { read: true, write: true });
      await lock.lock(true);
      const index: LayoutIndex = await readLayoutIndex(this.#layout);
      await replace(this.#dir, "index.json", { ...index, manifests: act(index.manifests) });
    });
    this.#line = turn.catch(() => {});
    await turn;
  }
}
