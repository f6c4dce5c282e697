import type { Digest } from "../oci/digest.ts";

/** A registry may clean up, and others may delete: what was true so long ago is asked again. */
const TRUSTED_MS = 10 * 60 * 1000;
/** Blobs that are kept in mind; the oldest go first. */
const MOST = 50_000;

/** Who holds a blob, and since when that is known; of several the latest seen is the last. Most blobs have one holder. */
type Holders = { readonly repository: string; readonly since: number } | Map<string, number>;

/**
 * Which repositories of a registry are known to hold a blob (C-MNT-05). Facts end: after a while by themselves, at once when
 * the registry says something else.
 */
export class Whereabouts {
  readonly #now: () => number;
  readonly #holders = new Map<Digest, Holders>();
  readonly #refused = new Map<string, number>();

  /** `now` in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** `repository` holds `digest`. */
  add(repository: string, digest: Digest): void {
    const since = this.#now();
    const known = this.#holders.get(digest);
    this.#holders.delete(digest);
    if (known instanceof Map) {
      known.delete(repository);
      this.#holders.set(digest, known.set(repository, since));
    } else if (known === undefined || known.repository === repository) {
      this.#holders.set(digest, { repository, since });
    } else {
      const both = new Map([[known.repository, known.since], [repository, since]]);
      this.#holders.set(digest, both);
    }
    for (const oldest of this.#holders.keys()) {
      if (this.#holders.size <= MOST) break;
      this.#holders.delete(oldest);
    }
  }

  /** Whether that is known. */
  has(repository: string, digest: Digest): boolean {
    const holders = this.#holders.get(digest);
    if (holders instanceof Map) return this.#isFresh(holders.get(repository));
    return holders?.repository === repository && this.#isFresh(holders.since);
  }

  /** It no longer does. */
  remove(repository: string, digest: Digest): void {
    const holders = this.#holders.get(digest);
    if (holders instanceof Map) holders.delete(repository);
    else if (holders?.repository === repository) this.#holders.delete(digest);
  }

  /** Nothing is known of `repository` any more: it lacks something, and did not say what. */
  forget(repository: string): void {
    for (const digest of this.#holders.keys()) this.remove(repository, digest);
  }

  /** Mounting between the two does not work: of many layers only the first shall find that out. */
  refuse(from: string, to: string): void {
    this.#refused.set(`${from} ${to}`, this.#now());
  }

  /** Whether {@linkcode refuse} was said of the two. */
  refuses(from: string, to: string): boolean {
    return this.#isFresh(this.#refused.get(`${from} ${to}`));
  }

  /** Another repository that holds it, the latest seen. */
  elsewhere(repository: string, digest: Digest): string | undefined {
    const holders = this.#holders.get(digest);
    if (holders instanceof Map) {
      return [...holders].findLast(([other, since]) => other !== repository && this.#isFresh(since))
        ?.[0];
    }
    const other = holders !== undefined && holders.repository !== repository;
    return other && this.#isFresh(holders.since) ? holders.repository : undefined;
  }

  #isFresh(since: number | undefined): boolean {
    return since !== undefined && this.#now() - since < TRUSTED_MS;
  }
}
