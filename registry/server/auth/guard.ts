/** Joins who may do what with the place it is done to: what a server asks once for each request. */
import type { Registry, ResumableUploads } from "../../registry.ts";
import type { Ask } from "../http/message.ts";
import type { ApiRequest } from "../request.ts";
import type { Judgement, Peer } from "../server.ts";
import type { Authority } from "./authority.ts";
import { viewOf } from "./view.ts";

/** Requests whose handlers look beyond the repository they name, or into uploads. The rest is judged by its name. */
const NEEDS_VIEW: ReadonlySet<ApiRequest["kind"]> = new Set([
  "catalog",
  "startUpload",
  "uploadStatus",
  "patchUpload",
  "putUpload",
  "cancelUpload",
]);

/**
 * What to hand to a server as `authorize`.
 *
 * @param key 32 secret bytes, the same after a restart if uploads shall be gone on with then.
 */
export function guard(
  registry: Registry & ResumableUploads,
  authority: Authority,
  key: Uint8Array,
): (ask: Ask, parsed: ApiRequest, peer: Peer) => Promise<Judgement> {
  const exists = async (repository: string, reference: string) =>
    await registry.stat(repository, reference) !== undefined;
  return async ({ headers }, parsed, peer) => {
    const verdict = await authority.authorize({ headers, ...peer }, parsed, exists);
    if (verdict.kind === "refuse") return verdict;
    return {
      kind: "allow",
      user: verdict.user,
      registry: NEEDS_VIEW.has(parsed.kind) || verdict.tagsMustBe !== undefined
        ? viewOf(registry, verdict, key)
        : registry,
    };
  };
}
