import type { Platform } from "../registry/oci/descriptor.ts";

/** What this machine runs, in OCI's words. */
export function machinePlatform(): Platform {
  return { os: "linux", architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64" };
}
