/** Plans and journals in a registry: two machines, one run. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { JOURNAL, readLines } from "../../lifecycle/fleet/artifact.ts";
import { parseJournal } from "../../lifecycle/fleet/journal.ts";
import {
  dockerRegistry,
  startDockerRegistry,
} from "../../registry/client/docker_registry_testing.ts";
import { connectRegistry } from "../../registry/client/client.ts";
import { OciError } from "../../registry/oci/error.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import type { Registry } from "../../registry/registry.ts";
import { tempDir } from "../../registry/temp_testing.ts";
import { commandLine, madeApp, madeBase, makeScene, put, type Said } from "./rebase_testing.ts";

const [old, next] = [madeBase("1"), madeBase("2")];

interface Machines {
  readonly host: string;
  readonly list: string;
  readonly rebase: readonly string[];
  /** A machine of its own: another store each time. */
  on(machine: string, ...words: readonly string[]): Promise<Said>;
}

/** A fleet of six in `place`, and as many machines as one likes. */
async function machines(host: string, place: Registry, dir: string): Promise<Machines> {
  const run = `${host}/run:2`;
  await put(place, "run", "2", next);
  const names: string[] = [];
  for (let at = 0; at < 6; at++) {
    await put(place, `team/app-${at % 3}`, `v${at}`, madeApp(old, `app ${at}`, { run }));
    names.push(`${host}/team/app-${at % 3}:v${at}`);
  }
  const list = `${dir}/list`;
  await Deno.writeTextFile(list, names.join("\n") + "\n");
  return {
    host,
    list,
    rebase: ["rebase", "--publish", "--run-image", run, "--from", list],
    on: (machine, ...words) => commandLine(words, dir, { WHERRY_STORE: `${dir}/${machine}` }),
  };
}

async function journalIn(place: Registry, tag: string) {
  const kept = await readLines(place, "runs", tag, JOURNAL, AbortSignal.timeout(10_000));
  ok(kept !== undefined && kept !== "other");
  return { ...kept, journal: parseJournal(new TextDecoder().decode(kept.bytes), tag) };
}

async function filesBelow(dir: string): Promise<readonly string[]> {
  return await Array.fromAsync(Deno.readDir(dir), ({ name }) => name);
}

Deno.test("demand 30: a journal in a registry: a run that was stopped on one machine goes on on another, which can also take it back", async () => {
  await using it = await makeScene();
  const fleet = await machines(it.host, it.place, it.dir);
  const journal = ["--journal", `oci:${it.host}/runs:7`];
  const first = await fleet.on(
    "one",
    ...fleet.rebase,
    ...journal,
    "--canary",
    "2",
    "--hook",
    "false",
  );
  equal(first.code, 2, first.stderr);
  match(first.stderr, /2 rebased, 4 not tried/);
  const stopped = await journalIn(it.place, "7");
  equal(stopped.journal.results.size, 2);
  ok(stopped.parts.length >= 2, "it was pushed before anything moved, too");
  deepEqual(await filesBelow(`${it.dir}/one/cache/journals`), [], "all of it is in the registry");

  const second = await fleet.on("two", ...fleet.rebase, ...journal);
  equal(second.code, 0, second.stderr);
  match(second.stderr, /2 of 6 images are done already, says the journal/);
  match(second.stderr, /4 rebased/);
  const told = await fleet.on("three", "rebase", "report", `oci:${it.host}/runs:7`);
  equal(told.code, 0, told.stderr);
  match(told.stdout, /^6 rebased\n6 of 6 images/);

  const back = await fleet.on(
    "three",
    "rebase",
    "rollback",
    `oci:${it.host}/runs:7`,
    "--journal",
    `oci:${it.host}/runs:back`,
  );
  equal(back.code, 0, back.stderr);
  match(back.stderr, /6 rolled back/);
  equal((await journalIn(it.place, "back")).journal.results.size, 6);
});

Deno.test("demand 30: a journal in a registry that cannot be written stops a run before anything moves", async () => {
  await using it = await makeScene();
  const fleet = await machines(it.host, it.place, it.dir);
  await put(it.place, "runs", "image", old);
  for (
    const [name, why] of [
      [`oci:${it.host}/runs:image`, /as a journal: it is something else/],
      ["oci:runs:7", /want oci:REGISTRY\/REPOSITORY:TAG, or the name of a file/],
      ["oci:./runs", /want oci:REGISTRY\/REPOSITORY:TAG/],
      [`oci:${it.host}/runs@${old.raw.digest}`, /want a tag and no digest/],
    ] as const
  ) {
    it.calls();
    const { code, stderr } = await fleet.on("one", ...fleet.rebase, "--journal", name);
    equal(code, 3, stderr);
    match(stderr, why);
    ok(!it.calls().some((call) => call.startsWith("PUT")), name);
  }
  const shard = await fleet.on(
    "one",
    ...fleet.rebase,
    "--journal",
    `oci:${it.host}/runs:7`,
    "--shard",
    "1/2",
  );
  equal(shard.code, 3);
  match(shard.stderr, /for 2 shards: want \{shard\} in its tag/);
});

