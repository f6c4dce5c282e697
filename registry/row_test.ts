import { equal } from "node:assert/strict";
import { Row } from "./row.ts";

const line = () => ({
  closed: false,
  close() {
    this.closed = true;
  },
});

Deno.test("who stands in a row goes where the one before has left, and answers come in order", async () => {
  const row = new Row();
  const [first, second] = [row.join("a"), row.join("a")];
  equal(first.before, undefined);
  equal(second.before, first);
  const one = line();
  first.leave(one);
  equal(await first.left, one);
  equal(first.end(true, true), true, "the next one goes on with the line");
  equal(await first.answered, true);
  equal(second.end(true, true), false, "nobody stands behind");
  equal(row.join("a").before, undefined, "all before are answered");
});

Deno.test("another way is another row; what did not leave takes nobody along", async () => {
  const row = new Row();
  const first = row.join("a");
  equal(row.join("b").before, undefined);
  const second = row.join("a");
  equal(first.end(false, false), false);
  equal(await first.left, undefined);
  equal(await first.answered, false);
  equal(second.end(true, true), false);
});

Deno.test("a line that was handed on to one who gave up is closed", async () => {
  const row = new Row();
  const [first, second] = [row.join("a"), row.join("a")];
  const one = line();
  first.leave(one);
  equal(first.end(true, true), true);
  second.end(false, false);
  await first.left;
  equal(one.closed, true);
});
