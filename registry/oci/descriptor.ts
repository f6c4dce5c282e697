import { z } from "zod";
import { algorithmOf, type Digest, digestOf, isDigest } from "./digest.ts";

/** One platform of an image index; empty text is never used, absent means "any". */
export interface Platform {
  /** `linux`, ... */
  readonly os: string;
  /** `amd64`, `arm64`, ... (Go's names) */
  readonly architecture: string;
  /** `v7`, `v8`, ... */
  readonly variant?: string | undefined;
  /** Windows only. */
  readonly "os.version"?: string | undefined;
  /** Windows only: what the image needs of the system. */
  readonly "os.features"?: readonly string[] | undefined;
}

/**
 * What a document says of content that lies elsewhere.
 *
 * @see OCI image spec 1.1, descriptor.md
 */
export interface Descriptor {
  /** Type of the content as it travels. */
  readonly mediaType: string;
  /** Of the bytes as they travel. */
  readonly digest: Digest;
  /** Bytes, as they travel. */
  readonly size: number;
  /** Free-form. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** In an index only. */
  readonly platform?: Platform | undefined;
  /** In an index of artefacts. */
  readonly artifactType?: string | undefined;
  /** Where foreign layers lie. Never followed by wherry. */
  readonly urls?: readonly string[] | undefined;
  /** The content itself, base64; verified before use (C-MT-07). */
  readonly data?: string | undefined;
}

/** Longer content is no small document; it is asked for. */
const MAX_EMBEDDED = 64 * 1024;

/** The content that a descriptor carries itself, when it is what the descriptor says (C-MT-07). */
export function embedded({ digest, size, data }: Descriptor): Uint8Array<ArrayBuffer> | undefined {
  if (data === undefined || size > MAX_EMBEDDED) return undefined;
  try {
    const bytes = Uint8Array.fromBase64(data);
    return bytes.byteLength === size && digestOf(bytes, algorithmOf(digest)) === digest
      ? bytes
      : undefined;
  } catch {
    return undefined;
  }
}

/** Reads a digest from a document. */
export const digestSchema: z.ZodType<Digest, string> = z.string().refine(isDigest, {
  message: "want sha256: and 64 lower-case hex digits",
}) as unknown as z.ZodType<Digest, string>;

const platformSchema = z.lazy(() =>
  z.looseObject({
    os: z.string().default(""),
    architecture: z.string().default(""),
    variant: z.string().optional(),
    "os.version": z.string().optional(),
    "os.features": z.array(z.string()).optional(),
  })
);

/** Reads a descriptor from a document; keys it does not know stay. */
export const descriptorSchema: z.ZodType<Descriptor, unknown> = z.lazy(() =>
  z.looseObject({
    mediaType: z.string(),
    digest: digestSchema,
    size: z.int().nonnegative(),
    annotations: z.record(z.string(), z.string()).optional(),
    platform: platformSchema.optional(),
    artifactType: z.string().optional(),
    urls: z.array(z.string()).optional(),
    data: z.string().optional(),
  })
);
