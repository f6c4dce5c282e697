/**
 * Runs under the shim: `fault_child_testing.ts SHIM WORK MODE [N]`. WORK/seed is a store to start from.
 *
 * pictures STEP  does all acts once, keeps what a crash before each STEP-th call would leave, and looks at each
 * kill N    does all acts and dies at the N-th call; prints the number of each act that was acknowledged
 * count     prints how many calls there are
 * eio, eio-from, enospc, enospc-from FIRST STEP   fails the FIRST-th call (or all from it on), then FIRST + STEP ...
 */
import { equal, ok } from "node:assert/strict";
import { join } from "node:path";
import { openStore, type Store } from "../../registry/store/store.ts";
import { ACTS, copyTree, examine } from "./fault_acts_testing.ts";

const [shim = "", work = "", mode = "", first = "1", step = "1"] = Deno.args;
const { symbols: fault } = Deno.dlopen(shim, {
  fault_watch: { parameters: ["buffer"], result: "void" },
  fault_arm: { parameters: ["i32", "i32", "i64"], result: "void" },
  fault_pictures: { parameters: ["buffer", "i64"], result: "void" },
  fault_picture: { parameters: ["buffer"], result: "void" },
  fault_acked: { parameters: ["i32"], result: "void" },
  fault_calls: { parameters: [], result: "i64" },
  fault_fired: { parameters: [], result: "i32" },
});
const OFF = 0;
const KILL = 1;
const FAIL_ONCE = 2;
const FAIL_FROM = 3;
const COUNT = 4;
const EIO = 5;
const ENOSPC = 28;

const text = (path: string) => new TextEncoder().encode(`${path}\0`);
const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

/** All acts in order; a failed one must say what it could not do. Returns those that were acknowledged. */
async function actAll(dir: string, mayFail: boolean): Promise<number[]> {
  const done: number[] = [];
  let store: Store | undefined;
  try {
    store = await openStore(dir);
    for (const [at, act] of ACTS.entries()) {
      try {
        await act.run(store);
      } catch (error) {
        if (!mayFail) throw error;
        checkError(error, act.name);
        continue;
      }
      done.push(at);
      fault.fault_acked(done.length);
      if (mode === "kill") say(String(at));
    }
  } catch (error) {
    if (!mayFail) throw error;
    checkError(error, "open");
  } finally {
    try {
      await store?.[Symbol.asyncDispose]();
    } catch (error) {
      checkError(error, "close");
    }
  }
  return done;
}

function checkError(error: unknown, what: string): void {
  ok(error instanceof Error && /^Cannot /.test(error.message), `${what}: no clear error: ${error}`);
  ok(!error.message.includes("damaged"), `${what}: a failed call is no damage: ${error.message}`);
}

const dir = join(work, "store");

async function fresh(): Promise<void> {
  fault.fault_watch(text(""));
  await Deno.remove(dir, { recursive: true }).catch(() => {});
  await copyTree(join(work, "seed"), dir);
  fault.fault_watch(text(dir));
}

async function examinePictures(): Promise<void> {
  let pictures = 0;
  let deepest = 0;
  for await (const { name } of Deno.readDir(join(work, "pictures"))) {
    const path = join(work, "pictures", name);
    const acked = Number(await Deno.readTextFile(join(path, "acked")));
    for (const state of ["now", "lost", "mix"]) {
      try {
        await examine(join(path, state), Array.from({ length: acked }, (_, at) => at));
      } catch (cause) {
        throw new Error(`${state} at call ${name}, ${acked} acknowledged: ${cause}`, { cause });
      }
    }
    await Deno.remove(path, { recursive: true });
    pictures++;
    deepest = Math.max(deepest, acked);
  }
  equal(deepest, ACTS.length);
  say(`pictures ${pictures}`);
}

switch (mode) {
  case "pictures":
    await fresh();
    await Deno.mkdir(join(work, "pictures"));
    fault.fault_pictures(text(join(work, "pictures")), BigInt(first));
    await actAll(dir, false);
    fault.fault_arm(OFF, 0, 0n);
    await examinePictures();
    break;
  case "count":
  case "kill":
    await fresh();
    fault.fault_arm(mode === "kill" ? KILL : COUNT, 0, BigInt(first));
    await actAll(dir, false);
    say(`calls ${fault.fault_calls()}`);
    break;
  default: {
    const code = mode.startsWith("eio") ? EIO : ENOSPC;
    let n = Number(first);
    for (;; n += Number(step)) {
      await fresh();
      fault.fault_arm(mode.endsWith("-from") ? FAIL_FROM : FAIL_ONCE, code, BigInt(n));
      const done = await actAll(dir, true);
      const fired = fault.fault_fired() === 1;
      fault.fault_arm(OFF, 0, 0n);
      try {
        // The fault has gone: what failed is done again, by somebody who knows nothing of it.
        const again = await actAll(dir, false);
        equal(again.length, ACTS.length);
        fault.fault_picture(text(join(work, "after")));
        await examine(join(work, "after", "now"), [...new Set([...done, ...again])]);
        await examine(join(work, "after", "lost"), again);
        await examine(join(work, "after", "mix"), again);
      } catch (cause) {
        throw new Error(`${mode} at call ${n}, acknowledged ${done}: ${cause}`, { cause });
      }
      await Deno.remove(join(work, "after"), { recursive: true });
      if (!fired) break;
    }
    say(`calls ${n}`);
  }
}
