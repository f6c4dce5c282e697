/** `wherry rebase` of many: plan, apply, journal, waves, policy, rollback, shards. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { type MemoryRegistry, memoryRegistry } from "../../registry/memory.ts";
import { readImage } from "../../registry/image.ts";
import type { FleetResult } from "../../lifecycle/fleet/result.ts";
import { madeApp, madeBase, makeScene, put, type Scene } from "./rebase_testing.ts";

const AMD64 = { os: "linux", architecture: "amd64" };
const [old, next] = [madeBase("1"), madeBase("2")];

interface Fleet extends Scene {
  readonly names: readonly string[];
  readonly rebase: readonly string[];
  isDone(name: string): Promise<boolean>;
  lines(text: string): readonly FleetResult[];
}

async function fleet(
  count: number,
  options: Parameters<typeof makeScene>[0] = {},
  place: MemoryRegistry = memoryRegistry(),
): Promise<Fleet> {
  const it = await makeScene(options, place);
  const run = `${it.host}/run:2`;
  await put(it.place, "run", "2", next);
  const names: string[] = [];
  for (let at = 0; at < count; at++) {
    const repository = `team/app-${at % 3}`;
    await put(it.place, repository, `v${at}`, madeApp(old, `app ${at}`, { run }));
    names.push(`${it.host}/${repository}:v${at}`);
  }
  await Deno.writeTextFile(`${it.dir}/list`, names.join("\n") + "\n");
  return Object.assign(it, {
    names,
    rebase: ["rebase", "--publish", "--run-image", run],
    async isDone(name: string) {
      const [, repository = "", tag = ""] = /\/(.*):(v\d+)$/.exec(name.slice(it.host.length))!;
      const image = (await readImage(place, repository, tag, AMD64))!;
      return image.layers[0]!.diffId === next.layers[0]!.diffId;
    },
    lines: (text: string) => text.trim().split("\n").map((line) => JSON.parse(line)),
  });
}

const puts = (it: Fleet) =>
  it.seen.filter(({ method, path }) => method === "PUT" && /manifests\/v/.test(path)).map((
    { path },
  ) => path);

Deno.test("demand 30: a fleet from a list: base read once, mounted once a repository, 2 requests an image", async () => {
  await using it = await fleet(30);
  const { code, stdout, stderr } = await it.wherry([
    ...it.rebase,
    "--from",
    "list",
    "-o",
    "json",
    "--report",
    "report",
  ]);
  equal(code, 0, stderr);
  for (const name of it.names) ok(await it.isDone(name), name);
  const results = it.lines(stdout);
  equal(results.length, 30);
  equal(await Deno.readTextFile(`${it.dir}/report`), stdout);
  const kinds = (kind: string) => it.seen.filter((one) => one.kind === kind);
  equal(
    kinds("startUpload").length,
    3 * 5,
    "five mounts for each repository; configs go with their manifests",
  );
  equal(it.seen.length, 2 + 3 * 5 + 30 * 2);
  equal(results.reduce((sum, { requests }) => sum + requests, 0), 3 * 5 + 30 * 2);
  ok(results.filter(({ requests }) => requests <= 2).length >= 27);
  match(stderr, /30 images in .* 30 rebased; 75 requests/);
  it.calls();
  const again = await it.wherry([...it.rebase, "--from", "list"]);
  equal(again.code, 0);
  deepEqual([...new Set(it.seen.map(({ method, status }) => `${method} ${status}`))], [
    "GET 200",
    "HEAD 200",
  ]);
  equal(it.seen.length, 1 + 30, "P6: one request an image says that nothing happened");
  match(again.stderr, /30 current; 30 requests/);
});

Deno.test("demand 30: plan, then apply just that: the base is pinned, and what somebody moved is left alone", async () => {
  await using it = await fleet(6);
  await put(it.place, "team/app-0", "old", madeBase("not CNB"));
  await put(
    it.place,
    "team/app-0",
    "stuck",
    madeApp(old, "stuck", { distro: "11", run: `${it.host}/run:2` }),
  );
  const pattern = `${it.host}/team/**:*`;
  const planned = await it.wherry([
    "rebase",
    "plan",
    pattern,
    "--run-image",
    `${it.host}/run:2`,
    "--out",
    "plan",
    "-o",
    "csv",
  ]);
  equal(planned.code, 3, planned.stderr);
  match(planned.stderr, /8 images: .*6 would rebase/);
  equal(it.seen.some(({ method }) => method !== "GET"), false);
  match(planned.stdout, /^reference,decision,reason,/);
  match(planned.stdout, /app-0:stuck,refused,.*,distro,debian 11,debian 12,/);
  match(planned.stdout, /app-0:old,not CNB,/);
  const table = await it.wherry(["rebase", "plan", pattern, "--run-image", `${it.host}/run:2`]);
  match(table.stdout, /app-0:stuck +refused .* distro: debian 11 \/ debian 12$/m);
  match(table.stdout, /app-0:old +not CNB .* it has no label /m);
  equal(table.stdout.includes("Cannot"), false, table.stdout);
  // Meanwhile the run image's tag moves on, and somebody pushes an app.
  await put(it.place, "run", "2", madeBase("3"));
  await put(it.place, "team/app-1", "v1", madeApp(old, "somebody's", { run: `${it.host}/run:2` }));
  const theirs = (await it.place.stat("team/app-1", "v1"))!.digest;
  it.calls();
  const applied = await it.wherry([
    "rebase",
    "apply",
    "plan",
    "-o",
    "json",
    "--journal",
    "journal",
  ]);
  equal(applied.code, 2, applied.stderr);
  for (const name of it.names) equal(await it.isDone(name), !name.endsWith("v1"), name);
  equal((await it.place.stat("team/app-1", "v1"))!.digest, theirs);
  const moved = it.lines(applied.stdout).find(({ decision }) => decision === "moved")!;
  match(moved.reason!, /^skipped: moved, it is sha256:\S+ and was planned from sha256:/);
  it.calls();
  const again = await it.wherry(["rebase", "apply", "plan"]);
  equal(again.code, 2);
  match(again.stderr, /^ERROR: \S+:v1: skipped: moved, it is sha256:/m);
  deepEqual(puts(it), []);
});

Deno.test("demand 30: a tag that moves between the read and the write is not overwritten", async () => {
  const place = memoryRegistry();
  let meddle: (() => Promise<void>) | undefined;
  const push = place.pushManifest.bind(place);
  place.pushManifest = async (...args) => {
    await meddle?.();
    return await push(...args);
  };
  await using it = await fleet(1, {}, place);
  const theirs = madeApp(old, "theirs");
  await put(place, "team/app-0", "theirs", theirs);
  meddle = async () => {
    meddle = undefined;
    await place.pushManifest("team/app-0", theirs.raw, { tags: ["v0"] });
  };
  const { code, stdout } = await it.wherry([...it.rebase, "--from", "list", "-o", "json"]);
  equal(code, 72);
  equal(it.lines(stdout)[0]!.decision, "moved");
  equal((await place.stat("team/app-0", "v0"))!.digest, theirs.raw.digest);
});

Deno.test("demand 30: waves: a canary, a hook between, and an end when too much fails", async () => {
  await using it = await fleet(10);
  const waves = ["--canary", "2", "--then", "40%", "--pause", "1ms"];
  const hook =
    `echo "$WHERRY_WAVE $WHERRY_DONE $WHERRY_FAILED $WHERRY_TOTAL" >> hooks; test "$WHERRY_WAVE" != 2`;
  const stopped = await it.wherry([
    ...it.rebase,
    "--from",
    "list",
    ...waves,
    "--hook",
    hook,
    "--journal",
    "j",
  ]);
  equal(stopped.code, 2, stopped.stderr);
  match(stopped.stderr, /Stopped: the hook ended with 1/);
  match(stopped.stderr, /4 not tried/);
  equal(await Deno.readTextFile(`${it.dir}/hooks`), "1 2 0 10\n2 6 0 10\n");
  equal((await Promise.all(it.names.map((name) => it.isDone(name)))).filter(Boolean).length, 6);
  it.calls();
  const rest = await it.wherry([...it.rebase, "--from", "list", "--journal", "j"]);
  equal(rest.code, 0, rest.stderr);
  match(rest.stderr, /6 of 10 images are done already/);
  equal(puts(it).length, 4, "nothing is done twice");
  const bad = ["a", "b", "c"].map((name) => `${it.host}/absent/${name}`).join("\n");
  await Deno.writeTextFile(`${it.dir}/bad`, bad);
  const failed = await it.wherry([
    ...it.rebase,
    "--from",
    "bad",
    "--max-failures",
    "1",
    "--concurrency",
    "1",
  ]);
  equal(failed.code, 72, failed.stderr);
  match(failed.stderr, /Stopped: 2 images failed, and --max-failures is 1/);
  for (
    const flags of [["--then", "5"], ["--canary", "0"], ["--canary", "5", "--pause", "soon"], [
      "--concurrency",
      "x",
    ]]
  ) {
    equal((await it.wherry([...it.rebase, "--from", "list", ...flags])).code, 3, flags.join(" "));
  }
});

Deno.test("demand 30: rollback puts back what a run moved, and no more", async () => {
  await using it = await fleet(4);
  const before = await Promise.all(
    it.names.map((name) =>
      it.place.stat(name.slice(it.host.length + 1).split(":")[0]!, name.split(":").at(-1)!)
    ),
  );
  await it.wherry([...it.rebase, "--from", "list", "--journal", "j"]);
  const theirs = madeApp(old, "theirs");
  await put(it.place, "team/app-1", "v1", theirs);
  const dry = await it.wherry(["rebase", "rollback", "j", "--dry-run"]);
  equal(dry.code, 2, dry.stderr);
  match(dry.stderr, /1 moved/);
  match(dry.stderr, /3 would roll back/);
  match((await it.wherry(["rebase", "rollback", "j", "--dry-run"])).stderr, /3 would roll back/);
  const back = await it.wherry(["rebase", "rollback", "j", "--journal", "back", "-o", "json"]);
  equal(back.code, 2, back.stderr);
  const now = await Promise.all(
    it.names.map((name) =>
      it.place.stat(name.slice(it.host.length + 1).split(":")[0]!, name.split(":").at(-1)!)
    ),
  );
  deepEqual(
    now.map((one) => one!.digest),
    before.map((one, at) => at === 1 ? theirs.raw.digest : one!.digest),
  );
  deepEqual(it.lines(back.stdout).map(({ decision }) => decision).sort(), [
    "moved",
    "rolled back",
    "rolled back",
    "rolled back",
  ]);
  const again = await it.wherry(["rebase", "rollback", "j", "--only", it.names[0]!]);
  equal(again.code, 0, again.stderr);
  match(again.stderr, /1 current/);
});

Deno.test("rebase apply, rollback, report: a flag of rebase that means nothing to them is refused, not swallowed", async () => {
  await using it = await fleet(1);
  for (
    const [words, flag] of [
      [["apply", "plan", "--dry-run"], "--dry-run"],
      [["apply", "plan", "--run-image", "x"], "--run-image"],
      [["rollback", "j", "--tag", "x"], "--tag"],
      [["report", "j", "--force"], "--force"],
      [["plan", "x", "--tag", "y"], "--tag"],
    ] as const
  ) {
    const { code, stderr } = await it.wherry(["rebase", ...words]);
    equal(code, 3, stderr);
    match(stderr, new RegExp(`Cannot use ${flag} with rebase ${words[0]} `));
  }
});

Deno.test("one image with a flag of fleets is a fleet of one; a flag that cannot be meant is refused", async () => {
  await using it = await fleet(1);
  const name = it.names[0]!;
  for (
    const words of [["--shard", "3/2"], ["--canary", "0"], ["--then", "2"], [
      "--pause",
      "soon",
    ]]
  ) {
    const { code, stderr } = await it.wherry([...it.rebase, name, ...words]);
    equal(code, 3, stderr);
    match(stderr, /^ERROR: Cannot use /);
  }
  const near = await it.wherry(["rebase", "app", "--run-image", "oci:base", "--max-rps", "0"]);
  equal(near.code, 3);
  match(near.stderr, /^ERROR: Cannot use --max-rps "0": /, "also where nothing is dialled");
  equal(puts(it).length, 0);
  const done = await it.wherry([...it.rebase, name, "--report", "said", "--canary", "1"]);
  equal(done.code, 0, done.stderr);
  equal(it.lines(await Deno.readTextFile(`${it.dir}/said`))[0]!.decision, "rebased");
});

Deno.test("rebase pln NAME: a command that is misspelt is no image, and nothing is rebased", async () => {
  await using it = await fleet(1);
  for (const slip of ["pln", "plam", "plann", "paln"]) {
    const { code, stderr } = await it.wherry(["rebase", slip, ...it.rebase.slice(1), it.names[0]!]);
    equal(code, 3);
    match(stderr, /Cannot rebase \w+: it looks like "wherry rebase plan", misspelt/);
  }
  equal(puts(it).length, 0);
});

Deno.test("policy: what is frozen, what opts out, and which run images are allowed", async () => {
  await using it = await fleet(3);
  const run = `${it.host}/run:2`;
  await put(
    it.place,
    "team/out",
    "v9",
    madeApp(old, "out", { run, labels: { "no.rebase": "please" } }),
  );
  await Deno.writeTextFile(`${it.dir}/list`, [...it.names, `${it.host}/team/out:v9`].join("\n"));
  const policy = async (text: string) => {
    await Deno.writeTextFile(`${it.dir}/policy.toml`, text);
    return await it.wherry([
      ...it.rebase,
      "--from",
      "list",
      "--policy",
      "policy.toml",
      "-o",
      "json",
    ]);
  };
  const done = await policy(
    `frozen = ["${it.host}/team/app-1"]\nopt-out-label = "no.rebase"\nrun-images = ["${it.host}/run:*"]\n`,
  );
  equal(done.code, 0, done.stderr);
  const skipped = it.lines(done.stdout).filter(({ decision }) => decision === "skipped");
  deepEqual(skipped.map(({ reference }) => reference).sort(), [
    it.names[1],
    `${it.host}/team/out:v9`,
  ]);
  const refused = await policy(`run-images = ["${it.host}/other"]\n`);
  equal(refused.code, 72, refused.stderr);
  match(refused.stderr, /ERROR: Cannot use run image .*run:2: the policy allows .*other$/m);
  equal((await policy("frozn = []\n")).code, 3);
});

Deno.test("RB shards: each image once over all of them; the report fails on gaps", async () => {
  await using it = await fleet(12);
  for (let at = 0; at < 9; at++) {
    await put(
      it.place,
      `more/app-${at}`,
      "v0",
      madeApp(old, `more ${at}`, { run: `${it.host}/run:2` }),
    );
  }
  await Deno.writeTextFile(
    `${it.dir}/list`,
    [...it.names, ...Array.from({ length: 9 }, (_, at) => `${it.host}/more/app-${at}:v0`)].join(
      "\n",
    ),
  );
  const shard = (at: number) =>
    it.wherry([...it.rebase, "--from", "list", "--journal", "j-{shard}"], {
      JOB_COMPLETION_INDEX: String(at),
      WHERRY_SHARDS: "3",
    });
  for (const at of [0, 2]) equal((await shard(at)).code, 0);
  const gap = await it.wherry(["rebase", "report", "j-1", "j-3"]);
  equal(gap.code, 1, gap.stderr);
  match(gap.stderr, /shard 2\/3 never ran/);
  equal((await shard(1)).code, 0);
  const whole = await it.wherry(["rebase", "report", "j-1", "j-2", "j-3", "-o", "json"]);
  equal(whole.code, 0, whole.stderr);
  const summary = it.lines(whole.stdout).at(-1) as unknown as { total: number; counts: unknown };
  deepEqual([summary.total, summary.counts], [21, { rebased: 21 }]);
  const words = ["rebase", "report", "j-1", "j-2", "j-3", "--metrics"];
  const told = await it.wherry([...words, "fleet.prom"]);
  equal(told.code, 0, told.stderr);
  const metrics = await Deno.readTextFile(`${it.dir}/fleet.prom`);
  const line = /^(# (HELP|TYPE) \w+ \S.*|\w+(\{\w+="[^"]*"\})? \d+(\.\d+)?)$/;
  for (const text of metrics.trimEnd().split("\n")) match(text, line);
  match(metrics, /^wherry_rebase_images\{decision="rebased"\} 21$/m);
  match(metrics, /^wherry_rebase_gaps 0$/m);
  equal((await it.wherry([...words, "none/fleet.prom"])).code, 3);
  equal(new Set(puts(it)).size, 21);
  equal(puts(it).length, 21);
  const twice = await it.wherry(["rebase", "report", "j-1", "j-2", "j-3", "j-3"]);
  equal(twice.code, 1);
  const wrong = await it.wherry([
    ...it.rebase,
    "--from",
    "list",
    "--journal",
    "j-1",
    "--shard",
    "2/3",
  ]);
  equal(wrong.code, 3);
  match(wrong.stderr, /it is of shard 1\/3/);
});

Deno.test("a run killed between a tag's move and its note: the move is in the journal, and can be taken back", async () => {
  await using it = await fleet(1);
  const before = (await it.place.stat("team/app-0", "v0"))!.digest;
  equal((await it.wherry([...it.rebase, "--from", "list", "--journal", "j"])).code, 0);
  const lines = (await Deno.readTextFile(`${it.dir}/j`)).trim().split("\n");
  equal(lines.length, 3);
  await Deno.writeTextFile(
    `${it.dir}/j`,
    lines.slice(0, 2).join("\n") + "\n" + lines[2]!.slice(0, 20),
  );
  it.calls();
  const again = await it.wherry([...it.rebase, "--from", "list", "--journal", "j", "-o", "json"]);
  equal(again.code, 0, again.stderr);
  deepEqual(puts(it), []);
  const [result] = it.lines(again.stdout);
  deepEqual([result!.decision, result!.old!.digest], ["rebased", before]);
  equal((await it.wherry(["rebase", "rollback", "j"])).code, 0);
  equal((await it.place.stat("team/app-0", "v0"))!.digest, before);
});

Deno.test("a list that is only looked at is one of images in registries: plan and outdated agree", async () => {
  await using it = await makeScene();
  const run = `${it.host}/run:2`;
  await put(it.place, "run", "2", madeBase("2"));
  await put(it.place, "app", "1", madeApp(madeBase("1"), "app", { run }));
  await Deno.writeTextFile(`${it.dir}/list`, `${it.host}/app:1\n`);
  const words = ["--from", "list", "--run-image", run];
  const outdated = await it.wherry(["outdated", ...words, "-o", "csv"]);
  match(outdated.stdout, /app:1,sha256:\S+,outdated,/, outdated.stderr);
  const planned = await it.wherry(["rebase", "plan", ...words, "--out", "plan"]);
  equal(planned.code, 0, planned.stderr);
  match(planned.stderr, /1 image: 1 would rebase/);
  const applied = await it.wherry(["rebase", "apply", "plan"]);
  equal(applied.code, 0, applied.stderr);
  match(applied.stderr, /1 image in .*: 1 rebased; \d+ requests/);
  const none = await it.wherry(["rebase", "plan", `${it.host}/ap/*:1`, "--run-image", run]);
  match(none.stderr, /Warning: No image matches \S+ap\/\*:1/);
  // Beside them, one of the store says so in the plan.
  equal((await it.wherry(["pull", `${it.host}/app:1`])).code, 0);
  await put(it.place, "run", "2", madeBase("3"));
  const both = await it.wherry(["rebase", "plan", `${it.host}/app:1`, ...words, "-o", "json"]);
  equal(both.code, 0, both.stderr);
  await Deno.writeTextFile(`${it.dir}/list`, `${it.host}/app:1\nstore:${it.host}/app:1\n`);
  const mixed = await it.wherry(["rebase", "plan", ...words, "--out", "plan"]);
  match(mixed.stderr, /2 images: 2 would rebase/);
  equal((await it.wherry(["rebase", "apply", "plan"])).code, 0);
  const again = await it.wherry(["rebase", "plan", ...words]);
  match(again.stderr, /2 images: 2 current/);
});

Deno.test("a tag that a cluster runs by two digests is looked at twice by outdated, and rebased once", async () => {
  await using it = await fleet(1);
  const [name = ""] = it.names;
  const moved = madeApp(next, "app 0", { run: `${it.host}/run:2` });
  const before = (await it.place.stat("team/app-0", "v0"))!.digest;
  await put(it.place, "team/app-0", "v1", moved);
  const items = [before, moved.raw.digest].map((digest, at) => ({
    metadata: { name: `p${at}` },
    spec: { containers: [{ name: "web", image: name }] },
    status: { containerStatuses: [{ name: "web", imageID: `${name}@${digest}` }] },
  }));
  await Deno.writeTextFile(`${it.dir}/pods`, JSON.stringify({ kind: "List", items }));
  const words = ["--from", "pods", "--run-image", `${it.host}/run:2`];
  const drift = await it.wherry(["outdated", ...words]);
  match(drift.stderr, /^2 images: 1 outdated, 1 current$/m);
  const plan = await it.wherry(["rebase", "plan", ...words]);
  match(plan.stderr, /^1 image: 1 would rebase$/m);
});

Deno.test("demand 31, demand 33: of images that somebody named each is told of, and its digest printed; of a list only the sum", async () => {
  await using it = await fleet(2);
  const [one = "", two = ""] = it.names;
  const base = `${it.host}/run:2`;
  const { code, stdout, stderr } = await it.wherry([...it.rebase, one, two, base]);
  equal(code, 0, stderr);
  const digests = stdout.trim().split("\n").sort();
  equal(digests.length, 2, "a run image is none that buildpacks made");
  for (const [at, line] of digests.entries()) {
    match(line, new RegExp(`^${it.host}/team/app-${at}@sha256:[0-9a-f]{64}$`));
  }
  match(stderr, /^Rebased .*app-0:v0 from .*run@sha256:\S+ to .*run@sha256:/m);
  match(stderr, /^Warning: Cannot rebase .*run:2: it has no label/m);
  const again = await it.wherry([...it.rebase, one, two]);
  match(again.stderr, /app-1:v1 stands on .* already: nothing to do/);
  deepEqual(again.stdout.trim().split("\n").sort(), digests);
  const list = await it.wherry([...it.rebase, "--from", "list"]);
  equal(list.stdout, "");
  equal(list.stderr.trim().split("\n").length, 1, list.stderr);
});

Deno.test("RB shards: a pod that is not told how many there are says that it does all of it", async () => {
  await using it = await fleet(1);
  const { stderr } = await it.wherry([...it.rebase, "--from", "list"], {
    JOB_COMPLETION_INDEX: "1",
  });
  match(
    stderr,
    /Warning: JOB_COMPLETION_INDEX is set and WHERRY_SHARDS is not: this pod does all images/,
  );
});

Deno.test("demand 31: what --force overlooks is said of the first image, and of how many more", async () => {
  await using it = await fleet(4);
  await put(it.place, "run", "3", madeBase("3"));
  const words = [
    "rebase",
    "--publish",
    "--force",
    "--from",
    "list",
    "--run-image",
    `${it.host}/run:3`,
  ];
  const { code, stderr } = await it.wherry(words);
  equal(code, 0, stderr);
  equal(
    stderr.match(/^Warning: \S+: run image name: the image names .*run:2/gm)?.length,
    1,
    stderr,
  );
  match(stderr, /^Warning: The same of 3 more \(-v says which\): run image name: /m);
});
