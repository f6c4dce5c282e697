/** Documents that an index or a manifest names by digest: what an earlier command read is not asked for again. */
import type { Image } from "../registry/image.ts";
import { isDigest } from "../registry/oci/digest.ts";
import { bytesSource } from "../registry/source.ts";
import type { Known } from "./known.ts";
import type { Located } from "./places.ts";

/** Reads documents only. What the name itself means is always asked for, which also says whether it may be read. */
export function recalling(located: Located, known: Known | undefined): Located {
  const { registry, reference } = located;
  if (known === undefined) return located;
  return {
    ...located,
    registry: {
      stat: (...of) => registry.stat(...of),
      async manifest(repository, wanted, options) {
        const digest = wanted !== reference && isDigest(wanted) ? wanted : undefined;
        const bytes = digest && await known.document(digest);
        const mediaType = bytes && mediaTypeOf(bytes);
        if (digest && bytes && mediaType) return { mediaType, digest, bytes };
        return await registry.manifest(repository, wanted, options);
      },
      async blob(repository, digest, options) {
        const bytes = await known.document(digest);
        if (bytes !== undefined) return bytesSource(bytes);
        return await registry.blob(repository, digest, options);
      },
    },
  };
}

/** Keeps what the next command need not ask for. */
export function keepDocuments({ raw, manifest, rawConfig }: Image, known: Known | undefined): void {
  known?.keep(manifest.config.digest, rawConfig);
  if (manifest.mediaType === raw.mediaType) known?.keep(raw.digest, raw.bytes);
}

function mediaTypeOf(bytes: Uint8Array<ArrayBuffer>): string | undefined {
  const { mediaType } = JSON.parse(new TextDecoder().decode(bytes));
  return typeof mediaType === "string" ? mediaType : undefined;
}
