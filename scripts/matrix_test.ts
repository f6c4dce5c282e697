import { deepEqual } from "node:assert/strict";
import { readReport } from "./matrix.ts";

Deno.test("matrix: tests and steps of a report, with how they ended", () => {
  const report = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="3" failures="1" errors="0" time="0.388">
    <testsuite name="./a_test.ts" tests="3" disabled="1" errors="0" failures="1">
        <testcase name="node &amp; python" classname="./a_test.ts" time="12.364" line="1" col="6">
        </testcase>
        <testcase name="other" classname="./a_test.ts" time="0.000" line="2" col="6">
            <skipped/>
        </testcase>
        <testcase name="node &amp; python &gt; by chroot" classname="./a_test.ts" time="1.5" line="1" col="50">
            <failure message="Uncaught Error: no">Error: no</failure>
        </testcase>
    </testsuite>
</testsuites>`;
  deepEqual(readReport(report), [
    { name: "node & python", how: "ok", seconds: 12.364 },
    { name: "other", how: "skipped", seconds: 0 },
    { name: "node & python > by chroot", how: "FAILED", seconds: 1.5 },
  ]);
});