Deno.test("demand 30: two runs never write one journal in a registry: the one that finds it moved stops, and keeps its own on its disk", async () => {
  const place = memoryRegistry();
  let moved = false;
  let closed = false;
  await using it = await makeScene({
    authorize: async ({ method }, parsed) => {
      const repository = "repository" in parsed ? parsed.repository : "";
      if (closed && repository === "runs") {
        const error = new OciError("DENIED", "Cannot let you in");
        return { kind: "refuse", user: undefined, error, headers: {} };
      }
      if (method === "PUT" && repository.startsWith("team/") && !moved) {
        moved = true; // by another run, while the first image of this one is under way
        await put(place, "runs", "7", old);
      }
      return { kind: "allow", user: undefined, registry: place };
    },
  }, place);
  const fleet = await machines(it.host, place, it.dir);
  const words = [...fleet.rebase, "--journal", `oci:${it.host}/runs:7`, "--canary", "1"];
  const { code, stderr } = await fleet.on("one", ...words);
  equal(code, 3, stderr);
  match(
    stderr,
    /Stopped: Cannot go on with journal oci:\S+runs:7: another run writes it, it is sha256/,
  );
  match(stderr, /1 rebased, 5 not tried/);
  const [file] = await filesBelow(`${it.dir}/one/cache/journals`);
  const path = `${it.dir}/one/cache/journals/${file}`;
  ok(stderr.includes(`what this run did is in ${path}`));
  equal(parseJournal(await Deno.readTextFile(path), path).results.size, 1);

  closed = true;
  const again = await fleet.on("one", ...words);
  equal(again.code, 1, again.stderr);
  ok(again.stderr.includes(`; this machine has what it wrote in ${path}, which is a journal too`));
  const here = await fleet.on("one", ...fleet.rebase, "--journal", path);
  equal(here.code, 0, here.stderr);
  match(here.stderr, /1 of 6 images are done already/);
});

Deno.test("demand 30: shards write a journal each, and a pattern of tags merges them", async () => {
  await using it = await makeScene();
  const fleet = await machines(it.host, it.place, it.dir);
  const words = [...fleet.rebase, "--journal", `oci:${it.host}/runs:7-{shard}`];
  equal((await fleet.on("one", ...words, "--shard", "1/2")).code, 0);
  const early = await fleet.on("three", "rebase", "report", `oci:${it.host}/runs:7-*`);
  equal(early.code, 1);
  match(early.stderr, /shard 2\/2 never ran/);
  equal((await fleet.on("two", ...words, "--shard", "2/2")).code, 0);
  const told = await fleet.on("three", "rebase", "report", `oci:${it.host}/runs:7-*`);
  equal(told.code, 0, told.stderr);
  match(told.stdout, /6 of 6 images/);
  const none = await fleet.on("three", "rebase", "report", `oci:${it.host}/runs:8-*`);
  equal(none.code, 3);
  match(none.stderr, /its registry has no such tag/);
});

Deno.test("demand 30: a plan in a registry is applied by its tag or digest, and what its machine took with it is known from it", async () => {
  await using it = await makeScene();
  const fleet = await machines(it.host, it.place, it.dir);
  const plan = `oci:${it.host}/plans:monday`;
  const made = await fleet.on(
    "one",
    "rebase",
    "plan",
    "--run-image",
    `${it.host}/run:2`,
    "--from",
    fleet.list,
    "--out",
    plan,
  );
  equal(made.code, 0, made.stderr);
  const [, named = ""] = /The plan is (oci:\S+@sha256:[0-9a-f]{64})/.exec(made.stderr) ?? [];
  const journal = ["--journal", `oci:${it.host}/runs:7`];
  const canary = await fleet.on(
    "one",
    "rebase",
    "apply",
    named,
    ...journal,
    "--canary",
    "1",
    "--hook",
    "false",
  );
  equal(canary.code, 2, canary.stderr);
  // All moved meanwhile, and the machine was lost before it pushed that.
  equal((await fleet.on("lost", "rebase", "apply", plan)).code, 0);
  const again = await fleet.on("two", "rebase", "apply", plan, ...journal);
  equal(again.code, 0, again.stderr);
  const back = await fleet.on("two", "rebase", "rollback", `oci:${it.host}/runs:7`);
  match(back.stderr, /6 rolled back/);
  const wrong = await fleet.on("two", "rebase", "apply", `oci:${it.host}/runs:7`);
  equal(wrong.code, 3);
  match(wrong.stderr, /as a plan: it is something else/);
  const none = await fleet.on("two", "rebase", "apply", `oci:${it.host}/plans:tuesday`);
  equal(none.code, 3);
  match(none.stderr, /Cannot read plan oci:\S+plans:tuesday: its registry has none by this name/);
});

Deno.test({
  name: "demand 30: docker-registry keeps plans and journals too",
  ignore: dockerRegistry === undefined,
}, async () => {
  await using server = await startDockerRegistry();
  await using place = connectRegistry(server.host, { retry: { baseMs: 1 } });
  await using temp = await tempDir();
  const dir = temp.path;
  const fleet = await machines(server.host, place, dir);
  const plan = `oci:${server.host}/plans:1`;
  equal(
    (await fleet.on(
      "one",
      "rebase",
      "plan",
      "--run-image",
      `${server.host}/run:2`,
      "--from",
      fleet.list,
      "--out",
      plan,
    )).code,
    0,
  );
  const words = ["rebase", "apply", plan, "--journal", `oci:${server.host}/runs:1`];
  equal((await fleet.on("one", ...words, "--canary", "2", "--hook", "false")).code, 2);
  const second = await fleet.on("two", ...words);
  equal(second.code, 0, second.stderr);
  const told = await fleet.on("two", "rebase", "report", `oci:${server.host}/runs:1`);
  match(told.stdout, /^6 rebased\n/);
});
