/** The first two requests of a rebase, sent before the code that works with their answers is loaded. */
import { isPattern } from "../../lifecycle/fleet/pattern.ts";
import { wantedOf } from "../../registry/oci/reference.ts";
import type { RebaseFlags } from "../command/rebase.ts";
import { readPlace } from "../places.ts";
import type { Session } from "../session.ts";

/** So long a connection on a near network takes: what is loaded next stops everything else. */
const TURN_MS = 2;

/** Starts to read the one image that is named, and its new base; whatever is wrong is said by those who ask for them. */
export async function beginToRead(
  session: Session,
  names: readonly string[],
  flags: RebaseFlags,
): Promise<void> {
  const { publish, from, previousImage, runImage, pullPolicy, dryRun } = flags;
  if (names.length !== 1 || !publish || from !== undefined || previousImage !== undefined) return;
  try {
    const place = readPlace(names[0]!);
    if (isPattern(names[0]!) || place.kind !== "registry") return;
    const { reference } = place;
    const base = runImage === undefined || pullPolicy !== "always"
      ? undefined
      : readPlace(runImage);
    const run = base?.kind === "registry" ? base.reference : undefined;
    const registry = await session.registry(reference.registry);
    const near = run?.registry === reference.registry && run.repository !== reference.repository;
    registry.foresee([
      { repository: reference.repository, write: !dryRun },
      ...(near ? [{ repository: run.repository, write: false }] : []),
    ]);
    registry.begin(reference.repository, wantedOf(reference));
    if (run !== undefined) {
      (await session.source(run.registry)).begin(run.repository, wantedOf(run));
    }
    await new Promise((resolve) => setTimeout(resolve, TURN_MS));
  } catch {
    // It is said when it is asked for.
  }
}
