/** The lock of a bundle: what is in it and why, as one document that can be read, compared and signed. */
import { z } from "zod";
import { type Descriptor, descriptorSchema, type Platform } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { encodeJson } from "../image.ts";

/** Media type of the lock as a blob of the layout. */
export const LOCK_TYPE = "application/vnd.wherry.bundle.lock.v1+json";
/** Its name in the tar. */
export const LOCK_FILE = "wherry.lock.json";
/** Signature over its bytes, base64. */
export const SIGNATURE_FILE = "wherry.lock.sig";

/** What an image is in a bundle for. */
export type Role = "builder" | "run" | "package" | "app" | "referrer" | "tool" | "dependency";

/** One image, index or file of a bundle. */
export interface LockedImage {
  /** The name it had, in full: `docker.io/library/x:1`. */
  readonly reference: string;
  /** Why it is here. */
  readonly role: Role;
  /** The reference that needs it; absent when it was asked for. */
  readonly requiredBy?: string | undefined;
  /** Its manifest or index. */
  readonly descriptor: Descriptor;
  /** Of an index: children that are left out, because another platform was asked for. */
  readonly absent: readonly Descriptor[];
  /** All other documents and blobs it needs, sorted by digest. */
  readonly content: readonly Descriptor[];
}

/** The document. */
export interface Lock {
  /** Version of this form. */
  readonly version: 1;
  /** What made it. */
  readonly tool: string;
  /** Platforms that were asked for; none: all. */
  readonly platforms: readonly Platform[];
  /** The lock of the bundle this one adds to, by digest; its content is not repeated. */
  readonly since?: Digest | undefined;
  /** Content that the bundle before has: sorted digests. */
  readonly before: readonly Digest[];
  /** How many files the bundle is split into. */
  readonly parts: number;
  /** In the order of their references. */
  readonly images: readonly LockedImage[];
}

const digest = z.string().transform((text) => text as Digest);
const schema = z.object({
  version: z.literal(1),
  tool: z.string(),
  platforms: z.array(z.looseObject({ os: z.string(), architecture: z.string() })),
  since: digest.optional(),
  before: z.array(digest),
  parts: z.int().positive(),
  images: z.array(z.object({
    reference: z.string(),
    role: z.enum(["builder", "run", "package", "app", "referrer", "tool", "dependency"]),
    requiredBy: z.string().optional(),
    descriptor: descriptorSchema,
    absent: z.array(descriptorSchema),
    content: z.array(descriptorSchema),
  })),
});

/** Writes a lock; the same lock makes the same bytes. */
export function encodeLock(lock: Lock): Uint8Array<ArrayBuffer> {
  return encodeJson(lock);
}

/**
 * Reads a lock.
 *
 * @throws {OciError} `MANIFEST_INVALID` with the path of the first fault.
 */
export function parseLock(bytes: Uint8Array, where: string): Lock {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid(where, "it is not JSON", cause);
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data as unknown as Lock;
  const issue = result.error.issues[0];
  throw invalid(where, `${issue?.path.join(".") || "document"}: ${issue?.message}`);
}

function invalid(where: string, why: string, cause?: unknown): OciError {
  return new OciError("MANIFEST_INVALID", `Cannot read the lock of ${where}: ${why}`, { cause });
}

/** Everything a lock says is in the bundle or was in the one before, each once, sorted by digest. */
export function contentOf(lock: Pick<Lock, "images">): readonly Descriptor[] {
  const all = new Map<Digest, Descriptor>();
  for (const { descriptor, content } of lock.images) {
    for (const one of [descriptor, ...content]) all.set(one.digest, one);
  }
  return [...all.values()].sort((a, b) => a.digest < b.digest ? -1 : 1);
}

/** The content that is in the files of this very bundle. */
export function carriedBy(lock: Pick<Lock, "images" | "before">): readonly Descriptor[] {
  const before = new Set(lock.before);
  return contentOf(lock).filter((one) => !before.has(one.digest));
}
