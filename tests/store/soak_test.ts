import { deepEqual, ok } from "node:assert/strict";
import { soak } from "./soak_testing.ts";

Deno.test("store: ST-02 ST-03 ST-04 R-11 pushes, pulls, deletes and collections from many processes, some killed", async () => {
  // `deno task soak` goes on for longer. A busy machine does little in this time, and gets more of it.
  for (let seconds = 9;; seconds *= 2) {
    const report = await soak({ seconds, seed: 1, workers: 1 });
    deepEqual(report.wrong, []);
    const { acknowledged, killed, tags, collected } = report;
    if (acknowledged > 20 && killed > 0 && tags > 0 && collected > 0) return;
    ok(seconds < 100, JSON.stringify(report));
  }
});
