import assert from "node:assert/strict";
import { messageOf } from "./fail.ts";

Deno.test("LOG-5 a failure is one line, and a missing file is named first", async () => {
  assert.equal(messageOf(new Error("one\n  two")), "one; two");
  const path = "/nowhere/at all";
  for (const act of [() => Deno.readFile(path), () => Deno.lstat(path), () => Deno.stat(path)]) {
    await assert.rejects(act, (error) => {
      assert.equal(messageOf(error), `${path}: no such file or directory`);
      return true;
    });
  }
});
