/** Remote registries as places. */
import { orAborted } from "../abort.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestOfMade, isDigest } from "../oci/digest.ts";
import { isOciError, OciError } from "../oci/error.ts";
import { type Document, parseDocument } from "../oci/manifest.ts";
import { isIndexType, isManifestType } from "../oci/media_type.ts";
import { apiHost, familiarRepository, isRepositoryName, isTagOrDigest } from "../oci/reference.ts";
import type {
  BlobUpload,
  CallOptions,
  ListOptions,
  PushManifestOptions,
  PushOptions,
  RawManifest,
} from "../registry.ts";
import { CHECKED, checkExpected, type TagExpectation } from "../expectation.ts";
import type { Source } from "../source.ts";
import { RemoteUpload } from "./chunked_upload.ts";
import { countedBy } from "./counter.ts";
import { getBlob, type Held } from "./download.ts";
import { listRepositories, listTags } from "./listing.ts";
import {
  deleteManifest,
  demandTag,
  getManifest,
  type ManifestPlace,
  putManifest,
  type PutOptions,
  statManifest,
} from "./manifest.ts";
import type { ClientOptions, HostFacts, HostStats, RegistryClient } from "./options.ts";
import { asReferrer, changeFallback, listReferrers } from "./referrers.ts";
import { repositoryScope } from "./scope.ts";
import { discard } from "./api_request.ts";
import { Session } from "./session.ts";
import { Transport } from "./transport.ts";
import { cancelUpload, pushBlob, startUpload } from "./upload.ts";
import { Whereabouts } from "./whereabouts.ts";

/**
 * A registry by the host of a {@linkcode Reference}. Nothing is sent before the first call.
 *
 * @example Copying a config
 * ```ts ignore
 * await using registry = connectRegistry("localhost:5000", {});
 * const manifest = await registry.manifest("app", "latest");
 * ```
 */
export function connectRegistry(host: string, options: ClientOptions = {}): RegistryClient {
  const transport = new Transport(options);
  return new RemoteRegistry(host, transport, options, () => transport.close());
}

/**
 * All registries of a process: one object for each host, so that two images of one registry know that they are
 * neighbours, and connections, tokens and pace are shared.
 */
export class Registries implements AsyncDisposable {
  readonly #options: ClientOptions;
  readonly #transport: Transport;
  readonly #clients = new Map<string, RemoteRegistry>();

  /** Connects to nothing yet. */
  constructor(options: ClientOptions = {}) {
    this.#options = options;
    this.#transport = new Transport(options);
  }

  /** The registry of a {@linkcode Reference}'s host; the same object every time. Ours to dispose. */
  client(host: string): RegistryClient {
    const key = apiHost(host.toLowerCase());
    const known = this.#clients.get(key);
    if (known !== undefined) return known;
    const made = new RemoteRegistry(
      host.toLowerCase(),
      this.#transport,
      this.#options,
      () => Promise.resolve(),
    );
    this.#clients.set(key, made);
    return made;
  }

  /** What went over the wire so far, by host. */
  stats(): Readonly<Record<string, HostStats>> {
    return this.#transport.stats();
  }

  /** Closes all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients.values()) await client[Symbol.asyncDispose]();
    await this.#transport.close();
  }
}

/** What a tag was so long ago, in milliseconds, it may still be. */
const GLANCE_MS = 1000;
/** Tags that are remembered so long; of a fleet no more are under way. */
const MAX_READS = 1000;

class RemoteRegistry implements RegistryClient {
  readonly name: string;
  readonly #session: Session;
  readonly #transport: Transport;
  readonly #whereabouts: Whereabouts;
  readonly #held: Held = new Set();
  readonly #close: () => Promise<void>;
  readonly #begun = new Map<
    string,
    { readonly since: number; readonly reading: Promise<RawManifest | undefined> }
  >();
  /** Ends what was begun and nobody asked for. */
  readonly #ending = new AbortController();
  readonly #glances = new Map<
    string,
    { readonly since: number; readonly seen: Promise<Descriptor | undefined> }
  >();
  /** Tags whose manifests were read: as good as a glance to whoever says so. */
  readonly #reads = new Map<
    string,
    { readonly since: number; readonly seen: Promise<Descriptor | undefined> }
  >();
  /** Changes of one fallback index come one after the other. */
  readonly #changing = new Map<string, Promise<void>>();

  constructor(
    host: string,
    transport: Transport,
    options: ClientOptions,
    close: () => Promise<void>,
  ) {
    this.name = host;
    this.#transport = transport;
    this.#whereabouts = new Whereabouts(options.now ?? Date.now);
    this.#session = new Session(host, apiHost(host), transport, options);
    this.#close = close;
  }

