import type { Digest } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { CHECKED, checkExpected, type TagExpectation, type UnmetDetail } from "../expectation.ts";
import type { PushManifestOptions } from "../registry.ts";
import {
  demandTag,
  type PutDocument,
  putManifest,
  type PutOptions,
  statManifest,
} from "./manifest.ts";
import { type ManifestPlace, manifestPlaceOf, type Place } from "./place.ts";
import type { Session } from "./session.ts";
import type { TagsSeen } from "./tags_seen.ts";
import type { Whereabouts } from "./whereabouts.ts";

type Manifest = PutDocument;

/** Puts manifests under all their tags, in as few requests as the registry lets us. */
export class ManifestWriter {
  readonly #session: Session;
  readonly #whereabouts: Whereabouts;
  readonly #seen: TagsSeen;

  /** What the three know changes as the registry answers. */
  constructor(session: Session, whereabouts: Whereabouts, seen: TagsSeen) {
    this.#session = session;
    this.#whereabouts = whereabouts;
    this.#seen = seen;
  }

  /** Puts a manifest under its tags, or its digest; the answer to the last put. */
  async push(
    place: Place,
    manifest: Manifest,
    digest: Digest,
    { tags = [], signal, row, once, expect = [] }: PushManifestOptions,
  ): Promise<Headers> {
    const names = tags.length > 0 ? tags : [digest];
    const places = names.map((reference) => manifestPlaceOf(place, reference));
    checkExpected(expect, tags);
    const wanted = new Map(expect.map(({ tag, is }) => [tag, is]));
    // Those that may be refused come first: nothing is set then.
    let headers: Headers | undefined;
    for (const each of places) {
      const is = wanted.get(each.reference);
      if (is === undefined) continue;
      headers = await this.#putExpecting(each, manifest, digest, { is, signal, row });
    }
    const free = tags.filter((tag) => !wanted.has(tag));
    headers = await this.#putTags(place, manifest, digest, free, signal) ?? headers;
    const set = new Set(headers?.get("oci-tag")?.split(",").map((tag) => tag.trim()));
    for (const each of places) {
      if (set.has(each.reference) || wanted.has(each.reference)) continue;
      headers = await this.#put(each, manifest, digest, { signal, row, once });
    }
    return headers ?? new Headers();
  }

  /**
   * All tags in one request for ten, where the registry says which it set (`OCI-Tag`, C-PUT-02). One that does not
   * has stored the manifest by its digest, and is not asked again.
   */
  async #putTags(
    repository: Place,
    manifest: Manifest,
    digest: Digest,
    tags: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<Headers | undefined> {
    const { learned } = this.#session;
    if (tags.length < 2 || learned.manyTags === false) return undefined;
    const place = manifestPlaceOf(repository, digest);
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

  /**
   * Sets a tag only from where it is expected. A registry that does not say that it looked is asked before each put, and before
   * each try of one: while it wants to be left alone, others may move the tag.
   */
  async #putExpecting(
    place: ManifestPlace,
    manifest: Manifest,
    digest: Digest,
    options: PutOptions & { readonly is: TagExpectation["is"] },
  ): Promise<Headers> {
    const { learned } = this.#session;
    const { is, signal } = options;
    if (learned.conditions !== true) {
      demandTag(place, is, await this.#seen.look(place, signal), digest);
    }
    let tries = 1;
    const again = async () => {
      tries++;
      if (learned.conditions === true) return;
      const now = await statManifest(this.#session, place, { signal });
      // The answer was lost, the put was not.
      if (now?.digest !== digest) demandTag(place, is, now, digest);
    };
    try {
      const headers = await this.#put(place, manifest, digest, { ...options, again });
      learned.conditions = headers.has(CHECKED);
      return headers;
    } catch (error) {
      if (tries === 1 || !isOciError(error, "PRECONDITION_FAILED")) throw error;
      if ((error.detail as Partial<UnmetDetail> | undefined)?.digest !== digest) throw error;
      return new Headers(); // set by a try before
    }
  }

  /** What the registry says it lacks is not believed to be there any more: pushed again, it will be sent (C-PUT-03). */
  async #put(
    place: ManifestPlace,
    manifest: Manifest,
    digest: Digest,
    options: PutOptions,
  ): Promise<Headers> {
    this.#seen.forget(place);
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
}
