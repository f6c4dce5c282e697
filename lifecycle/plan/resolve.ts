/**
 * Which members of a group take part, and who provides what: a pure function.
 *
 * @see CNB buildpack spec, "Phase #1: Detection", "Order Resolution"; DT-17 to DT-23
 */
import type { BuildPlan, BuildPlanOption } from "../file/build_plan.ts";
import type { Plan, PlanEntry, Provider, Require } from "../file/plan_toml.ts";

/** A member whose `bin/detect` passed. */
export interface Candidate {
  /** Its id. */
  readonly id: string;
  /** Its version. */
  readonly version: string;
  /** The group can do without it. */
  readonly optional: boolean;
  /** It is an image extension. */
  readonly extension: boolean;
  /** What it wrote. */
  readonly plan: BuildPlan;
}

/** Why a trial lost a member or failed. */
export interface Step {
  /** The member is dropped, or the trial fails. */
  readonly kind: "skip" | "fail";
  /** The member's id. */
  readonly id: string;
  /** The member's version. */
  readonly version: string;
  /** It requires what nobody before it provides, or provides what nobody after it requires. */
  readonly why: "requires" | "provides unused";
  /** The dependency. */
  readonly name: string;
}

/** One choice of alternatives, and what came of it. */
export interface Trial {
  /** For each candidate the alternative tried: 0 is the top of its plan, n is `or[n-1]`. */
  readonly choice: readonly number[];
  /** What happened, in order. */
  readonly steps: readonly Step[];
  /** Whether the trial held. */
  readonly held: boolean;
}

/** What resolution found. */
export interface Resolution {
  /** Indices of the candidates that take part, ascending; `undefined` when no trial held. */
  readonly members: readonly number[] | undefined;
  /** One entry per name, sorted by name. */
  readonly plan: Plan;
  /** All trials in the order they were made; the last one may have held. */
  readonly trials: readonly Trial[];
}

/** More alternatives than anybody writes; beyond it the search would seem to hang. */
const MAX_TRIALS = 100_000;

/** A candidate with one of its alternatives chosen. */
interface Option {
  readonly index: number;
  readonly candidate: Candidate;
  readonly optional: boolean;
  readonly want: BuildPlanOption;
}

/** What is known of one name while a trial is walked. */
interface Dependency {
  readonly providers: Option[];
  readonly requires: Require[];
  readonly unmet: Option[];
  unused: Option[];
}

/**
 * Tries the alternatives of `candidates` as a depth-first product, the last candidate varying
 * fastest, until one holds (DT-19, DT-22).
 *
 * The result depends on the order of candidates and alternatives only, never on names (DT-21). The
 * number of trials is the product of the numbers of alternatives.
 *
 * @throws {RangeError} After 100,000 trials.
 */
export function resolve(candidates: readonly Candidate[]): Resolution {
  const trials: Trial[] = [];
  const choice = candidates.map(() => 0);
  for (;;) {
    const options = candidates.map((candidate, index) =>
      optionOf(candidate, index, choice[index]!)
    );
    const { trial, kept, plan } = runTrial(options, choice);
    trials.push(trial);
    if (trials.length > MAX_TRIALS) {
      throw new RangeError(
        `Cannot resolve the plan: more than ${MAX_TRIALS} combinations of alternatives in one group`,
      );
    }
    if (trial.held) return { members: kept.map(({ index }) => index), plan, trials };
    if (!advance(choice, candidates)) return { members: undefined, plan: { entries: [] }, trials };
  }
}

/** Only the last alternative of an optional candidate is optional: the others must hold (DT-19). */
function optionOf(candidate: Candidate, index: number, at: number): Option {
  const want = at === 0 ? candidate.plan : candidate.plan.or[at - 1]!;
  const last = at === candidate.plan.or.length;
  return { index, candidate, optional: candidate.optional && last, want };
}

/** The next choice, like the next number of an odometer. */
function advance(choice: number[], candidates: readonly Candidate[]): boolean {
  for (let at = choice.length - 1; at >= 0; at--) {
    if (choice[at]! < candidates[at]!.plan.or.length) {
      choice[at]!++;
      return true;
    }
    choice[at] = 0;
  }
  return false;
}

/** Drops optional members until all requires are met and all provides are used (DT-20). */
function runTrial(
  all: readonly Option[],
  choice: readonly number[],
): { trial: Trial; kept: readonly Option[]; plan: Plan } {
  const steps: Step[] = [];
  const end = (held: boolean, kept: readonly Option[], plan: Plan) => ({
    trial: { choice: [...choice], steps, held },
    kept,
    plan,
  });
  let kept = all;
  for (;;) {
    const found = walk(kept);
    const dropped = new Set<Option>();
    const complaints = [
      ...found.flatMap(([name, { unmet }]) =>
        unmet.map((option) => ({ option, name, why: "requires" as const }))
      ),
      ...found.flatMap(([name, { unused }]) =>
        unused.map((option) => ({ option, name, why: "provides unused" as const }))
      ),
    ];
    for (const { option, name, why } of complaints) {
      const { id, version } = option.candidate;
      const kind = option.optional ? "skip" : "fail";
      steps.push({ kind, id, version, why, name });
      if (kind === "fail") return end(false, [], { entries: [] });
      dropped.add(option);
    }
    if (dropped.size === 0) return end(kept.length > 0, kept, toPlan(found));
    kept = kept.filter((option) => !dropped.has(option));
  }
}

/** Who provides and requires each name, sorted by name: provides of a member come before its requires. */
function walk(options: readonly Option[]): [string, Dependency][] {
  const found = new Map<string, Dependency>();
  const of = (name: string) => {
    let one = found.get(name);
    if (!one) found.set(name, one = { providers: [], requires: [], unmet: [], unused: [] });
    return one;
  };
  for (const option of options) {
    for (const name of option.want.provides) of(name).unused.push(option);
    for (const require of option.want.requires) {
      const one = of(require.name);
      one.providers.push(...one.unused);
      one.unused = [];
      if (one.providers.length === 0) one.unmet.push(option);
      else one.requires.push(require);
    }
  }
  return [...found].sort(([a], [b]) => a < b ? -1 : 1);
}

function toPlan(found: readonly [string, Dependency][]): Plan {
  return {
    entries: found.map(([, one]): PlanEntry => ({
      providers: one.providers.map(({ candidate }): Provider => ({
        id: candidate.id,
        version: candidate.version,
        extension: candidate.extension,
      })),
      requires: one.requires,
    })),
  };
}
