import { deepEqual } from "node:assert/strict";
import { compareVersions } from "./module_version.ts";

Deno.test("the newest of several versions of a buildpack: a release after its candidates, ten after nine", () => {
  const sorted = ["main", "v1", "1.9", "1.10", "1.0.0-rc.1", "1.0.0", "1.9.0", "1.10.0"];
  deepEqual([...sorted].reverse().sort(compareVersions), [
    "1.9",
    "1.10",
    "main",
    "v1",
    "1.0.0-rc.1",
    "1.0.0",
    "1.9.0",
    "1.10.0",
  ]);
});
