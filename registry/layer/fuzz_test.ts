import { deepEqual, equal } from "node:assert/strict";
import { fuzzTar } from "./fuzz_testing.ts";

Deno.test("X-10 hundreds of archives of fuzzing: none that others read differently", async () => {
  const { runs, accepted, finds } = await fuzzTar({ times: 600 }, 42);
  deepEqual(finds.map(({ why }) => why), []);
  equal(runs > accepted && accepted > 0, true);
});
