import { equal } from "node:assert/strict";
import { nearestWord } from "./nearest_word.ts";

Deno.test("nearestWord: slips of the pen, not other words", () => {
  const known = ["group", "order", "create", "inspect", "id"];
  equal(nearestWord("grup", known), "group");
  equal(nearestWord("craete", known), "create");
  equal(nearestWord("inspct", known), "inspect");
  equal(nearestWord("ids", known), "id");
  equal(nearestWord("vendor", known), undefined);
  equal(nearestWord("x", ["id"]), undefined);
});
