/** `report.toml`: what a build made, for the platform (RPT-1..RPT-3). */
import type { Digest } from "../registry/oci/digest.ts";
import { formatToml } from "./file/toml.ts";

/** `report.toml` as a value. */
export interface Report {
  /** The image. */
  readonly image: {
    /** Names that were written. */
    readonly tags: readonly string[];
    /** Of the manifest; absent for OCI layouts. */
    readonly digest?: Digest | undefined;
    /** Bytes of the manifest. */
    readonly manifestSize?: number | undefined;
  };
  /** The base (RPT-3). */
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
}

/** Writes `report.toml`. A size of 0 is left out, as are names that are not known. */
export function formatReportToml(report: Report): string {
  const { image, runImage } = report;
  const list = (values: readonly string[] | undefined) => values?.length ? values : undefined;
  return formatToml({
    image: {
      tags: list(image.tags),
      digest: image.digest,
      "manifest-size": image.manifestSize ? BigInt(image.manifestSize) : undefined,
    },
    "run-image": runImage && {
      image: runImage.image || undefined,
      mirrors: list(runImage.mirrors),
      reference: runImage.reference || undefined,
      "top-layer": runImage.topLayer || undefined,
    },
  });
}
