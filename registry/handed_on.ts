import type { Registry } from "./registry.ts";

/**
 * All that `registry` can do, as properties of a new object: what a wrapper starts from, to replace the calls that it
 * makes differently (`{ ...handedOn(registry), upload }`). Every call is looked up in `registry` when it is made.
 */
export function handedOn(registry: Registry): Registry {
  return {
    name: registry.name,
    manifest: (...args) => registry.manifest(...args),
    stat: (...args) => registry.stat(...args),
    blob: (...args) => registry.blob(...args),
    pushBlob: (...args) => registry.pushBlob(...args),
    pushManifest: (...args) => registry.pushManifest(...args),
    upload: (...args) => registry.upload(...args),
    deleteManifest: (...args) => registry.deleteManifest(...args),
    deleteBlob: (...args) => registry.deleteBlob(...args),
    repositories: (...args) => registry.repositories(...args),
    tags: (...args) => registry.tags(...args),
    referrers: (...args) => registry.referrers(...args),
  };
}
