import { deepEqual, equal, rejects, throws } from "node:assert/strict";
import { expandPattern, isPattern, matchesAny, parsePattern } from "./pattern.ts";
import { fnv1a, isInShard, parseShard, shardFromEnv } from "./shard.ts";
import { FleetSourceError, parseFleet } from "./source.ts";

const names = (text: string) => parseFleet(text, "fleet").map(({ name }) => name);

Deno.test("demand 30: a fleet is a list of names, JSON lines or an array", () => {
  deepEqual(names("# all\nr.example/a:1 # one\n\nr.example/b\r\nr.example/a:1\n"), [
    "r.example/a:1",
    "r.example/b",
  ]);
  deepEqual(names('{"reference":"r.example/a:1","x":1}\n{"image":"b"}\nc\n'), [
    "r.example/a:1",
    "b",
    "c",
  ]);
  deepEqual(names("# of Windows\r\na # one\r\n\r\nb\r\n"), ["a", "b"]);
  deepEqual(names('["a", {"name":"b"}]'), ["a", "b"]);
  deepEqual(names('{"reference":"only"}'), ["only"]);
  deepEqual(names(""), []);
  throws(() => names("a\nb c\n"), {
    name: "FleetSourceError",
    message: 'Cannot read fleet from fleet:2: "b c" is more than one name',
  });
  throws(() => names('a\n{"no":1}\n'), /fleet:2: want a name, or JSON with a "reference"/);
  throws(() => names('{"items":[]}'), /has no containers/);
  deepEqual(names('{"apiVersion":"v1","kind":"List","items":[]}'), [], "a namespace without pods");
  for (const cut of ['{"kind":"List","items":[', '{"reference":"a"}\n{"refer', "{a,b}/c:*"]) {
    const line = cut.split("\n").length;
    throws(() => names(cut), new RegExp(`fleet:${line}: it is not JSON, or not all of it`));
  }
});

Deno.test("what a cluster runs: pods, and what makes pods, with their digests", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  const pod = (name: string, image: string) => ({
    kind: "Pod",
    metadata: { namespace: "shop", name },
    spec: {
      initContainers: [{ name: "init", image: "r.example/init" }],
      containers: [{ name: "web", image }],
    },
    status: {
      containerStatuses: [{ name: "web", imageID: `docker-pullable://r.example/app@${digest}` }],
    },
  });
  const cron = {
    kind: "CronJob",
    metadata: { name: "nightly" },
    spec: {
      jobTemplate: {
        spec: { template: { spec: { containers: [{ name: "job", image: "r.example/job" }] } } },
      },
    },
  };
  const list = {
    kind: "List",
    items: [pod("one", "r.example/app:1"), pod("two", "r.example/app:1"), cron],
  };
  deepEqual(parseFleet(JSON.stringify(list, null, 2), "-"), [
    { name: "r.example/init", where: ["shop/one/init", "shop/two/init"] },
    { name: "r.example/app:1", digest, where: ["shop/one/web", "shop/two/web"] },
    { name: "r.example/job", where: ["nightly/job"] },
  ]);
  const rolling = [digest, `sha256:${"b".repeat(64)}`].map((one, at) => ({
    ...pod(`p${at}`, "r.example/app:1"),
    spec: { containers: [{ name: "web", image: "r.example/app:1" }] },
    status: { containerStatuses: [{ name: "web", imageID: `r.example/app@${one}` }] },
  }));
  deepEqual(
    parseFleet(JSON.stringify({ items: rolling }), "-").map(({ digest, where }) => [
      digest?.slice(0, 8),
      where,
    ]),
    [["sha256:a", ["shop/p0/web"]], ["sha256:b", ["shop/p1/web"]]],
    "in a rollout both run",
  );
});

Deno.test("patterns of repositories and tags", async () => {
  const place = {
    async *repositories() {
      yield* await Promise.resolve(["team/a", "team/b/c", "other/a"]);
    },
    async *tags(repository: string) {
      yield* await Promise.resolve(repository === "team/a" ? ["latest", "v1", "v2"] : ["v1"]);
    },
  };
  const expand = async (text: string) =>
    (await Array.fromAsync(expandPattern(parsePattern(text), place)))
      .map(({ repository, tag }) => `${repository}:${tag}`);
  deepEqual(await expand("r.example/team/*:v*"), ["team/a:v1", "team/a:v2"]);
  deepEqual(await expand("r.example/team/**:*"), [
    "team/a:latest",
    "team/a:v1",
    "team/a:v2",
    "team/b/c:v1",
  ]);
  deepEqual(await expand("r.example/**/a"), ["team/a:latest", "other/a:latest"]);
  deepEqual(await expand("r.example/team/a:{v2,v9}"), ["team/a:v2"]);
  equal(parsePattern("localhost:5000/x:*").host, "localhost:5000");
  deepEqual([isPattern("r.example/a:1"), isPattern("oci:a*b"), isPattern("store:x/*")], [
    false,
    false,
    true,
  ]);
  for (const bad of ["*/x", "app:*", "r*.example/x", "r.example/x*@sha256:0", "r.example/x*:"]) {
    throws(() => parsePattern(bad), FleetSourceError, bad);
  }
  equal(matchesAny("r.example/run/base:1", ["r.example/run/*"]), true);
  equal(matchesAny("r.example/run/base:1", ["r.example/run/base:2"]), false);
  equal(matchesAny("r.example.evil/run/base:1", ["r.example/**"]), false);
  await rejects(async () => {
    await Array.fromAsync(expandPattern(parsePattern("r.example/x:*"), {
      ...place,
      // deno-lint-ignore require-yield
      async *tags(): AsyncGenerator<string> {
        throw await Promise.resolve(new Error("gone"));
      },
    }));
  }, /gone/);
});

Deno.test("shards cover all repositories once, and come from the engine's variables", () => {
  equal(fnv1a(""), 0x811c9dc5);
  equal(fnv1a("a"), 0xe40c292c); // the published test vector
  const all = Array.from({ length: 1000 }, (_, at) => `team/app-${at}`);
  const counts = Array.from(
    { length: 7 },
    (_, at) => all.filter((name) => isInShard(name, { index: at + 1, count: 7 })).length,
  );
  equal(counts.reduce((sum, count) => sum + count, 0), 1000);
  equal(Math.min(...counts) > 100, true, String(counts));
  deepEqual(parseShard("2/7"), { index: 2, count: 7 });
  for (const bad of ["0/7", "8/7", "1", "1/0", "-1/2"]) throws(() => parseShard(bad), RangeError);
  const from = (env: Record<string, string>) => {
    const shard = shardFromEnv(env);
    return shard && `${shard.index}/${shard.count}`;
  };
  equal(from({ JOB_COMPLETION_INDEX: "0", WHERRY_SHARDS: "16" }), "1/16");
  equal(from({ CI_NODE_INDEX: "1", CI_NODE_TOTAL: "4" }), "1/4");
  equal(from({ CIRCLE_NODE_INDEX: "3", CIRCLE_NODE_TOTAL: "4" }), "4/4");
  equal(from({ BUILDKITE_PARALLEL_JOB: "1", BUILDKITE_PARALLEL_JOB_COUNT: "2" }), "2/2");
  equal(from({ JOB_COMPLETION_INDEX: "0" }), undefined);
  throws(() => from({ CI_NODE_INDEX: "5", CI_NODE_TOTAL: "4" }), RangeError);
});
