import assert from "node:assert/strict";
import * as core from "zod/v4/core";
import { lifecyclePhase } from "./lifecycle_call.ts";
import type { Io } from "./io.ts";

const io = (...args: string[]) => ({ args } as unknown as Io);

Deno.test("CLI-1 the lifecycle's words are told from all others before any command is loaded", async () => {
  assert.equal(typeof await lifecyclePhase(io("lifecycle", "detect")), "function");
  assert.equal(await lifecyclePhase(io("lifecycle", "--help")), undefined);
  assert.equal(await lifecyclePhase(io("build", "lifecycle")), undefined);
  assert.equal(await lifecyclePhase(io()), undefined);
});

Deno.test("zod still reads its settings where main.ts leaves them", () => {
  const { __zod_globalConfig } = globalThis as { readonly __zod_globalConfig?: unknown };
  assert.equal(__zod_globalConfig, core.globalConfig);
});
