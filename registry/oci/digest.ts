import { createHash, type Hash, hash as hashOnce } from "node:crypto";
import { OciError } from "./error.ts";
import { type NativeSha256, nativeSha256, nativeSha256Of } from "./native_sha256.ts";

/** The digest algorithms wherry can verify. */
export type Algorithm = "sha256" | "sha384" | "sha512";

/** Names content by its hash: `sha256:` and 64 lower-case hex digits (or a longer sibling). */
export type Digest = string & {
  /** Set by {@linkcode parseDigest} only; there is nothing at run time. */
  readonly __brand: "Digest";
};

const HEX_LENGTH: Readonly<Record<Algorithm, number>> = { sha256: 64, sha384: 96, sha512: 128 };
/** Without a count it is told in half the time. */
const USUAL = /^sha256:[0-9a-f]+$/;
const USUAL_LENGTH = "sha256:".length + HEX_LENGTH.sha256;
const FORM = /^(sha256|sha384|sha512):([0-9a-f]+)$/;

/** Whether `text` is a digest wherry can verify (C-REF-07). */
export function isDigest(text: string): text is Digest {
  if (text.length === USUAL_LENGTH && USUAL.test(text)) return true;
  const match = FORM.exec(text);
  return match !== null && match[2]?.length === HEX_LENGTH[match[1] as Algorithm];
}

/**
 * Reads a digest from outside text. Nothing unchecked ever becomes part of a path or a URL.
 *
 * @throws {OciError} `DIGEST_INVALID` when `text` is not one (C-REF-07, M-02).
 */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  const shown = text.length > 140 ? text.slice(0, 140) + "..." : text;
  throw new OciError(
    "DIGEST_INVALID",
    `Cannot read digest ${JSON.stringify(shown)}: want sha256: and 64 lower-case hex digits`,
  );
}

/** The part before the colon. */
export function algorithmOf(digest: Digest): Algorithm {
  return digest.slice(0, digest.indexOf(":")) as Algorithm;
}

/** The part after the colon. */
export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(":") + 1);
}

/** A running hash that ends in a {@linkcode Digest}. Feed it large chunks: each update has a price. */
export class Digester {
  readonly #algorithm: Algorithm;
  readonly #hash: NativeSha256 | Hash;

  /** Starts a hash of nothing. */
  constructor(algorithm: Algorithm = "sha256") {
    this.#algorithm = algorithm;
    this.#hash = (algorithm === "sha256" ? nativeSha256() : undefined) ??
      createHash(algorithm);
  }

  /** Adds `bytes`; they may be reused afterwards. */
  update(bytes: Uint8Array): this {
    this.#hash.update(bytes);
    return this;
  }

  /** The digest of all that was added. May be called once. */
  digest(): Digest {
    return `${this.#algorithm}:${this.#hash.digest("hex")}` as Digest;
  }
}

/** Digests of bytes that were made here, as long as somebody holds them. */
const made = new WeakMap<Uint8Array, Digest>();

/** The sha256 of bytes that are never changed again: {@linkcode digestOfMade} need not compute it anew. */
export function digestMade(bytes: Uint8Array): Digest {
  const digest = digestOf(bytes);
  made.set(bytes, digest);
  return digest;
}

/** `bytes`, which are never changed again, were found to have `digest` by another thread of ours. */
export function rememberDigest(bytes: Uint8Array, digest: Digest): void {
  made.set(bytes, digest);
}

/** As {@linkcode digestOf}, at no price for the very object that {@linkcode digestMade} saw. */
export function digestOfMade(bytes: Uint8Array, algorithm: Algorithm = "sha256"): Digest {
  const known = algorithm === "sha256" ? made.get(bytes) : undefined;
  return known ?? digestOf(bytes, algorithm);
}

/** The digest of bytes that are already in memory. */
export function digestOf(bytes: Uint8Array, algorithm: Algorithm = "sha256"): Digest {
  const native = algorithm === "sha256" ? nativeSha256Of(bytes) : undefined;
  return `${algorithm}:${native ?? hashOnce(algorithm, bytes, "hex")}` as Digest;
}
