import { equal } from "node:assert/strict";
import { fitTable } from "./table.ts";

const HEADER = ["NAME", "WHAT", "MORE"];
const ROWS = [["a", "日本", "x"], ["longer", "b", "yyyy"]];

Deno.test("columns are as wide as what a terminal shows, the widest optional ones go first", () => {
  const all = fitTable(HEADER, ROWS, { width: undefined, optional: ["MORE", "WHAT"] });
  equal(all, "NAME     WHAT   MORE\na        日本   x\nlonger   b      yyyy\n");
  const two = fitTable(HEADER, ROWS, { width: 19, optional: ["MORE", "WHAT"], indent: "  " });
  equal(two, "  NAME     WHAT\n  a        日本\n  longer   b\n");
  const one = fitTable(HEADER, ROWS, { width: 3, optional: ["MORE", "WHAT", "ABSENT"] });
  equal(one, "NAME\na\nlonger\n");
});

Deno.test("a list of many lines is a table too", () => {
  const rows = Array.from({ length: 200_000 }, (_, at) => [String(at), "x", "y"]);
  equal(fitTable(HEADER, rows, { width: 80, optional: [] }).split("\n").length, 200_002);
});
