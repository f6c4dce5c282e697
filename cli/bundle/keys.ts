/** Keys that sign and check a bundle's lock: PEM, Ed25519 or ECDSA P-256, as openssl and cosign make them. */
import { fileFault, UsageError } from "../exit.ts";

const EC = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const KINDS = [{ name: "Ed25519" } as const, EC];

/**
 * Reads a private key (PKCS #8 PEM).
 *
 * @returns Signs bytes: base64.
 * @throws {UsageError} When the file is none.
 */
export async function readSigner(
  file: string,
): Promise<(bytes: Uint8Array<ArrayBuffer>) => Promise<string>> {
  const key = await importKey(file, "PRIVATE KEY", "pkcs8", "sign");
  return async (bytes) =>
    new Uint8Array(
      await crypto.subtle.sign(key.algorithm.name === "ECDSA" ? EC : key.algorithm, key, bytes),
    )
      .toBase64();
}

/**
 * Reads a public key (SPKI PEM).
 *
 * @returns Whether a signature (base64) is of these bytes.
 * @throws {UsageError} When the file is none.
 */
export async function readVerifier(
  file: string,
): Promise<(bytes: Uint8Array<ArrayBuffer>, signature: string) => Promise<boolean>> {
  const key = await importKey(file, "PUBLIC KEY", "spki", "verify");
  return async (bytes, signature) => {
    let raw: Uint8Array<ArrayBuffer>;
    try {
      raw = Uint8Array.fromBase64(signature);
    } catch {
      return false;
    }
    const how = key.algorithm.name === "ECDSA" ? EC : key.algorithm;
    return await crypto.subtle.verify(how, key, raw, bytes);
  };
}

async function importKey(
  file: string,
  label: string,
  format: "pkcs8" | "spki",
  usage: "sign" | "verify",
): Promise<CryptoKey> {
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch (cause) {
    throw new UsageError(`Cannot read key ${file}: ${fileFault(cause)}`, { cause });
  }
  const pem = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`)
    .exec(text);
  const bad = (cause?: unknown) =>
    new UsageError(
      `Cannot use key ${file}: want a PEM "${label}", Ed25519 or P-256, not encrypted`,
      { cause },
    );
  if (pem === null) throw bad();
  let der: Uint8Array<ArrayBuffer>;
  try {
    der = Uint8Array.fromBase64(pem[1]!.replaceAll(/\s+/g, ""));
  } catch (cause) {
    throw bad(cause);
  }
  let why: unknown;
  for (const kind of KINDS) {
    try {
      return await crypto.subtle.importKey(format, der, kind, false, [usage]);
    } catch (cause) {
      why = cause;
    }
  }
  throw bad(why);
}
