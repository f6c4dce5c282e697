import assert from "node:assert/strict";
import type { Process } from "../file/launch_toml.ts";
import { addProcesses, listProcesses, NO_PROCESSES } from "./build_process.ts";

/** `web* worker`: `*` marks the default. */
function processes(buildpackId: string, text: string): Process[] {
  return text.split(" ").filter((word) => word !== "").map((word) => ({
    type: word.replace("*", ""),
    command: ["x"],
    args: undefined,
    direct: true,
    default: word.endsWith("*"),
    workingDir: "",
    execEnv: [],
    buildpackId,
  }));
}

Deno.test("BU-7 later processes replace earlier ones; the default follows", () => {
  const rows: [string, string[], string, number][] = [
    ["no default", ["web"], "", 0],
    ["one default", ["web*"], "web", 0],
    ["the last default wins", ["web*", "worker*"], "worker", 0],
    ["redefined as default", ["web*", "web*"], "web", 0],
    ["redefined without saying so", ["web*", "web"], "", 1],
    ["another type changes nothing", ["web*", "worker"], "web", 0],
    ["redefined, then another default in that file", ["web*", "web worker*"], "worker", 0],
    ["redefined after another default in that file", ["web*", "worker* web"], "worker", 0],
    ["a default before it is redefined in one file", ["web* web"], "", 1],
  ];
  for (const [why, texts, want, warnings] of rows) {
    let now = NO_PROCESSES;
    let count = 0;
    texts.forEach((text, at) => {
      const { processes: next, warning } = addProcesses(now, processes(`b${at}`, text));
      now = next;
      if (warning !== undefined) count++;
    });
    assert.equal(now.defaultType, want, why);
    assert.equal(count, warnings, why);
  }
});

Deno.test("MDT-3 processes are sorted by bytes and never marked as default", () => {
  const first = addProcesses(NO_PROCESSES, processes("a", "web* a-b a.b B"));
  const { processes: all } = addProcesses(first.processes, processes("b", "web"));
  const list = listProcesses(all);
  assert.deepEqual(list.map(({ type }) => type), ["B", "a-b", "a.b", "web"]);
  assert.equal(list.at(-1)?.buildpackId, "b");
  assert.ok(list.every((one) => !one.default));
});
