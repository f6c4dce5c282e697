import { deepEqual } from "node:assert/strict";
import type { FleetResult } from "./result.ts";
import { runFleet } from "./run.ts";

Deno.test("demand 30 freeze: a window that opens in the middle of a run: those under way are finished, none is begun", async () => {
  const begun: number[] = [];
  const results: string[] = [];
  const end = await runFleet<number>({
    items: [1, 2, 3, 4, 5, 6],
    concurrency: 2,
    waves: [4],
    halt: () => begun.length < 3 ? undefined : "freeze: it is Friday",
    act: async (item): Promise<FleetResult> => {
      begun.push(item);
      await Promise.resolve();
      return { reference: String(item), decision: "rebased", requests: 0, bytes: 0, ms: 0 };
    },
    onResult: ({ reference }) => void results.push(reference),
    between: () => Promise.reject(new Error("no wave comes after it")),
    signal: new AbortController().signal,
  });
  deepEqual(end, { total: 6, good: 3, bad: 0, stopped: "freeze: it is Friday" });
  deepEqual([begun, results.sort()], [[1, 2, 3], ["1", "2", "3"]]);
});
