/** Fleets in the store: with more than a handful of images another thread computes them. */
import { deepEqual, equal, match } from "node:assert/strict";
import type { FleetResult } from "../../lifecycle/fleet/result.ts";
import { openStore } from "../../registry/store/store.ts";
import { tempDir } from "../../registry/temp_testing.ts";
import { commandLine, madeApp, madeBase, put } from "./rebase_testing.ts";

/** Enough for the thread to be started, and to have most of them. */
const COUNT = 150;

Deno.test("RB-13 demand 30: a fleet in the store comes out as its plan says, whichever thread computed it", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const old = madeBase("1");
  const run = "store.example/run:2";
  const names: string[] = [];
  {
    await using store = await openStore(`${dir}/store`);
    await put(store, "store.example/run", "2", madeBase("2"));
    for (let at = 0; at < COUNT; at++) {
      const repository = `store.example/app-${at % 2}`;
      const build = JSON.stringify({ bom: "x".repeat(1000), at });
      const labels = { "io.buildpacks.build.metadata": build };
      const shape = { run, labels, docker: at % 7 === 0, ...(at === 77 ? { distro: "11" } : {}) };
      await put(store, repository, `v${at}`, madeApp(old, `app ${at % 2}`, shape));
      names.push(`store:${repository}:v${at}`);
    }
  }
  const wherry = (...args: readonly string[]) => commandLine(args, dir);
  const lines = (text: string): readonly FleetResult[] =>
    text.trim().split("\n").map((line) => JSON.parse(line));
  await Deno.writeTextFile(`${dir}/list`, names.join("\n") + "\n");
  const how = ["--from", "list", "--run-image", `store:${run}`];
  const plan = await wherry("rebase", "plan", ...how, "--out", "plan");
  equal(plan.code, 3, plan.stderr);
  const run1 = await wherry("rebase", ...how, "--journal", "journal", "-o", "json");
  equal(run1.code, 2, run1.stderr);
  match(run1.stderr, /150 images in .*: 149 rebased, 1 refused; 0 requests/);
  const planned = new Map(
    lines(await Deno.readTextFile(`${dir}/plan`)).slice(1).map((one) => [one.reference, one]),
  );
  for (const { reference, decision, old, new: made, check, tags } of lines(run1.stdout)) {
    const before = planned.get(reference)!;
    deepEqual([old, made, check], [before.old, before.new, before.check], reference);
    equal(decision === "rebased" ? "would rebase" : decision, before.decision, reference);
    if (made !== undefined) deepEqual(tags, [reference.slice("store:".length)]);
  }
  const again = await wherry("rebase", ...how, "-o", "json");
  deepEqual(
    new Set(lines(again.stdout).map(({ decision }) => decision)),
    new Set(["current", "refused"]),
  );
  const back = await wherry("rebase", "rollback", "journal", "-q");
  equal(back.code, 0, back.stderr);
  const applied = await wherry("rebase", "apply", "plan");
  equal(applied.code, 0, applied.stderr);
  match(applied.stderr, /149 images in .*: 149 rebased; 0 requests/);
  equal((await wherry("store", "fsck")).code, 0);
});
