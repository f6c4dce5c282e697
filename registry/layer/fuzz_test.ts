import { deepEqual, equal } from "node:assert/strict";
import { fuzzTar } from "./fuzz_testing.ts";

Deno.test("X-10 two seconds of fuzzing find no archive that others read differently", async () => {
  const { runs, accepted, finds } = await fuzzTar(2, 42);
  deepEqual(finds.map(({ why }) => why), []);
  equal(runs > accepted && accepted > 0, true);
});
