/**
 * Properties with the same values each time, so that no run of the tests depends on luck. `WHERRY_SEED=N` chooses other
 * values, `WHERRY_SEED=any` others each time.
 */
import fc from "fast-check";

const seed = Deno.env.get("WHERRY_SEED") ?? "1";
if (seed !== "any") fc.configureGlobal({ seed: Number(seed) });

export default fc;
