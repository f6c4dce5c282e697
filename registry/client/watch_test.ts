import assert from "node:assert/strict";
import { Watch } from "./watch.ts";

Deno.test("a watch calls back once, with what was waited for last", async () => {
  const late = Promise.withResolvers<string>();
  const calls: string[] = [];
  const watch = new Watch((what) => {
    calls.push(what);
    late.resolve(what);
  });
  watch.start(60_000, "answer");
  watch.start(5, "progress");
  assert.equal(await late.promise, "progress");
  watch.stop();
  assert.deepEqual(calls, ["progress"]);
});

Deno.test("a watch that is paused, or started again in time, keeps quiet", async () => {
  const calls: string[] = [];
  const watch = new Watch((what) => calls.push(what));
  const other = Promise.withResolvers<string>();
  watch.start(5, "first");
  watch.pause();
  const clock = new Watch(other.resolve);
  clock.start(30, "clock");
  await other.promise;
  assert.deepEqual(calls, []);
  watch.start(60_000, "second");
  watch.stop();
  clock.stop();
});
