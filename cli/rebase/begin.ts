/** The first two requests of a rebase, sent before the code that works with their answers is loaded. */
import { isPattern } from "../../lifecycle/fleet/pattern.ts";
import { wantedOf } from "../../registry/oci/reference.ts";
import type { RebaseFlags } from "../command/rebase.ts";
import { readPlace } from "../places.ts";
import type { Session } from "../session.ts";

const BOTH = { withConfig: true };
/** On a near network they have left by then; on others a connection takes longer than what is loaded meanwhile. */
const LEAVE_MS = 5;

/** Whether one image is named, and somebody waits for it; all else is a fleet. */
export function isOne(names: readonly string[], { from, journal }: RebaseFlags): boolean {
  const given = from !== undefined || journal !== undefined;
  return names.length === 1 && !given && !isPattern(names[0]!);
}

/** Starts to read the one image that is named, and its new base; whatever is wrong is said by those who ask for them. */
export async function beginToRead(
  session: Session,
  names: readonly string[],
  flags: RebaseFlags,
): Promise<void> {
  const { publish, previousImage, runImage, pullPolicy, dryRun } = flags;
  if (!publish || previousImage !== undefined || !isOne(names, flags)) return;
  try {
    const place = readPlace(names[0]!);
    if (place.kind !== "registry") return;
    const { reference } = place;
    const base = runImage === undefined || (pullPolicy ?? "always") !== "always"
      ? undefined
      : readPlace(runImage);
    const run = base?.kind === "registry" ? base.reference : undefined;
    const registry = await session.registry(reference.registry);
    const near = run?.registry === reference.registry && run.repository !== reference.repository;
    registry.foresee([
      { repository: reference.repository, write: !dryRun },
      ...(near ? [{ repository: run.repository, write: false }] : []),
    ]);
    const leaving = [registry.begin(reference.repository, wantedOf(reference), BOTH)];
    if (run !== undefined) {
      const source = await session.source(run.registry);
      leaving.push(source.begin(run.repository, wantedOf(run), BOTH));
    }
    // What is loaded next stops everything else: not before they have left. The first timer of a process takes longer to load
    // than this waits, a signal does not.
    const late = new Promise<void>((resolve) => {
      AbortSignal.timeout(LEAVE_MS).addEventListener("abort", () => resolve());
    });
    await Promise.race([Promise.all(leaving), late]);
  } catch {
    // It is said when it is asked for.
  }
}