  async manifest(
    repository: string,
    reference: string,
    options?: CallOptions,
  ): Promise<RawManifest | undefined> {
    const key = `${repository}:${reference}`;
    const begun = this.#begun.get(key);
    const since = begun?.since ?? this.#session.now();
    if (begun === undefined) {
      const place = this.#manifestPlace(repository, reference);
      const raw = await getManifest(this.#session, place, options);
      this.#see(key, since, raw);
      return raw;
    }
    this.#begun.delete(key);
    const raw = await orAborted(begun.reading, options?.signal);
    this.#see(key, since, raw);
    const tally = countedBy(options?.signal);
    if (tally !== undefined) {
      tally.requests++;
      tally.bytes += raw?.bytes.byteLength ?? 0;
    }
    return raw;
  }

  async stat(
    repository: string,
    reference: string,
    options?: CallOptions,
  ): Promise<Descriptor | undefined> {
    return await statManifest(this.#session, this.#manifestPlace(repository, reference), options);
  }

  async blob(
    repository: string,
    digest: Digest,
    options?: CallOptions,
  ): Promise<Source | undefined> {
    const place = this.#place(repository);
    this.#checkDigest(digest);
    const source = await getBlob(this.#session, this.#held, { ...place, digest }, options);
    if (source === undefined) this.#whereabouts.remove(repository, digest);
    else this.#whereabouts.add(repository, digest);
    return source;
  }

  async pushBlob(
    repository: string,
    descriptor: Descriptor,
    source: Source,
    options?: PushOptions,
  ): Promise<"exists" | "mounted" | "uploaded"> {
    const place = this.#place(repository);
    this.#checkDigest(descriptor.digest);
    return await pushBlob(
      this.#session,
      this.#whereabouts,
      { ...place, descriptor, source },
      options,
    );
  }

  async pushManifest(
    repository: string,
    manifest: Omit<RawManifest, "digest">,
    options: PushManifestOptions = {},
  ): Promise<Descriptor> {
    const { mediaType, bytes } = manifest;
    const document = isIndexType(mediaType) || isManifestType(mediaType)
      ? parseDocument(bytes, mediaType)
      : undefined;
    const digest = options.digest ?? digestOfMade(bytes);
    const tags = options.tags ?? [];
    const names = tags.length > 0 ? tags : [digest];
    const places = names.map((reference) => this.#manifestPlace(repository, reference));
    const { signal, row, once, expect = [] } = options;
    checkExpected(expect, tags);
    const wanted = new Map(expect.map(({ tag, is }) => [tag, is]));
    // Those that may be refused come first: nothing is set then.
    let headers: Headers | undefined;
    for (const place of places) {
      const is = wanted.get(place.reference);
      if (is === undefined) continue;
      headers = await this.#putExpecting(place, manifest, digest, { is, signal, row });
    }
    const free = tags.filter((tag) => !wanted.has(tag));
    headers = await this.#putTags(repository, manifest, digest, free, signal) ?? headers;
    const named = new Set(headers?.get("oci-tag")?.split(",").map((tag) => tag.trim()));
    for (const place of places) {
      if (named.has(place.reference) || wanted.has(place.reference)) continue;
      headers = await this.#put(place, manifest, digest, { signal, row, once });
    }
    headers ??= new Headers();
    const descriptor: Descriptor = { mediaType, digest, size: bytes.byteLength };
    const subject = document && subjectOf(document);
    if (document !== undefined && subject !== undefined && !headers.has("oci-subject")) {
      const add = asReferrer(document, descriptor);
      await this.#changeFallback(repository, subject, { add }, options.signal);
    }
    return descriptor;
  }

  async upload(repository: string, options: CallOptions = {}): Promise<BlobUpload> {
    return await RemoteUpload.start(this.#session, this.#place(repository), options.signal);
  }

  async deleteManifest(
    repository: string,
    reference: string,
    options: CallOptions = {},
  ): Promise<boolean> {
    const place = this.#manifestPlace(repository, reference);
    const subject = isDigest(reference) ? await this.#subject(place, options) : undefined;
    this.#reads.delete(`${repository}:${reference}`);
    const deleted = await deleteManifest(this.#session, place, options);
    if (deleted && subject !== undefined && isDigest(reference)) {
      await this.#changeFallback(repository, subject, { remove: reference }, options.signal);
    }
    return deleted;
  }

  async deleteBlob(
    repository: string,
    digest: Digest,
    options: CallOptions = {},
  ): Promise<boolean> {
    const { name } = this.#place(repository);
    this.#checkDigest(digest);
    this.#whereabouts.remove(repository, digest);
    const answer = await this.#session.send({
      act: `delete blob ${digest} of ${name}`,
      method: "DELETE",
      to: `/v2/${repository}/blobs/${digest}`,
      repository,
      scopes: [repositoryScope(repository, "pull", "push", "delete")],
      expect: [200, 202, 204, 404],
      signal: options.signal,
    });
    await discard(answer);
    return answer.status !== 404;
  }

  async *repositories(options?: ListOptions): AsyncGenerator<string> {
    yield* await listRepositories(this.#session, options);
  }

  async *tags(repository: string, options?: ListOptions): AsyncGenerator<string> {
    yield* await listTags(this.#session, this.#place(repository), options);
  }

  async referrers(
    repository: string,
    digest: Digest,
    options?: CallOptions & { readonly artifactType?: string | undefined },
  ): Promise<readonly Descriptor[]> {
    const place = this.#place(repository);
    this.#checkDigest(digest);
    return await listReferrers(this.#session, place, digest, options);
  }

  foresee(wants: readonly { readonly repository: string; readonly write: boolean }[]): void {
    this.#session.foresee(
      wants.map(({ repository, write }) =>
        repositoryScope(repository, "pull", ...(write ? ["push"] : []))
      ),
    );
  }

  async begin(repository: string, reference: string): Promise<void> {
    const place = this.#manifestPlace(repository, reference);
    const { promise, resolve } = Promise.withResolvers<void>();
    const since = this.#session.now();
    const reading = getManifest(this.#session, place, {
      signal: this.#ending.signal,
      onSent: resolve,
    });
    this.#begun.set(`${repository}:${reference}`, { since, reading });
    // What goes wrong is said to whoever asks for it.
    await Promise.race([promise, reading.then(() => {}, () => {})]);
  }

  get facts(): HostFacts {
    return this.#session.learned;
  }

  get challenged(): boolean {
    return this.#session.challenged;
  }

  glance(
    repository: string,
    tag: string,
    { spare = false, signal }: CallOptions & { readonly spare?: boolean | undefined } = {},
  ): void {
    if (this.#session.learned.conditions === true) return;
    const key = `${repository}:${tag}`;
    const since = this.#session.now();
    const read = this.#reads.get(key);
    // The put is to come while it is still good.
    if (spare && read !== undefined && since - read.since < GLANCE_MS / 2) {
      this.#glances.set(key, read);
      return;
    }
    const seen = statManifest(this.#session, this.#manifestPlace(repository, tag), { signal });
    seen.catch(() => {}); // said to whoever puts
    this.#glances.set(key, { since, seen });
  }

  /** A tag that was read was looked at, too. */
  #see(key: string, since: number, raw: RawManifest | undefined): void {
    if (this.#session.learned.conditions === true) return;
    const seen = raw && {
      mediaType: raw.mediaType,
      digest: raw.digest,
      size: raw.bytes.byteLength,
    };
    this.#reads.delete(key);
    this.#reads.set(key, { since, seen: Promise.resolve(seen) });
    for (const oldest of this.#reads.keys()) {
      if (this.#reads.size <= MAX_READS) break;
      this.#reads.delete(oldest);
    }
  }

  async checkAccess(
    repository: string,
    access: "read" | "write",
    { reference = "latest", signal }: CallOptions & { readonly reference?: string | undefined } =
      {},
  ): Promise<void> {
    if (access === "read") {
      await this.stat(repository, reference, { signal });
      return;
    }
    const place = this.#place(repository);
    const { location } = await startUpload(this.#session, place, signal);
    await cancelUpload(this.#session, place, location);
  }

  stats(): Readonly<Record<string, HostStats>> {
    return this.#transport.stats();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    for (const source of [...this.#held]) await source.drop();
    await this.#close();
  }

  #place(repository: string): { readonly name: string; readonly repository: string } {
    const name = familiarRepository({ registry: this.name, repository });
    // Checked before it becomes part of an address (C-REF-07, M-02).
    if (isRepositoryName(repository)) return { name, repository };
    throw new OciError(
      "NAME_INVALID",
      `Cannot ask ${this.name} for repository ${
        JSON.stringify(repository.slice(0, 140))
      }: it is not a repository name`,
    );
  }

  #manifestPlace(repository: string, reference: string): ManifestPlace {
    const place = this.#place(repository);
    if (isTagOrDigest(reference)) return { ...place, reference };
    throw new OciError(
      "NAME_INVALID",
      `Cannot ask for ${
        JSON.stringify(reference.slice(0, 140))
      } of ${place.name}: want a tag or a digest`,
    );
  }

  #checkDigest(digest: string): void {
    if (isDigest(digest)) return;
    throw new OciError(
      "DIGEST_INVALID",
      `Cannot ask ${this.name} for ${JSON.stringify(digest.slice(0, 140))}: it is not a digest`,
    );
  }

  /**
   * All tags in one request for ten, where the registry says which it set (`OCI-Tag`, C-PUT-02). One that does not
   * has stored the manifest by its digest, and is not asked again.
   */
  async #putTags(
    repository: string,
    manifest: { readonly mediaType: string; readonly bytes: Uint8Array<ArrayBuffer> },
    digest: Digest,
    tags: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<Headers | undefined> {
    const { learned } = this.#session;
    if (tags.length < 2 || learned.manyTags === false) return undefined;
    const place = this.#manifestPlace(repository, digest);
    let last: Headers | undefined;
    const set: string[] = [];
    for (let at = 0; at < tags.length; at += 10) {
      last = await this.#put(place, manifest, digest, { signal, tags: tags.slice(at, at + 10) });
      learned.manyTags = last.has("oci-tag");
      if (!learned.manyTags) break;
      set.push(last.get("oci-tag")!);
    }
    if (set.length > 0) last?.set("oci-tag", set.join(","));
    return last;
  }

  /** Sets a tag only from where it is expected. A registry that does not say that it looked is asked before each put. */
  async #putExpecting(
    place: ManifestPlace,
    manifest: { readonly mediaType: string; readonly bytes: Uint8Array<ArrayBuffer> },
    digest: Digest,
    options: PutOptions & { readonly is: TagExpectation["is"] },
  ): Promise<Headers> {
    const { learned } = this.#session;
    const { is, signal } = options;
    if (learned.conditions !== true) {
      const key = `${place.repository}:${place.reference}`;
      const glance = this.#glances.get(key);
      this.#glances.delete(key);
      const fresh = glance !== undefined && this.#session.now() - glance.since < GLANCE_MS;
      demandTag(
        place,
        is,
        await (fresh ? glance.seen : statManifest(this.#session, place, { signal })),
        digest,
      );
    }
    const headers = await this.#put(place, manifest, digest, options);
    learned.conditions = headers.has(CHECKED);
    return headers;
  }

  /** What the registry says it lacks is not believed to be there any more: pushed again, it will be sent (C-PUT-03). */
  async #put(
    place: ManifestPlace,
    manifest: { readonly mediaType: string; readonly bytes: Uint8Array<ArrayBuffer> },
    digest: Digest,
    options: PutOptions,
  ): Promise<Headers> {
    this.#reads.delete(`${place.repository}:${place.reference}`);
    try {
      return await putManifest(this.#session, place, manifest, digest, options);
    } catch (error) {
      if (isOciError(error, "MANIFEST_BLOB_UNKNOWN")) {
        this.#session.learned.refuses = true;
        const lost = Array.isArray(error.detail) ? error.detail : [];
        for (const digest of lost) this.#whereabouts.remove(place.repository, digest);
        if (lost.length === 0) this.#whereabouts.forget(place.repository);
      }
      throw error;
    }
  }

  /** The subject whose fallback index would have to forget this manifest, if the registry has no API for it. */
  async #subject(place: ManifestPlace, options: CallOptions): Promise<Digest | undefined> {
    const raw = await getManifest(this.#session, place, options);
    if (raw === undefined || !(isIndexType(raw.mediaType) || isManifestType(raw.mediaType))) {
      return undefined;
    }
    return subjectOf(parseDocument(raw.bytes, raw.mediaType));
  }

  async #changeFallback(
    repository: string,
    subject: Digest,
    change: { readonly add: Descriptor } | { readonly remove: Digest },
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const key = `${repository}@${subject}`;
    const before = this.#changing.get(key) ?? Promise.resolve();
    const mine = before.catch(() => {}).then(() =>
      changeFallback(this.#session, this.#place(repository), subject, change, signal)
    );
    this.#changing.set(key, mine);
    try {
      await mine;
    } finally {
      if (this.#changing.get(key) === mine) this.#changing.delete(key);
    }
  }
}

function subjectOf(document: Document): Digest | undefined {
  return (document.kind === "index" ? document.index : document.manifest).subject?.digest;
}
