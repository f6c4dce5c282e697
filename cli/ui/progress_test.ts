import { equal, match } from "node:assert/strict";
import { terminalLog } from "./log.ts";
import { startProgress } from "./progress.ts";
import { progressLine } from "./progress_bars.ts";

function screen(isTerminal: boolean) {
  const written: string[] = [];
  const seen = Promise.withResolvers<void>();
  const sink = {
    write: (text: string | Uint8Array) => {
      written.push(String(text));
      if (String(text).includes("Copying")) seen.resolve();
    },
    isTerminal,
    columns: () => 80,
  };
  const log = terminalLog(sink, {
    level: "info",
    color: false,
    timestamps: false,
    now: () => new Date(0),
  });
  return { sink, log, written, seen: seen.promise };
}

Deno.test("bars come on a terminal, with what was counted before they were loaded", async () => {
  const { sink, log, written, seen } = screen(true);
  const progress = startProgress(sink, log, false, 0);
  const meter = progress.meter("Copying", 1000);
  meter.add(250);
  await seen;
  meter.add(250);
  meter.end();
  progress.stop();
  match(written.join(""), /Copying .*250 B of 1\.0 KB/);
});

Deno.test("what ended before bars were loaded is not shown, nor what nobody looks at", async () => {
  for (const [isTerminal, quiet] of [[true, false], [true, true], [false, false]] as const) {
    const { sink, log, written } = screen(isTerminal);
    const progress = startProgress(sink, log, quiet, 0);
    const meter = progress.meter("Copying", 1000);
    meter.add(10);
    meter.end();
    progress.stop();
    await import("./progress_bars.ts");
    await Promise.resolve();
    equal(written.join(""), "");
  }
});

Deno.test("a bar fits the terminal as it is now: it is shortened, then the label is, the numbers stay", () => {
  const act = { label: "Copying eabb0dab34ba", done: 33_600_000, total: 203_000_000 };
  for (const columns of [120, 80, 60, 50, 40]) {
    const line = progressLine(act, columns);
    match(line, /^ {2}Copying .* 33\.6 MB of 203 MB$/);
    equal(line.length < columns, true, `${columns}: ${line}`);
  }
  equal(progressLine(act, 120).replaceAll(/[^█░]/g, ""), "████".padEnd(24, "░"));
  equal(progressLine({ label: "Reading", done: 5 }, 80).trim(), `${"Reading".padEnd(36)} 5 B`);
});
