/**
 * Whether somebody with a key signed an image, as cosign writes it down: in an image with the tag `sha256-....sig`, in one that
 * refers to the signed one, or in a Sigstore bundle beside it. Keys only: no certificate, no log, nobody is asked.
 */
import { createPublicKey, type KeyObject, verify } from "node:crypto";
import type { Descriptor } from "../../registry/oci/descriptor.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import { parseDocument } from "../../registry/oci/manifest.ts";
import { isRecord } from "../../registry/oci/usual.ts";
import type { Lister, RawManifest, Reader } from "../../registry/registry.ts";
import { readAll } from "../../registry/source.ts";

/** Who signed an image. */
export interface Signed {
  /** One of the keys did. */
  readonly good: boolean;
  /** Signatures that were there, of whichever key. */
  readonly found: number;
}

const PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE = "dev.cosignproject.cosign/signature";
const BESIDE = "application/vnd.dev.cosign.artifact.sig.v1+json";
/** Of any version; the predicate says that it is a signature and no other statement. */
const BUNDLE = /^application\/vnd\.dev\.sigstore\.bundle\.v0\.\d+\+json$/;
const SIGNS = "https://sigstore.dev/cosign/sign/v1";
const IN_TOTO = "application/vnd.in-toto+json";

/** A larger one is no signature; more of them are no help. */
const MAX_BYTES = 1024 * 1024;
const MAX_SIGNATURES = 100;

/**
 * Reads a public key: PEM, of an elliptic curve, Ed25519 or RSA, as cosign and openssl make them.
 *
 * @throws {TypeError} When it is none.
 */
export function readPublicKey(pem: string): KeyObject {
  // Node would take a private key or a certificate, too; of those nobody said that they are public keys.
  if (!/-----BEGIN PUBLIC KEY-----/.test(pem)) throw new TypeError('it is no PEM "PUBLIC KEY"');
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (cause) {
    throw new TypeError("it cannot be read as a public key", { cause });
  }
  if (!["ec", "ed25519", "rsa"].includes(key.asymmetricKeyType ?? "")) {
    throw new TypeError(`it is of ${key.asymmetricKeyType}, want EC, Ed25519 or RSA`);
  }
  return key;
}

/** Whether one of `keys` signed the manifest `digest`, which lies in `place`. */
export async function signedBy(
  place: Reader & Partial<Lister>,
  repository: string,
  digest: Digest,
  keys: readonly KeyObject[],
  signal?: AbortSignal,
): Promise<Signed> {
  let found = 0;
  for await (const { bytes, signature } of signaturesOf(place, repository, digest, signal)) {
    found++;
    if (keys.some((key) => isOf(key, bytes, signature))) return { good: true, found };
    if (found >= MAX_SIGNATURES) break;
  }
  return { good: false, found };
}

/** Bytes that speak of the image, and a signature that is said to be of them. */
interface Claim {
  readonly bytes: Uint8Array;
  readonly signature: Uint8Array;
}

async function* signaturesOf(
  place: Reader & Partial<Lister>,
  repository: string,
  digest: Digest,
  signal: AbortSignal | undefined,
): AsyncGenerator<Claim> {
  const tag = `${digest.replace(":", "-")}.sig`;
  const tagged = await place.manifest(repository, tag, { signal });
  if (tagged !== undefined) yield* simple(place, repository, digest, tagged, signal);
  const beside = await place.referrers?.(repository, digest, { signal }) ?? [];
  for (const one of beside.slice(0, MAX_SIGNATURES)) {
    const { artifactType = "" } = one;
    const bundle = BUNDLE.test(artifactType);
    if (!bundle && artifactType !== BESIDE) continue;
    const raw = await place.manifest(repository, one.digest, { signal });
    if (raw === undefined) continue;
    if (bundle) yield* bundled(place, repository, digest, raw, signal);
    else yield* simple(place, repository, digest, raw, signal);
  }
}

