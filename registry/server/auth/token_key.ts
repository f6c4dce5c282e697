/** Keys of tokens: our own secret, kept in a file, and the public keys of others. */
import { Buffer } from "node:buffer";
import { createHash, createPublicKey, randomBytes } from "node:crypto";
import { dirname } from "node:path";
import type { JWK } from "jose";
import { z } from "zod";

/** What makes and checks our own tokens. */
export interface TokenKey {
  /** Names the key in a token's header. */
  readonly id: string;
  /** 32 random bytes. */
  readonly secret: Uint8Array;
}

/** A key that nobody has; tokens end with the process. */
export function newTokenKey(): TokenKey {
  return keyOf(randomBytes(32));
}

const keySchema = z.object({ kty: z.literal("oct"), k: z.string().regex(/^[A-Za-z0-9_-]{43}$/) });

/**
 * The key of a server, from `path`, made there (0600, its directory 0700) when it is missing. Two servers that start
 * at once get the same.
 *
 * @throws {SyntaxError} When the file is no such key; never shows what is in it.
 * @throws {Deno.errors.PermissionDenied} When others may read it.
 */
export async function openTokenKey(path: string): Promise<TokenKey> {
  const there = await readKey(path);
  if (there !== undefined) return there;
  await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const { secret } = newTokenKey();
  const jwk = { kty: "oct", alg: "HS256", k: Buffer.from(secret).toString("base64url") };
  const fresh = `${path}.${crypto.randomUUID()}`;
  try {
    await Deno.writeTextFile(fresh, JSON.stringify(jwk) + "\n", { createNew: true, mode: 0o600 });
    using file = await Deno.open(fresh);
    await file.sync();
    // A link, unlike a rename, leaves the key alone that another server made meanwhile.
    await Deno.link(fresh, path).catch((error) => {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    });
  } finally {
    await Deno.remove(fresh).catch(() => {});
  }
  return (await readKey(path))!;
}

async function readKey(path: string): Promise<TokenKey | undefined> {
  let text: string;
  try {
    const { mode } = await Deno.stat(path);
    if (mode !== null && (mode & 0o077) !== 0) {
      throw new Deno.errors.PermissionDenied(
        `Cannot use token key ${path}: others may read it, want mode 0600`,
      );
    }
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  try {
    return keyOf(Buffer.from(keySchema.parse(JSON.parse(text)).k, "base64url"));
  } catch {
    throw new SyntaxError(
      `Cannot read token key ${path}: want a JWK of 32 bytes, as wherry makes it`,
    );
  }
}

function keyOf(secret: Uint8Array): TokenKey {
  const id = createHash("sha256").update("kid ").update(secret).digest("hex").slice(0, 16);
  return { id, secret: new Uint8Array(secret) };
}

/** Signatures only: no MAC, whose key would have to be shared, and never `none`. */
const ALGORITHMS: Readonly<Record<string, readonly string[]>> = {
  "RSA": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  "EC P-256": ["ES256"],
  "EC P-384": ["ES384"],
  "EC P-521": ["ES512"],
  "OKP Ed25519": ["EdDSA", "Ed25519"],
};

/** The algorithms a public key may check: those of its family, or the one it names if that is one of them. */
export function algorithmsOf({ kty, crv, alg }: JWK): readonly string[] {
  const family = ALGORITHMS[crv === undefined ? kty ?? "" : `${kty} ${crv}`] ?? [];
  return alg === undefined ? family : family.filter((one) => one === alg);
}

const setSchema = z.object({ keys: z.array(z.record(z.string(), z.unknown())).min(1).max(100) });

/**
 * Reads public keys: a JWK set, one JWK, or PEM with `PUBLIC KEY` or `CERTIFICATE`.
 *
 * @param file For messages.
 * @throws {SyntaxError} When it is none of these, a key is secret, or of a family that signs no tokens.
 */
export function parsePublicKeys(text: string, file: string): readonly JWK[] {
  const fail = (why: string) => new SyntaxError(`Cannot read token key ${file}: ${why}`);
  let keys: readonly JWK[];
  try {
    if (text.trimStart().startsWith("{")) {
      const value = JSON.parse(text);
      keys = ("keys" in value ? setSchema.parse(value).keys : [value]) as readonly JWK[];
    } else {
      if (/PRIVATE KEY/.test(text)) throw fail("it is a private key; want the public one");
      keys = [createPublicKey(text).export({ format: "jwk" }) as JWK];
    }
  } catch (error) {
    if (error instanceof SyntaxError && error.message.startsWith("Cannot")) throw error;
    throw fail("want a JWK set or a public key in PEM"); // no cause: it may quote a key
  }
  for (const key of keys) {
    if (key.kty === "oct" || key.d !== undefined) {
      throw fail("a key in it is secret; want public ones");
    }
    if (algorithmsOf(key).length === 0) {
      throw fail(
        `a key in it is ${
          JSON.stringify([key.kty, key.crv, key.alg].filter(Boolean).join(" "))
        }: want RSA, P-256, P-384, P-521 or Ed25519`,
      );
    }
    const { n } = key;
    if (n !== undefined && n.length < 342) throw fail("an RSA key in it is shorter than 2048 bits");
  }
  return keys;
}
