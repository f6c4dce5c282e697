import type { Platform } from "../registry/oci/descriptor.ts";
import { formatPlatform, parsePlatform } from "../registry/oci/platform.ts";
import { UsageError } from "./exit.ts";

/** What this machine runs, in OCI's words. */
export function machinePlatform(): Platform {
  return { os: "linux", architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64" };
}

/**
 * Reads `--platform`.
 *
 * @throws {UsageError} When it is not one.
 */
export function readPlatform(text: string): Platform {
  try {
    return parsePlatform(text);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new UsageError(cause.message, { cause });
  }
}

/** `--platform`, else this machine's. */
export function platformOf(flags: { readonly platform?: string }): Platform {
  return flags.platform === undefined ? machinePlatform() : readPlatform(flags.platform);
}

/** `--platform A,B`: each once, in order; undefined when it was not given. */
export function platformsOf(text: string | undefined): readonly Platform[] | undefined {
  if (text === undefined) return undefined;
  const all = text.split(",").map((word) => readPlatform(word.trim()));
  return [...new Map(all.map((one) => [formatPlatform(one), one])).values()];
}

/** Whether an image is for a platform. Variants are told apart where there is a choice, by who chooses. */
export function suits(
  has: { readonly os: string; readonly architecture: string },
  wanted: Platform,
): boolean {
  return has.os === wanted.os && has.architecture === wanted.architecture;
}

/**
 * Refuses an image that stands alone, so that nobody could choose, and is for another platform than was asked for.
 *
 * @param asked `--platform` as given; without it any will do.
 * @throws {UsageError} With both.
 */
export function refuseOther(
  name: string,
  has: { readonly os: string; readonly architecture: string },
  asked: string | undefined,
): void {
  if (asked === undefined || suits(has, readPlatform(asked))) return;
  throw new UsageError(`Cannot use ${name} for ${asked}: it is for ${has.os}/${has.architecture}`);
}
