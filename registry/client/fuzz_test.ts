import assert from "node:assert/strict";
import { fuzzChallenge, fuzzReference } from "./fuzz_testing.ts";

Deno.test("C-AUTH-01 fuzz: challenges and addresses, a moment of it", () => {
  assert.equal(fuzzChallenge({ times: 10_000 }, 1), 10_000);
});

Deno.test("C-REF fuzz: image names and places, a moment of it", () => {
  assert.equal(fuzzReference({ times: 5000 }, 1), 5000);
});
