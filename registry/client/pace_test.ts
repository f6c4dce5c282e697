import { deepEqual } from "node:assert/strict";
import { Pace } from "./pace.ts";

Deno.test("C-RETRY pauses that a registry asks for are told now and then, a longer one at once", () => {
  let now = 0;
  const lines: string[] = [];
  const log = {
    debug: () => {},
    info: (line: string) => void lines.push(`${now} ${line}`),
    warn: () => {},
    error: () => {},
  };
  const pace = new Pace("r.example", { now: () => now, log });
  for (; now < 20_000; now += 500) pace.press(now === 5000 ? 3000 : 1000);
  deepEqual(lines, [
    "0 r.example asks for a pause of 1 s",
    "5000 r.example asks for a pause of 3 s",
  ]);
  pace.press(1000);
  deepEqual(lines.slice(2), ["20000 r.example asks for a pause of 1 s"]);
});
