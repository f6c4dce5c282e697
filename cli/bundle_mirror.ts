/** A bundle as a mirror: what `endpoints = ["bundle:FILE"]` reads from. Opened when the first image is looked for. */
import type { RegistryClient } from "../registry/client/options.ts";
import { bundleFiles } from "../registry/client/bundle_endpoint.ts";
import { HUB, parseReference } from "../registry/oci/reference.ts";
import { OciError } from "../registry/oci/error.ts";
import type { Bundle } from "../registry/bundle/read.ts";
import type { Registry } from "../registry/registry.ts";

/**
 * The images of one registry that a bundle holds, by the names they have there.
 *
 * @param endpoint `bundle:FILE[,FILE...]`.
 * @param namespace The host it stands in for.
 */
export function bundleMirror(endpoint: string, namespace: string): RegistryClient {
  const host = namespace === "docker.io" ? HUB : namespace;
  let opened: Promise<{ readonly bundle: Bundle; readonly registry: Registry }> | undefined;
  const open = async () => (await (opened ??= openAll(endpoint, host))).registry;
  const refuse = (): Promise<never> =>
    Promise.reject(new OciError("UNSUPPORTED", `Cannot change ${endpoint}: it is a mirror`));
  return {
    name: host,
    manifest: async (...args) => await (await open()).manifest(...args),
    stat: async (...args) => await (await open()).stat(...args),
    blob: async (...args) => await (await open()).blob(...args),
    referrers: async (...args) => await (await open()).referrers(...args),
    async *tags(...args) {
      yield* (await open()).tags(...args);
    },
    async *repositories(...args) {
      yield* (await open()).repositories(...args);
    },
    pushBlob: refuse,
    pushManifest: refuse,
    upload: refuse,
    deleteManifest: refuse,
    deleteBlob: refuse,
    checkAccess: (_, access) => access === "read" ? Promise.resolve() : refuse(),
    stats: () => ({}),
    facts: { conditions: true, refuses: true },
    challenged: false,
    begin: () => Promise.resolve(),
    foresee() {},
    glance() {},
    async [Symbol.asyncDispose]() {
      await (await opened?.catch(() => undefined))?.bundle[Symbol.asyncDispose]();
    },
  };
}

async function openAll(
  endpoint: string,
  host: string,
): Promise<{ readonly bundle: Bundle; readonly registry: Registry }> {
  const { openBundle } = await import("../registry/bundle/read.ts");
  const { bundleRegistry } = await import("../registry/bundle/registry.ts");
  let bundle: Bundle;
  try {
    bundle = await openBundle(bundleFiles(endpoint));
  } catch (cause) {
    // A medium that is not in the drive is a mirror that is away: the next one is asked.
    throw new OciError("UNAVAILABLE", cause instanceof Error ? cause.message : String(cause), {
      cause,
    });
  }
  const registry = bundleRegistry(
    bundle,
    bundle.images.flatMap((image) => {
      const { registry, repository, tag } = parseReference(image.reference);
      return registry === host ? [{ image, tag, repositories: [repository] }] : [];
    }),
  );
  return { bundle, registry };
}
