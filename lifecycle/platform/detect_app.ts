/** Detection alone: who would take part, and why the others would not. */
import type { Context } from "../../registry/context.ts";
import type { Group } from "../file/group_toml.ts";
import type { Plan } from "../file/plan_toml.ts";
import { detect } from "../phase/detect.ts";
import { DetectError } from "../phase/detect_types.ts";
import type { GroupTrial, RunTarget } from "../phase/detect_types.ts";
import { openSite } from "./build_site.ts";
import type { SiteRequest } from "./build_site_types.ts";

/** What detection found, also when nobody passed. */
export interface DetectOutcome {
  /** Who takes part; absent when no group passed. */
  readonly group?: Group | undefined;
  /** What they agreed upon. */
  readonly plan?: Plan | undefined;
  /** Every group that was tried, in order. */
  readonly tree: readonly GroupTrial[];
  /** Why no group passed. */
  readonly failure?: DetectError | undefined;
}

/**
 * Runs detection and nothing else; no registry is asked.
 *
 * @param target What the image would run on.
 * @throws {LifecycleError} When it could not be carried out; that no group passed is a result.
 */
export async function detectApp(
  request: SiteRequest,
  target: RunTarget,
  ctx: Context,
): Promise<DetectOutcome> {
  await using site = await openSite(request, ctx);
  await using enclosure = await site.enclose(target);
  try {
    const order = { order: site.order, orderExtensions: site.orderExtensions };
    return await detect({ ...enclosure.input, order, system: site.system }, ctx);
  } catch (error) {
    if (!(error instanceof DetectError)) throw error;
    return { tree: error.tree, failure: error };
  }
}
