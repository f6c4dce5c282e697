/** A remote registry as a place: names are checked, and what was learned on the way is put to use. */
import { orAborted } from "../abort.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestOfMade, isDigest } from "../oci/digest.ts";
import { type Document, parseDocument } from "../oci/manifest.ts";
import { isIndexType, isManifestType } from "../oci/media_type.ts";
import { apiHost } from "../oci/reference.ts";
import type {
  BlobUpload,
  CallOptions,
  ListOptions,
  ManifestOptions,
  PushManifestOptions,
  PushOptions,
  RawManifest,
} from "../registry.ts";
import { bytesSource, type Source } from "../source.ts";
import { Along } from "./along.ts";
import { discard } from "./api_request.ts";
import { RemoteUpload } from "./chunked_upload.ts";
import { countedBy } from "./counter.ts";
import { getBlob, type Held } from "./download.ts";
import { listRepositories, listTags } from "./listing.ts";
import { deleteManifest, getManifest, type GetOptions, statManifest } from "./manifest.ts";
import { ManifestWriter } from "./manifest_writer.ts";
import type { ClientOptions, HostFacts, HostStats, RegistryClient } from "./options.ts";
import { checkDigest, type ManifestPlace, manifestPlaceOf, named, placeOf } from "./place.ts";
import { asReferrer, Fallbacks, listReferrers } from "./referrers.ts";
import { pushBlob } from "./push_blob.ts";
import { repositoryScope } from "./scope.ts";
import { Session } from "./session.ts";
import { TagsSeen } from "./tags_seen.ts";
import type { Transport } from "./transport.ts";
import { cancelUpload, startUpload } from "./upload.ts";
import { Whereabouts } from "./whereabouts.ts";

/** A registry over HTTP. */
export class RemoteRegistry implements RegistryClient {
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
  readonly #seen: TagsSeen;
  readonly #writer: ManifestWriter;
  readonly #fallbacks: Fallbacks;
  readonly #along = new Along();

  /** Sends nothing yet; `close` is called when it is disposed. */
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
    this.#seen = new TagsSeen(this.#session);
    this.#writer = new ManifestWriter(this.#session, this.#whereabouts, this.#seen);
    this.#fallbacks = new Fallbacks(this.#session);
    this.#close = close;
  }

  async manifest(
    repository: string,
    reference: string,
    options?: ManifestOptions,
  ): Promise<RawManifest | undefined> {
    const place = this.#manifestPlace(repository, reference);
    const begun = this.#begun.get(named(place));
    const since = begun?.since ?? this.#session.now();
    if (begun === undefined) {
      const raw = await getManifest(this.#session, place, this.#get(options));
      this.#seen.read(place, since, raw);
      return raw;
    }
    this.#begun.delete(named(place));
    const raw = await orAborted(begun.reading, options?.signal);
    this.#seen.read(place, since, raw);
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
    const place = placeOf(this.name, repository);
    checkDigest(this.name, digest);
    const along = this.#along.taken(repository, digest);
    if (along !== undefined) {
      this.#whereabouts.add(repository, digest);
      return bytesSource(along);
    }
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
    const place = placeOf(this.name, repository);
    checkDigest(this.name, descriptor.digest);
    if (options?.manifestFollows && options.fresh && this.#session.learned.along === true) {
      const { digest, size } = descriptor;
      if (
        source.bytes?.byteLength === size && this.#along.goesWith(repository, digest, source.bytes)
      ) {
        options.onLeft?.();
        return "uploaded";
      }
    }
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
    const place = placeOf(this.name, repository);
    const config = this.#along.going(repository, document);
    const headers = await this.#writer.push(place, { ...manifest, config }, digest, options);
    if (config !== undefined && document !== undefined) this.#along.went(repository, document);
    const descriptor: Descriptor = { mediaType, digest, size: bytes.byteLength };
    const subject = document && subjectOf(document);
    if (document !== undefined && subject !== undefined && !headers.has("oci-subject")) {
      const add = asReferrer(document, descriptor);
      await this.#fallbacks.change(place, subject, { add }, options.signal);
    }
    return descriptor;
  }

  async upload(repository: string, options: CallOptions = {}): Promise<BlobUpload> {
    return await RemoteUpload.start(this.#session, placeOf(this.name, repository), options.signal);
  }

  async deleteManifest(
    repository: string,
    reference: string,
    options: CallOptions = {},
  ): Promise<boolean> {
    const place = this.#manifestPlace(repository, reference);
    const subject = isDigest(reference) ? await this.#subject(place, options) : undefined;
    this.#seen.forget(place);
    const deleted = await deleteManifest(this.#session, place, options);
    if (deleted && subject !== undefined && isDigest(reference)) {
      await this.#fallbacks.change(place, subject, { remove: reference }, options.signal);
    }
    return deleted;
  }

  async deleteBlob(
    repository: string,
    digest: Digest,
    options: CallOptions = {},
  ): Promise<boolean> {
    const { name } = placeOf(this.name, repository);
    checkDigest(this.name, digest);
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
    yield* await listTags(this.#session, placeOf(this.name, repository), options);
  }

  async referrers(
    repository: string,
    digest: Digest,
    options?: CallOptions & { readonly artifactType?: string | undefined },
  ): Promise<readonly Descriptor[]> {
    const place = placeOf(this.name, repository);
    checkDigest(this.name, digest);
    return await listReferrers(this.#session, place, digest, options);
  }

  foresee(wants: readonly { readonly repository: string; readonly write: boolean }[]): void {
    this.#session.foresee(
      wants.map(({ repository, write }) =>
        repositoryScope(repository, "pull", ...(write ? ["push"] : []))
      ),
    );
  }

  async begin(repository: string, reference: string, options?: ManifestOptions): Promise<void> {
    const place = this.#manifestPlace(repository, reference);
    const { promise, resolve } = Promise.withResolvers<void>();
    const since = this.#session.now();
    const reading = getManifest(this.#session, place, {
      ...this.#get(options),
      signal: this.#ending.signal,
      onSent: resolve,
    });
    this.#begun.set(named(place), { since, reading });
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
    options?: CallOptions & { readonly spare?: boolean | undefined },
  ): void {
    this.#seen.glance(this.#manifestPlace(repository, tag), options);
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
    const place = placeOf(this.name, repository);
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

  #get({ signal, withConfig }: ManifestOptions = {}): GetOptions {
    return { signal, ...(withConfig ? { along: this.#along } : {}) };
  }

  #manifestPlace(repository: string, reference: string): ManifestPlace {
    return manifestPlaceOf(placeOf(this.name, repository), reference);
  }

  /** The subject whose fallback index would have to forget this manifest, if the registry has no API for it. */
  async #subject(place: ManifestPlace, options: CallOptions): Promise<Digest | undefined> {
    const raw = await getManifest(this.#session, place, options);
    if (raw === undefined || !(isIndexType(raw.mediaType) || isManifestType(raw.mediaType))) {
      return undefined;
    }
    return subjectOf(parseDocument(raw.bytes, raw.mediaType));
  }
}

function subjectOf(document: Document): Digest | undefined {
  return (document.kind === "index" ? document.index : document.manifest).subject?.digest;
}
