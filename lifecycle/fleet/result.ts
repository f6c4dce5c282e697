/** What became of one image of a fleet. */

/** In a word. */
export type Decision =
  /** It stands on the new base now. */
  | "rebased"
  /** It would; nothing was written. */
  | "would rebase"
  /** It stands on that base already. */
  | "current"
  /** A check refused it. */
  | "refused"
  /** It was not made by buildpacks. */
  | "not CNB"
  /** It is not there, or cannot be read. */
  | "unreadable"
  /** Somebody else moved the tag meanwhile; it was left where it is. */
  | "moved"
  /** The policy, or the image itself, wants it left alone. */
  | "skipped"
  /** Its tag was put back. */
  | "rolled back"
  /** It would be; nothing was written. */
  | "would roll back"
  /** Something went wrong. */
  | "failed";

/** One state of an image. */
export interface ImageState {
  /** Of its manifest or index. */
  readonly digest: string;
  /** The base's digest reference; of an index that of its first image. */
  readonly base: string;
}

/** One line of a report. */
export interface FleetResult {
  /** As it was named. */
  readonly reference: string;
  /** What became of it. */
  readonly decision: Decision;
  /** Why, in one line, where that is not plain. */
  readonly reason?: string | undefined;
  /** Which check refused it, and what it saw on both sides. */
  readonly check?:
    | { readonly name: string; readonly app: string; readonly base: string }
    | undefined;
  /** Before. */
  readonly old?: ImageState | undefined;
  /** After; what it would be, where nothing was written. */
  readonly new?: ImageState | undefined;
  /** Names that were set. */
  readonly tags?: readonly string[] | undefined;
  /** Requests that were sent for it. */
  readonly requests: number;
  /** Bytes of bodies, both ways. */
  readonly bytes: number;
  /** Answers of 429 among them; left out where there was none. */
  readonly throttled?: number | undefined;
  /** How long it waited since a registry wanted that, in milliseconds; left out where it did not. */
  readonly waited_ms?: number | undefined;
  /** From its turn to its end, in milliseconds. */
  readonly ms: number;
}

/** Whether that is how it should be: whoever asked has nothing more to do. */
export function isGood({ decision }: Pick<FleetResult, "decision">): boolean {
  return [
    "rebased",
    "would rebase",
    "current",
    "rolled back",
    "would roll back",
    "skipped",
    "not CNB",
  ]
    .includes(decision);
}

/** Why, for a row of a table that names the image: the check with both values, or the reason without the name. */
export function whyOf({ check, reason = "" }: Pick<FleetResult, "check" | "reason">): string {
  if (check === undefined) return reason.replace(/^Cannot rebase \S+( \([^()]+\))?: /, "");
  return `${check.name}: ${check.app || "nothing"} / ${check.base || "nothing"}`;
}

/** How a run ended, for its exit code. */
export function outcomeOf(good: number, bad: number): "all" | "some" | "none" {
  return bad === 0 ? "all" : good === 0 ? "none" : "some";
}
