import assert from "node:assert/strict";
import type { Sink } from "../io.ts";
import { type LogOptions, terminalLog } from "./log.ts";

function logged(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const sink: Sink = {
    write: (text) => void lines.push(String(text)),
    isTerminal: false,
    columns: () => 80,
  };
  const log = terminalLog(sink, {
    level: "info",
    color: false,
    timestamps: false,
    now: () => new Date(0),
    ...options,
  });
  return { log, lines };
}

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("a line that a buildpack did not end comes before our next one", () => {
  const { log, lines } = logged();
  log.output(bytes("one\ntw"));
  log.output(bytes("o"));
  log.info("===> EXPORTING");
  assert.deepEqual(lines, ["one\n", "two\n", "===> EXPORTING\n"]);
});

Deno.test("the last line is not lost, and flushed once", () => {
  const { log, lines } = logged();
  log.output(bytes("the end"));
  log.flush();
  log.flush();
  assert.deepEqual(lines, ["the end\n"]);
});

Deno.test("a character cut in two is put together, colours are taken out", () => {
  const { log, lines } = logged();
  const text = bytes("\x1b[32mé\x1b[0m\n");
  log.output(text.slice(0, 6));
  log.output(text.slice(6));
  assert.deepEqual(lines, ["é\n"]);
});

Deno.test("LOG-2 warnings and errors are marked, and quiet keeps errors", () => {
  const { log, lines } = logged({ level: "error" });
  log.info("no");
  log.warn("no");
  log.output(bytes("no\n"));
  log.error("yes");
  assert.deepEqual(lines, ["ERROR: yes\n"]);
});
