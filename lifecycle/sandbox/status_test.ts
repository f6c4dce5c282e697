import assert from "node:assert/strict";
import { StartError } from "./executor.ts";
import { outcomeOf, parseStatus } from "./status.ts";

const helperDied: Deno.CommandStatus = { success: false, code: 137, signal: "SIGKILL" };
const helperEnded: Deno.CommandStatus = { success: false, code: 3, signal: null };

Deno.test("the end of a command is what the helper wrote of it, not the helper's own end", () => {
  const exited = parseStatus(`{"exit":7,"signal":0,"timeout":false,"maxrss_kb":12}\n`);
  assert.deepEqual(outcomeOf(helperDied, exited), { code: 7, maxRssKb: 12 });
  const killed = parseStatus(`{"exit":143,"signal":15,"timeout":true,"maxrss_kb":12}\n`);
  assert.deepEqual(outcomeOf(helperEnded, killed), { code: 143, maxRssKb: 12, signal: "SIGTERM" });
});

Deno.test("a command that never began is an error with its first reason, whatever else was written", () => {
  const fail = (act: string) =>
    JSON.stringify({ fail: 127, act, thing: "/bin/no", errno: 2, error: "No such file" });
  const said = parseStatus(`${fail("run")}\n${fail("end")}\n`);
  assert.throws(
    () => outcomeOf(helperEnded, said),
    (error) =>
      error instanceof StartError && error.code === 127 &&
      error.message === 'Cannot run "/bin/no": No such file',
  );
});

Deno.test("a helper that wrote nothing was killed, with all below it, or is broken itself", () => {
  assert.deepEqual(outcomeOf(helperDied, parseStatus("")), { code: 137, signal: "SIGKILL" });
  assert.throws(() => outcomeOf(helperEnded, {}), /Cannot run the sandbox helper: it ended with 3/);
});
