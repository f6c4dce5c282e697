import { deepEqual, ok } from "node:assert/strict";
import { soak } from "./soak_testing.ts";

Deno.test("store: ST-02 ST-03 ST-04 R-11 pushes, pulls, deletes and collections from many processes, some killed", async () => {
  const report = await soak({ seconds: 20, seed: 1, workers: 1 });
  deepEqual(report.wrong, []);
  ok(report.acknowledged > 20, JSON.stringify(report));
  ok(report.killed > 0 && report.tags > 0, JSON.stringify(report));
});
