import { match } from "node:assert/strict";
import { formatCsv } from "./csv.ts";

Deno.test("cells of CSV are no formulas, whatever an image says of itself", () => {
  const result = { reference: "b", decision: "rebased", requests: 1, bytes: 2, ms: 3 } as const;
  const text = formatCsv([{ ...result, reason: '=x, "y"' }, { ...result, reason: "-x()" }]);
  match(text, /^reference,decision,reason,check,/);
  match(text, /^b,rebased,"'=x, ""y""",/m);
  match(text, /^b,rebased,'-x\(\),/m);
});
