import assert from "node:assert/strict";
import { fuzzChallenge, fuzzReference } from "./fuzz_testing.ts";

Deno.test("C-AUTH-01 fuzz: challenges and addresses, a moment of it", () => {
  assert(fuzzChallenge(0.3, 1) > 100);
});

Deno.test("C-REF fuzz: image names and places, a moment of it", () => {
  assert(fuzzReference(0.3, 1) > 100);
});
