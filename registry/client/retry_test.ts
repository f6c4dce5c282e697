import assert, { deepEqual, equal } from "node:assert/strict";
import { connectRegistry } from "./client.ts";
import { quirkServer } from "./quirk_testing.ts";
import { askedPause, Governor, isRetryableStatus, ownPause } from "./retry.ts";

Deno.test("C-RETRY what is tried again, and when", () => {
  for (const status of [408, 429, 499, 500, 502, 503, 504, 522]) assert(isRetryableStatus(status));
  for (const status of [200, 400, 401, 403, 404, 405, 416, 501]) assert(!isRetryableStatus(status));
  const asked = (text: string) => askedPause(new Headers({ "retry-after": text }), 0);
  assert.equal(asked("5"), 5000);
  assert.equal(asked("Thu, 01 Jan 1970 00:00:03 GMT"), 3000);
  assert.equal(asked("soon"), undefined);
  for (let attempt = 1; attempt < 20; attempt++) {
    const pause = ownPause(attempt, { baseMs: 100, maxMs: 1000 });
    assert(pause >= 0 && pause <= Math.min(1000, 100 * 2 ** (attempt - 1)));
  }
});

Deno.test("C-RETRY the governor halves when pressed, rises when eased, and forgets who gave up", async () => {
  const governor = new Governor(4);
  const held = await Promise.all([
    governor.enter(),
    governor.enter(),
    governor.enter(),
    governor.enter(),
  ]);
  const controller = new AbortController();
  const gaveUp = governor.enter(controller.signal);
  let entered = false;
  const waiting = governor.enter().then((leave) => {
    entered = true;
    return leave;
  });
  controller.abort(new Error("no"));
  await assert.rejects(() => gaveUp, /no/);
  governor.press();
  assert.equal(governor.limit, 2);
  held[0]!();
  held[0]!();
  held[1]!();
  await Promise.resolve();
  assert.equal(entered, false);
  held[2]!();
  (await waiting)();
  held[3]!();
  governor.ease();
  governor.ease();
  assert.equal(governor.limit, 3);
});

Deno.test("demand 30: a registry is asked so often a second and no more, evenly, by all workers together", async () => {
  await using server = quirkServer(() => new Response(null, { status: 404 }));
  const waits: number[] = [];
  let now = 5000;
  await using registry = connectRegistry(server.host, {
    perSecond: 20,
    now: () => now,
    retry: { wait: (ms) => Promise.resolve(void waits.push(ms)) },
  });
  await registry.stat("app", "first");
  await Promise.all(["a", "b", "c"].map((tag) => registry.stat("app", tag)));
  deepEqual(waits, [50, 100, 150]);
  now += 1000;
  await registry.stat("app", "later");
  equal(waits.length, 3, "what was not used is not saved up, and costs nothing");
  await Promise.all(["a", "b"].map((tag) => registry.stat("app", tag)));
  deepEqual(waits.slice(3), [50, 100]);
});
