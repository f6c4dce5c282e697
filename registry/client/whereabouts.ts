import type { Digest } from "../oci/digest.ts";

/** A registry may clean up, and others may delete: what was true so long ago is asked again. */
const TRUSTED_MS = 10 * 60 * 1000;
/** Facts that are kept; the oldest go first. */
const MOST = 200_000;

/**
 * Which repositories of a registry are known to hold a blob (C-MNT-05). Facts end: after a while by themselves, at once when
 * the registry says something else.
 */
export class Whereabouts {
  readonly #now: () => number;
  /** Since when, by repository; the latest seen is the last. */
  readonly #repositories = new Map<Digest, Map<string, number>>();
  readonly #refused = new Map<string, number>();

  /** `now` in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** `repository` holds `digest`. */
  add(repository: string, digest: Digest): void {
    const known = this.#repositories.get(digest) ?? new Map<string, number>();
    known.delete(repository);
    known.set(repository, this.#now());
    this.#repositories.delete(digest);
    this.#repositories.set(digest, known);
    for (const oldest of this.#repositories.keys()) {
      if (this.#repositories.size <= MOST) break;
      this.#repositories.delete(oldest);
    }
  }

  /** Whether that is known. */
  has(repository: string, digest: Digest): boolean {
    return this.#isFresh(this.#repositories.get(digest)?.get(repository));
  }

  /** It no longer does. */
  remove(repository: string, digest: Digest): void {
    this.#repositories.get(digest)?.delete(repository);
  }

  /** Nothing is known of `repository` any more: it lacks something, and did not say what. */
  forget(repository: string): void {
    for (const known of this.#repositories.values()) known.delete(repository);
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
    return [...this.#repositories.get(digest) ?? []].findLast(([other, since]) =>
      other !== repository && this.#isFresh(since)
    )?.[0];
  }

  #isFresh(since: number | undefined): boolean {
    return since !== undefined && this.#now() - since < TRUSTED_MS;
  }
}