/** A layer a signature: the payload names the image, an annotation of the layer is the signature. */
async function* simple(
  place: Reader,
  repository: string,
  digest: Digest,
  raw: RawManifest,
  signal: AbortSignal | undefined,
): AsyncGenerator<Claim> {
  for (const layer of layersOf(raw)) {
    const signature = decoded(layer.annotations?.[SIGNATURE]);
    if (layer.mediaType !== PAYLOAD || signature === undefined) continue;
    const bytes = await smallBlob(place, repository, layer, signal);
    if (bytes !== undefined && namesSimply(bytes, digest)) yield { bytes, signature };
  }
}

function namesSimply(bytes: Uint8Array, digest: Digest): boolean {
  const payload = json(bytes);
  const critical = isRecord(payload) ? payload["critical"] : undefined;
  const image = isRecord(critical) ? critical["image"] : undefined;
  return isRecord(critical) && critical["type"] === "cosign container image signature" &&
    isRecord(image) && image["docker-manifest-digest"] === digest;
}

/** A DSSE envelope with a statement about the image. */
async function* bundled(
  place: Reader,
  repository: string,
  digest: Digest,
  raw: RawManifest,
  signal: AbortSignal | undefined,
): AsyncGenerator<Claim> {
  for (const layer of layersOf(raw)) {
    if (!BUNDLE.test(layer.mediaType)) continue;
    const bytes = await smallBlob(place, repository, layer, signal);
    const bundle = bytes && json(bytes);
    const envelope = isRecord(bundle) ? bundle["dsseEnvelope"] : undefined;
    if (!isRecord(envelope) || envelope["payloadType"] !== IN_TOTO) continue;
    const payload = decoded(envelope["payload"]);
    if (payload === undefined || !states(payload, digest)) continue;
    const { signatures } = envelope;
    for (const one of Array.isArray(signatures) ? signatures.slice(0, MAX_SIGNATURES) : []) {
      const signature = isRecord(one) ? decoded(one["sig"]) : undefined;
      if (signature !== undefined) yield { bytes: enveloped(payload), signature };
    }
  }
}

function states(payload: Uint8Array, digest: Digest): boolean {
  const statement = json(payload);
  if (!isRecord(statement) || statement["predicateType"] !== SIGNS) return false;
  const { subject } = statement;
  const [algorithm = "", hex = ""] = digest.split(":");
  return Array.isArray(subject) &&
    subject.some((one) =>
      isRecord(one) && isRecord(one["digest"]) && one["digest"][algorithm] === hex
    );
}

/** What a DSSE signature is of. */
function enveloped(payload: Uint8Array): Uint8Array {
  const head = new TextEncoder().encode(
    `DSSEv1 ${IN_TOTO.length} ${IN_TOTO} ${payload.byteLength} `,
  );
  const all = new Uint8Array(head.byteLength + payload.byteLength);
  all.set(head);
  all.set(payload, head.byteLength);
  return all;
}

function isOf(key: KeyObject, bytes: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(key.asymmetricKeyType === "ed25519" ? null : "sha256", bytes, key, signature);
  } catch {
    return false; // no signature of such a key
  }
}

function layersOf(raw: RawManifest): readonly Descriptor[] {
  try {
    const document = parseDocument(raw.bytes, raw.mediaType);
    return document.kind === "manifest" ? document.manifest.layers.slice(0, MAX_SIGNATURES) : [];
  } catch {
    return []; // anybody may put anything there
  }
}

async function smallBlob(
  place: Reader,
  repository: string,
  { digest, size }: Descriptor,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  if (size > MAX_BYTES) return undefined;
  const blob = await place.blob(repository, digest, { signal });
  return blob && await readAll(blob, MAX_BYTES);
}

function decoded(text: unknown): Uint8Array | undefined {
  if (typeof text !== "string") return undefined;
  try {
    return Uint8Array.fromBase64(text);
  } catch {
    return undefined;
  }
}

function json(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}
