import { deepEqual, equal, match, rejects, throws } from "node:assert/strict";
import { tempDir } from "../../registry/temp_testing.ts";
import { afterIntent, JournalFile, mergeJournalTexts, parseJournal } from "./journal.ts";
import { formatPlan, parsePlan } from "./plan.ts";
import { mergeJournals } from "./report.ts";
import type { FleetResult } from "./result.ts";
import { parsePause, runFleet, wavesOf } from "./run.ts";

const result = (reference: string, decision: FleetResult["decision"] = "rebased"): FleetResult => ({
  reference,
  decision,
  requests: 4,
  bytes: 100,
  ms: 1,
});
const header = {
  journal: 1 as const,
  source: "s",
  total: 2,
  shard: "1/1",
  mine: 2,
  publish: true,
  started: "",
};

Deno.test("a journal goes on where a killed run left it: half a line was not written", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const path = `${dir}/j`;
  {
    const { file, before } = await JournalFile.open(path);
    await using _ = file;
    equal(before, undefined);
    file.add(header);
    file.add({ intent: "a", old: "1", new: "2" });
    await file.durable();
    await rejects(() => JournalFile.open(path), /another run writes it now/);
    file.add(result("a"));
    await Promise.all([file.durable(), file.durable(), file.durable()]);
  }
  await Deno.writeTextFile(path, '{"intent":"b","old":"1","ne', { append: true });
  {
    const { file, before } = await JournalFile.open(path);
    await using _ = file;
    deepEqual([...before!.results.keys()], ["a"]);
    equal(before!.open.size, 0);
    file.add({ intent: "b", old: "1", new: "2" });
  }
  const read = parseJournal(await Deno.readTextFile(path), "j");
  deepEqual([...read.open.keys()], ["b"]);
  deepEqual(read.header, header);
  throws(() => parseJournal("x\n", "j"), { message: "Cannot read journal j:1: it is not JSON" });
  throws(() => parseJournal("{}\n", "j"), /j:1: it says nothing known/);
  throws(() => parseJournal("", "j"), /want its first line to be of a run/);
});

Deno.test("what a tag was is not forgotten while nobody knows where it went: after a failure, and over several runs", () => {
  const journal = (...lines: readonly object[]) =>
    parseJournal([header, ...lines].map((line) => JSON.stringify(line) + "\n").join(""), "j");
  const first = { intent: "a", old: "1", new: "2" };
  // Its answer was lost, so it may have moved all the same.
  deepEqual([...journal(first, result("a", "failed")).open.values()], [first]);
  deepEqual([...journal(first, result("a", "unreadable")).open.values()], [first]);
  equal(journal(first, result("a", "failed"), result("a")).open.size, 0);
  equal(journal(first, result("a", "moved")).open.size, 0);
  // It had: the next run, with a newer base, went on from there.
  const second = { intent: "a", old: "2", new: "3" };
  deepEqual([...journal(first, result("a", "failed"), second).open.values()], [
    { ...second, old: "1" },
  ]);
  const done = { ...result("a"), old: { digest: "2", base: "" }, new: { digest: "3", base: "" } };
  equal(afterIntent(done, first).old!.digest, "1");
  equal(afterIntent(done, { old: "1", new: "x" }).old!.digest, "2", "it had not");
  // It was tried to its end: no gap, but no success.
  const failed = journal(first, result("a", "failed"), result("b"));
  deepEqual(mergeJournals([{ name: "j", journal: failed }]).gaps, []);
});

Deno.test("reports of shards: what is missing is said", () => {
  const journal = (shard: string, names: readonly string[], more = 0) => ({
    name: shard,
    journal: parseJournal(
      [
        { ...header, total: 4, shard, mine: names.length + more },
        ...names.map((name) => result(name)),
      ]
        .map((line) => JSON.stringify(line) + "\n").join(""),
      shard,
    ),
  });
  deepEqual(mergeJournals([journal("1/2", ["a", "b"]), journal("2/2", ["c", "d"])]).gaps, []);
  const gaps = (...all: Parameters<typeof mergeJournals>[0]) => mergeJournals(all).gaps.join("; ");
  match(gaps(journal("1/2", ["a", "b"])), /shard 2\/2 never ran/);
  match(
    gaps(journal("1/2", ["a", "b"]), journal("2/2", ["c"], 1)),
    /has not done 1 of its 2 images/,
  );
  match(
    gaps(journal("1/2", ["a", "b"]), journal("2/2", ["b", "c"])),
    /b was done in 1\/2 and in 2\/2/,
  );
  match(gaps(journal("1/2", ["a", "b"]), journal("2/3", ["c"])), /of shard 2\/3/);
});

