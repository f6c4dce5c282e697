import { deepEqual } from "node:assert/strict";
import { idsIn, readIds, readRows } from "./rules.ts";

Deno.test("rules: ids stand in names of tests, not in comments", () => {
  const known = new Set(["RE-1", "RE-19", "RE-20", "C-DL-05", "C-RETRY", "S-API-3", "LAY-2b"]);
  const source = `
// RE-1
/** C-RETRY */
Deno.test("RE-19..20, C-DL-05: x", f);  ["LAY-2b", "S-API 3", "UTF-8", "CVE-2020-1"]`;
  deepEqual([...idsIn(source, known)].sort(), ["C-DL-05", "LAY-2b", "RE-19", "RE-20", "S-API-3"]);
  deepEqual([...idsIn('"C-RETRY x"', known)], ["C-RETRY"]);
  deepEqual(readIds("# no\nA-1 B-2\n\nC-3\n"), ["A-1", "B-2", "C-3"]);
});

Deno.test("rules: rows name files or say why not", () => {
  deepEqual(
    readRows(
      "| id | where |\n| X-01 | `a/b_test.ts`, `c_testing.ts` | y |\n| M-02 | cannot occur: so |\n",
    ),
    [
      { id: "X-01", files: ["a/b_test.ts", "c_testing.ts"], reason: undefined },
      { id: "M-02", files: [], reason: "so" },
    ],
  );
});
