import type { OwnedBomEntry } from "./metadata_toml.ts";
import { formatToml } from "./toml.ts";

/** `report.toml`: what was exported or rebased (RPT-1, RPT-3). */
export interface ReportFile {
  /** The image. */
  readonly image: {
    /** Names that were written. */
    readonly tags: readonly string[];
    /** Of its manifest; absent in an archive. */
    readonly digest?: string | undefined;
    /** For an engine. */
    readonly imageId?: string | undefined;
    /** Bytes of the manifest; left out when 0. */
    readonly manifestSize?: number | undefined;
  };
  /** The deprecated bill of materials of the build, before P0.9 only. */
  readonly buildBom?: readonly OwnedBomEntry[] | undefined;
  /** The base. */
  readonly runImage?: {
    /** Its name. */
    readonly image?: string | undefined;
    /** Other names. */
    readonly mirrors?: readonly string[] | undefined;
    /** Digest reference. */
    readonly reference?: string | undefined;
    /** DiffID of its last layer. */
    readonly topLayer?: string | undefined;
  } | undefined;
  /** What buildpacks used, where that was measured; not of the spec. */
  readonly usage?: {
    /** Most memory at a time, in bytes. */
    readonly memoryPeak?: number | undefined;
    /** Time of processors, in milliseconds. */
    readonly cpuMs?: number | undefined;
  } | undefined;
}

/** Writes `report.toml`. */
export function formatReportToml({ image, runImage, buildBom, usage }: ReportFile): string {
  return formatToml({
    image: {
      tags: image.tags,
      digest: image.digest || undefined,
      "image-id": image.imageId || undefined,
      "manifest-size": image.manifestSize ? BigInt(image.manifestSize) : undefined,
    },
    build: buildBom && buildBom.length > 0 ? { bom: buildBom } : undefined,
    "run-image": runImage && {
      image: runImage.image || undefined,
      mirrors: runImage.mirrors && runImage.mirrors.length > 0 ? runImage.mirrors : undefined,
      reference: runImage.reference || undefined,
      "top-layer": runImage.topLayer || undefined,
    },
    usage: usage && {
      "memory-peak": whole(usage.memoryPeak),
      "cpu-milliseconds": whole(usage.cpuMs),
    },
  });
}

const whole = (value: number | undefined): bigint | undefined =>
  value === undefined ? undefined : BigInt(value);