Deno.test("plans are read back as written; a cut one is refused", () => {
  const plan = {
    header: {
      plan: 1 as const,
      source: "s",
      total: 2,
      created: "",
      run_images: { run: "sha256:1" },
      flags: {},
    },
    results: [result("a"), { ...result("b"), reason: '=x, "y"' }],
  };
  const text = formatPlan(plan);
  deepEqual(parsePlan(text, "p"), plan);
  throws(
    () => parsePlan(text.split("\n").slice(0, 2).join("\n"), "p"),
    /it has 1 images, its first line says 2/,
  );
  throws(() => parsePlan('{"reference":"a"}', "p"), /want what wherry rebase plan -o json wrote/);
});

Deno.test("waves: sizes, an end after too many failures, no more at once than allowed", async () => {
  deepEqual(wavesOf(100, "5", "20%"), [5, 20, 20, 20, 20, 20]);
  deepEqual(wavesOf(100, "5%", undefined), [5]);
  deepEqual(wavesOf(100, undefined, undefined), []);
  for (const bad of ["0", "-1", "x", "101%"]) {
    throws(() => wavesOf(100, bad, undefined), RangeError);
  }
  equal(parsePause("10m"), 600_000);
  throws(() => parsePause("10"), RangeError);
  let [most, now] = [0, 0];
  const run = (maxFailures?: number) =>
    runFleet({
      items: Array.from({ length: 50 }, (_, at) => at),
      concurrency: 4,
      waves: [10, 10],
      maxFailures,
      signal: new AbortController().signal,
      act: async (item, worker) => {
        most = Math.max(most, ++now);
        equal(worker < 4, true);
        await Promise.resolve();
        now--;
        return result(String(item), item % 5 === 4 ? "failed" : "rebased");
      },
      onResult: () => {},
    });
  deepEqual(await run(), { total: 50, good: 40, bad: 10 });
  equal(most, 4);
  const stopped = await run(2);
  equal(stopped.bad, 3);
  match(stopped.stopped!, /3 images failed/);
});

Deno.test("a journal in a registry and what a killed run left here: nothing that moved is forgotten", () => {
  const text = (...lines: readonly object[]) =>
    lines.map((line) => JSON.stringify(line) + "\n").join("");
  const merge = (kept: string | undefined, local: string) =>
    mergeJournalTexts(kept, local, "oci:r/j:1", "/j");
  const begun = text(header);
  const more = begun + text(result("a"));
  equal(merge(undefined, ""), "", "the first run of all");
  equal(merge(undefined, begun), "", "killed before it was pushed: nothing has moved");
  throws(() => merge(undefined, more), /its registry has none, this machine has one of/);
  equal(merge(more, ""), more, "of another machine");
  equal(merge(begun, more), more, "killed before it was pushed again");
  equal(merge(more, begun), more, "another machine went on");
  equal(merge(begun, more + '{"inte'), more + '{"inte', "cut when it is opened");
  equal(merge(more, text({ ...header, source: "other" }, result("b"))), more, "an older run's");
  // Both went on: ours moved b and c and was killed, theirs found them moved.
  const state = (digest: string) => ({ digest, base: "" });
  const theirs = more +
    text({ ...result("b", "current"), old: state("2") }, {
      ...result("c", "current"),
      old: state("4"),
    });
  const ours = more +
    text({ ...result("b"), old: state("1"), new: state("2") }, { intent: "c", old: "3", new: "4" });
  const { results, open } = parseJournal(merge(theirs, ours), "j");
  deepEqual(
    [...results.values()].map(({ reference, decision, old }) => [reference, decision, old?.digest]),
    [
      ["a", "rebased", undefined],
      ["b", "rebased", "1"],
      ["c", "rebased", "3"],
    ],
  );
  equal(open.size, 0);
});
