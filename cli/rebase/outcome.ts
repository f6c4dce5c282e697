/** What became of one image, in words: states, failures, refusals. */
import type { FleetResult, ImageState } from "../../lifecycle/fleet/result.ts";
import { LifecycleError } from "../../lifecycle/error.ts";
import { METADATA_LABEL } from "../../lifecycle/file/lifecycle_metadata.ts";
import { baseOf, RebaseRefusal } from "../../lifecycle/phase/rebase.ts";
import { saidBy } from "../../lifecycle/phase/rebase_check.ts";
import {
  NotCnbError,
  NotThereError,
  type PreparedRebase,
} from "../../lifecycle/platform/rebase_read.ts";
import type { ComputedRebase } from "../../lifecycle/platform/rebase_pool.ts";
import type { Tally } from "../../registry/client/counter.ts";
import type { Image } from "../../registry/image.ts";
import type { UnmetDetail } from "../../registry/expectation.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { isOciError } from "../../registry/oci/error.ts";
import { failureOf } from "../exit.ts";

/** How far an act came. */
export interface Stage {
  prepared?: PreparedRebase;
  /** Instead of it, where another thread did it. */
  computed?: ComputedRebase["image"];
  /** Its first image, once it is read, and the digest of the whole: known also when a check refuses it. */
  seen?: { readonly app: Image; readonly digest: string };
}

/** What is said of an act. */
export type Said = Pick<FleetResult, "decision" | "reason" | "check" | "tags"> & {
  readonly old?: ImageState;
};

/** What was sent for an act, for its result. */
export function sentBy(
  { requests, bytes, throttled, waited }: Tally,
): Pick<FleetResult, "requests" | "bytes" | "throttled" | "waited_ms"> {
  return {
    requests,
    bytes,
    ...(throttled > 0 ? { throttled } : {}),
    ...(waited > 0 ? { waited_ms: Math.round(waited) } : {}),
  };
}

/** The image itself says that it is to be left alone. */
export class Skip extends Error {}

/** Before and after, as far as it is known. */
export function statesOf(
  { prepared, seen, computed }: Stage,
): { readonly old?: ImageState; readonly made?: ImageState } {
  if (computed !== undefined) {
    const made = computed.made?.raw.digest ?? computed.old;
    return {
      old: { digest: computed.old, base: computed.oldBase },
      made: { digest: made, base: computed.newBase },
    };
  }
  if (prepared === undefined) {
    if (seen === undefined) return {};
    return { old: { digest: seen.digest, base: saidBase(seen.app) } };
  }
  const { old, made, images: [first] } = prepared;
  return {
    old: { digest: old.digest, base: first?.oldBase ?? "" },
    made: { digest: made.digest, base: first?.newBase ?? "" },
  };
}

/** The base in the image's label; nothing where the label cannot be read. */
function saidBase({ config }: Image): string {
  try {
    return baseOf(labelOf(config, METADATA_LABEL) ?? "{}").runImage.reference;
  } catch {
    return "";
  }
}

/** The decision that an error stands for. */
export function describeFailure(error: unknown, stage: Stage): Said {
  const { message = "" } = failureOf(error);
  if (error instanceof Skip) return { decision: "skipped", reason: error.message };
  if (error instanceof NotThereError) return { decision: "unreadable", reason: message };
  if (error instanceof NotCnbError) return { decision: "not CNB", reason: message };
  if (error instanceof RebaseRefusal) {
    const { check: name, app, base } = error;
    return { decision: "refused", reason: reasonOf(error), check: { name, app, base } };
  }
  if (error instanceof LifecycleError) return { decision: "refused", reason: message };
  if (isOciError(error, "PRECONDITION_FAILED")) {
    const now = (error.detail as Partial<UnmetDetail> | undefined)?.digest;
    const made = (stage.prepared?.made ?? stage.computed?.made?.raw)?.digest;
    if (now !== undefined && now !== null && now === made) return { decision: "current" };
    return { decision: "moved", reason: `skipped: moved, it is ${now ?? "gone"}` };
  }
  const reading = (stage.prepared ?? stage.computed) === undefined && isOciError(error);
  return { decision: reading ? "unreadable" : "failed", reason: message };
}

/** A refusal in the words of people: the check, what it saw, and what helps. */
export function reasonOf({ check, app, base, overridable, message: why }: RebaseRefusal): string {
  return saidBy({ check, app, base, why }) +
    (overridable ? "; --force makes this a warning" : "");
}
