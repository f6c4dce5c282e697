import assert from "node:assert/strict";
import { type PhaseLevel, phaseLog, readLevel } from "./phase_log.ts";

function recorder(level: PhaseLevel, color: boolean) {
  let text = "";
  const sink = {
    write: (chunk: string | Uint8Array) => {
      text += typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk);
    },
    isTerminal: false,
    columns: () => 80,
  };
  const now = () => new Date("2024-01-02T03:04:05.678Z");
  return { log: phaseLog(sink, { level, color, now }), said: () => text };
}

Deno.test("LOG-2 levels: each shows its own lines and those above, and a buildpack's always", () => {
  const all = ["d\n", "i\n", "Warning: w\n", "ERROR: e\n"];
  const levels: PhaseLevel[] = ["debug", "info", "warn", "error"];
  levels.forEach((level, at) => {
    const { log, said } = recorder(level, false);
    log.debug("d");
    log.info("i");
    log.warn("w");
    log.error("e");
    log.output(new TextEncoder().encode("out"));
    assert.equal(said(), all.slice(at).join("") + "out");
  });
  assert.equal(readLevel("WARNING"), "warn");
  assert.equal(readLevel("trace"), undefined);
});

Deno.test("LOG-2 LOG-3 marks have colours unless there are to be none; nothing has a time", () => {
  const { log, said } = recorder("info", true);
  log.warn("w");
  log.error("e");
  log.step("BUILDING");
  log.output(new TextEncoder().encode("\x1b[1mbold\x1b[0m"));
  assert.equal(
    said(),
    "\x1b[33m\x1b[1mWarning: \x1b[22m\x1b[39mw\n\x1b[31m\x1b[1mERROR: \x1b[22m\x1b[39me\n" +
      "\x1b[36m===> BUILDING\x1b[39m\n\x1b[1mbold\x1b[0m",
  );
  const plain = recorder("info", false);
  plain.log.step("BUILDING");
  plain.log.output(new TextEncoder().encode("\x1b[1mbold\x1b[0m \x1b[38;5;12mx"));
  assert.equal(plain.said(), "===> BUILDING\nbold x");
});

Deno.test("LOG-4 how long something took is told at debug, also when it failed", async () => {
  const { log, said } = recorder("debug", false);
  await assert.rejects(log.timed("Exporter", () => Promise.reject(new Error("x"))), /x/);
  assert.equal(
    said(),
    "Timer: Exporter started at 2024-01-02T03:04:05Z\n" +
      "Timer: Exporter ran for 0s and ended at 2024-01-02T03:04:05Z\n",
  );
});
