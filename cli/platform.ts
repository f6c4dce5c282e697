import type { Platform } from "../registry/oci/descriptor.ts";
import { parsePlatform } from "../registry/oci/platform.ts";
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
