import { z } from "zod";
import { flag, parseDocument, table, text } from "./document.ts";
import {
  type LifecycleMetadata,
  lifecycleMetadataFromToml,
  lifecycleMetadataToToml,
} from "./lifecycle_metadata.ts";
import type { Distro } from "./module.ts";
import { formatToml } from "./toml.ts";

/** What a run image is. Empty: unknown. */
export interface AnalyzedTarget {
  /** Label `io.buildpacks.base.id`. */
  readonly id: string;
  /** `linux`, ... */
  readonly os: string;
  /** `amd64`, ... */
  readonly arch: string;
  /** `v8`, ... */
  readonly variant: string;
  /** Absent when the image does not say. */
  readonly distro?: Distro | undefined;
}

/** `analyzed.toml` (ANT-1). References are empty when there is none. */
export interface Analyzed {
  /** Digest reference of the previous image. */
  readonly previousReference: string;
  /** Digest reference of the build image. */
  readonly buildReference: string;
  /** The run image; absent when nothing is known. */
  readonly runImage?: {
    /** Digest reference. */
    readonly reference: string;
    /** Its name. */
    readonly image: string;
    /** It will be extended. */
    readonly extend: boolean;
    /** What it is. */
    readonly target?: AnalyzedTarget | undefined;
  } | undefined;
  /** What the previous image's label says. */
  readonly metadata: LifecycleMetadata;
}

const reference = z.object({ reference: text }).optional();
const distro = z.object({ name: text, version: text }).optional();

const schema = z.lazy(() =>
  z.object({
    image: reference,
    "build-image": reference,
    "run-image": z.object({
      reference: text,
      image: text,
      extend: flag,
      target: z.object({
        id: text,
        os: text,
        arch: text,
        "arch-variant": text,
        variant: text,
        distro,
        // Older Go lifecycles wrote it under this name.
        distribution: distro,
      }).optional(),
    }).optional(),
    metadata: table.default(() => ({})),
  })
);

/**
 * Reads `analyzed.toml`. Both spellings of the variant are understood (D2).
 *
 * @throws {FileError} When it is malformed.
 */
export function parseAnalyzedToml(source: string, file: string): Analyzed {
  const parsed = parseDocument(schema, source, file);
  const run = parsed["run-image"];
  const target = run?.target;
  const found = target?.distro ?? target?.distribution;
  return {
    previousReference: parsed.image?.reference ?? "",
    buildReference: parsed["build-image"]?.reference ?? "",
    ...(run
      ? {
        runImage: {
          reference: run.reference,
          image: run.image,
          extend: run.extend,
          ...(target
            ? {
              target: {
                id: target.id,
                os: target.os,
                arch: target.arch,
                variant: target["arch-variant"] || target.variant,
                ...(found ? { distro: found } : {}),
              },
            }
            : {}),
        },
      }
      : {}),
    metadata: lifecycleMetadataFromToml(parsed.metadata, file),
  };
}

/** Writes `analyzed.toml`, the variant as `arch-variant`, which a Go phase may read (D2). */
export function formatAnalyzedToml(analyzed: Analyzed): string {
  const run = analyzed.runImage;
  return formatToml({
    // Also without one: so Go writes it, and its phases look for the table.
    image: { reference: analyzed.previousReference },
    "build-image": analyzed.buildReference ? { reference: analyzed.buildReference } : undefined,
    "run-image": run && {
      reference: run.reference,
      image: run.image || undefined,
      extend: run.extend || undefined,
      target: run.target && {
        id: run.target.id || undefined,
        os: run.target.os,
        arch: run.target.arch,
        "arch-variant": run.target.variant || undefined,
        distro: run.target.distro,
      },
    },
    metadata: lifecycleMetadataToToml(analyzed.metadata),
  });
}
