/** One function for each kind of request, in one table. */
import { MediaType } from "../oci/media_type.ts";
import { deleteBlob, getBlob } from "./blob_handlers.ts";
import { deleteManifest, getManifest, putManifest } from "./manifest_handlers.ts";
import { type ApiRequest, formatPath, type Page } from "./request.ts";
import { type Call, json, type Of, type Said } from "./said.ts";
import {
  cancelUpload,
  patchUpload,
  putUpload,
  startUpload,
  uploadStatus,
} from "./upload_handlers.ts";

/** The handler of each kind. */
export const HANDLERS: {
  readonly [K in ApiRequest["kind"]]: (request: Of<K>, call: Call) => Promise<Said>;
} = {
  ping: () => Promise.resolve(json({})),
  catalog: (request, { registry }) =>
    list(request, registry.repositories({ after: request.last }), (names) => ({
      repositories: names,
    })),
  tags: (request, { registry }) =>
    list(request, registry.tags(request.repository, { after: request.last }), (names) => ({
      name: request.repository,
      tags: names,
    })),
  getManifest,
  putManifest,
  deleteManifest,
  getBlob,
  deleteBlob,
  startUpload,
  uploadStatus,
  patchUpload,
  putUpload,
  cancelUpload,
  referrers: async ({ repository, digest, artifactType }, { registry }) => {
    const manifests = await registry.referrers(repository, digest, { artifactType });
    const index = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests };
    return json(index, {
      "content-type": MediaType.ociIndex,
      ...(artifactType === undefined ? {} : { "oci-filters-applied": "artifactType" }),
    });
  },
};

/** Names in one answer at most; more are behind its Link. */
const MAX_PAGE = 10_000;

async function list(
  request: Of<"catalog"> | Of<"tags">,
  names: AsyncIterable<string>,
  body: (names: readonly string[]) => unknown,
): Promise<Said> {
  const wanted = Math.min(request.n ?? MAX_PAGE, MAX_PAGE);
  const found: string[] = [];
  let more = false;
  for await (const name of names) {
    if (found.length === wanted) {
      more = wanted > 0; // n=0 asks only whether the list is there (S-API 3)
      break;
    }
    found.push(name);
  }
  const next: Page = { n: wanted, last: found.at(-1) };
  return json(
    body(found),
    more ? { link: `<${formatPath({ ...request, ...next })}>; rel="next"` } : {},
  );
}
