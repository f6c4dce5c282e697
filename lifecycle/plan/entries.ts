/** What a buildpack gets of the plan, and what is left of it afterwards (BPL-5, BU-5). Pure. */
import type { Plan, Require } from "../file/plan_toml.ts";

/** All that the buildpack (or with `extension` the extension) `id` is to provide, in the order of the plan. */
export function requiresFor(plan: Plan, id: string, extension = false): readonly Require[] {
  return plan.entries
    .filter(({ providers }) =>
      providers.some((one) => one.id === id && one.extension === extension)
    )
    .flatMap(({ requires }) => requires);
}

/** `plan` without the entries that have a require of a name in `met`. */
export function withoutMet(plan: Plan, met: readonly string[]): Plan {
  return {
    entries: plan.entries.filter(({ requires }) =>
      !requires.some(({ name }) => met.includes(name))
    ),
  };
}
