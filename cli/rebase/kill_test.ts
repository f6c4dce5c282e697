/** Fleets whose processes, registries and tokens do not live as long as they do. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { readImage } from "../../registry/image.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { freePort } from "../../registry/port_testing.ts";
import { OciError } from "../../registry/oci/error.ts";
import { createServer } from "../../registry/server/server.ts";
import { serve } from "../../registry/server/serve.ts";
import type { FleetResult } from "../../lifecycle/fleet/result.ts";
import { madeApp, madeBase, makeScene, put, type Scene } from "./rebase_testing.ts";

const AMD64 = { os: "linux", architecture: "amd64" };
const [old, next] = [madeBase("1"), madeBase("2")];
const MAIN = decodeURIComponent(new URL("../main.ts", import.meta.url).pathname);

async function fill(it: Scene, count: number): Promise<readonly string[]> {
  const run = `${it.host}/run:2`;
  await put(it.place, "run", "2", next);
  const names: string[] = [];
  for (let at = 0; at < count; at++) {
    const repository = `team/app-${at % 12}`;
    await put(
      it.place,
      repository,
      `v${at}`,
      madeApp(old, `app ${at % 12}`, { run, labels: { at: `${at}` } }),
    );
    names.push(`${it.host}/${repository}:v${at}`);
  }
  await Deno.writeTextFile(`${it.dir}/list`, names.join("\n") + "\n");
  return names;
}

async function topOf(it: Scene, name: string): Promise<string> {
  const [, repository = "", tag = ""] = /\/(.*):(v\d+)$/.exec(name.slice(it.host.length))!;
  return (await readImage(it.place, repository, tag, AMD64))!.layers[0]!.diffId;
}

/** How often each tag was set. */
function moves(it: Scene): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { method, path, status } of it.seen) {
    if (method !== "PUT" || status !== 201 || !/manifests\/v\d+$/.test(path)) continue;
    counts.set(path, (counts.get(path) ?? 0) + 1);
  }
  return counts;
}

Deno.test("demand 30: shards as processes, one killed at a random point and started again: every image exactly once", async () => {
  const place = memoryRegistry();
  const push = place.pushManifest.bind(place);
  let pushed = 0;
  const killAt = Promise.withResolvers<void>();
  // Which repositories a shard has depends on the port: at least 2 of the 12, which are 14 images.
  const after = 5 + Math.floor(Math.random() * 8);
  await using it = await makeScene({}, place);
  const names = await fill(it, 90);
  place.pushManifest = async (...args) => {
    const result = await push(...args);
    if (++pushed === after) killAt.resolve();
    return result;
  };
  it.calls();
  const shard = (index: number) =>
    new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--no-check", MAIN, "rebase", "--from", "list", "--publish", "-q"],
        ...["--run-image", `${it.host}/run:2`, "--concurrency", "4", "--journal", "j-{shard}"],
      ],
      cwd: it.dir,
      env: {
        HOME: `${it.dir}/home-${index}`,
        CI_NODE_INDEX: String(index),
        CI_NODE_TOTAL: "3",
        NO_COLOR: "1",
      },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
  const first = shard(1);
  await Promise.race([killAt.promise, first.status]);
  first.kill("SIGKILL");
  await first.output();
  const before = pushed;
  ok(before >= after && before < 90, `killed after ${before}`);
  const ends = await Promise.all([1, 2, 3].map((index) => shard(index).output()));
  for (const { code, stderr } of ends) equal(code, 0, new TextDecoder().decode(stderr));
  for (const name of names) equal(await topOf(it, name), next.layers[0]!.diffId, name);
  const counts = moves(it);
  equal(counts.size, 90);
  deepEqual([...counts].filter(([, count]) => count !== 1), [], "nothing was done twice");
  const report = await it.wherry(["rebase", "report", "j-1", "j-2", "j-3", "-o", "json"]);
  equal(report.code, 0, report.stderr);
  const summary = JSON.parse(report.stdout.trim().split("\n").at(-1)!);
  deepEqual(summary.counts, { rebased: 90 });
});

Deno.test("demand 30: a storm of 429, and a registry that ends and comes back: every image once, none lost", async () => {
  const place = memoryRegistry();
  let nth = 0;
  let storm = 0;
  await using it = await makeScene({
    authorize: (_request, _parsed, _peer) => {
      const busy = ++nth % 3 === 0 && storm++ < 60;
      return Promise.resolve(
        busy
          ? {
            kind: "refuse",
            user: undefined,
            error: new OciError("TOOMANYREQUESTS", "Cannot keep up", { status: 429 }),
            headers: { "retry-after": "0" },
          }
          : { kind: "allow", user: undefined, registry: place },
      );
    },
  }, place);
  const names = await fill(it, 40);
  const { code, stderr } = await it.wherry([
    "rebase",
    "--from",
    "list",
    "--publish",
    "--run-image",
    `${it.host}/run:2`,
    "--concurrency",
    "8",
    "--journal",
    "journal",
  ]);
  equal(code, 0, stderr);
  ok(storm >= 60, `${storm} times busy`);
  for (const name of names) equal(await topOf(it, name), next.layers[0]!.diffId, name);
  equal(Math.max(...moves(it).values()), 1);
  // What was asked for the base is no image's.
  const [, times = ""] = /; answered (\d+) times with 429, images waited [\d.]+ s/.exec(stderr)!;
  ok(Number(times) > 50 && Number(times) <= storm, `${times} of ${storm}`);
  const report = await it.wherry(["rebase", "report", "journal", "--metrics", "metrics"]);
  match(report.stdout, new RegExp(`; answered ${times} times with 429, images waited `));
  const metrics = await Deno.readTextFile(`${it.dir}/metrics`);
  match(metrics, new RegExp(`^wherry_rebase_throttled ${times}$`, "m"));
  match(metrics, /^wherry_rebase_waited_seconds [\d.]+$/m);
});

Deno.test("demand 30: a registry that is gone fails its images, and the next run does the rest", async () => {
  const place = memoryRegistry();
  const listen = { hostname: "127.0.0.1", port: freePort() };
  const first = await serve(createServer(place), { listen });
  const host = first.url.slice(7);
  const dir = await Deno.makeTempDir();
  const it = { host, place, dir } as unknown as Scene;
  try {
    const names = await fill(it, 12);
    await using scene = await makeScene();
    const push = place.pushManifest.bind(place);
    let pushed = 0;
    let ending: Promise<void> | undefined;
    place.pushManifest = async (...args) => {
      if (++pushed === 5) ending = first.shutdown();
      return await push(...args);
    };
    const args = [
      ...["rebase", "--from", `${dir}/list`, "--publish", "--run-image", `${host}/run:2`],
      ...["--concurrency", "1", "--journal", "j", "--max-failures", "0", "-o", "json"],
    ];
    const stopped = await scene.wherry(args);
    await ending;
    equal(stopped.code, 2, stopped.stderr);
    const second = await serve(createServer(place), { listen });
    const rest = await scene.wherry(args);
    equal(rest.code, 0, rest.stderr);
    for (const name of names) equal(await topOf(it, name), next.layers[0]!.diffId, name);
    const journal = await scene.wherry(["rebase", "report", "j", "-o", "json"]);
    const results = journal.stdout.trim().split("\n").slice(0, -1).map((line) =>
      JSON.parse(line) as FleetResult
    );
    deepEqual(results.map(({ decision }) => decision), names.map(() => "rebased"));
    await second.shutdown();
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("demand 30: tokens that end in the middle of a fleet, later or earlier than was said: nobody hears of it", async () => {
  for (const expires of [1, 300]) {
    const place = memoryRegistry();
    let [host, given, uses] = ["", 0, 0];
    /** A token is good for so many requests, whatever was said of its time. */
    const lasts = 25;
    await using it = await makeScene({
      site: (request) => {
        if (new URL(request.url).pathname !== "/token") return Promise.resolve(undefined);
        uses = 0;
        const token = `token-${++given}`;
        return Promise.resolve({
          response: Response.json({ token, expires_in: expires }),
          user: "",
        });
      },
      authorize: (request) => {
        const good = request.headers.get("authorization") === `Bearer token-${given}` &&
          uses++ < lasts;
        if (good) return Promise.resolve({ kind: "allow", user: undefined, registry: place });
        return Promise.resolve({
          kind: "refuse",
          user: undefined,
          error: new OciError("UNAUTHORIZED", "Cannot let you in"),
          headers: { "www-authenticate": `Bearer realm="http://${host}/token",service="x"` },
        });
      },
    }, place);
    host = it.host;
    const names = await fill(it, 36);
    it.calls();
    const { code, stdout, stderr } = await it.wherry([
      ...["rebase", "--from", "list", "--publish", "--run-image", `${host}/run:2`],
      ...["--concurrency", "1", "-o", "json"],
    ]);
    equal(code, 0, stderr);
    const results = stdout.trim().split("\n").map((line) => JSON.parse(line) as FleetResult);
    deepEqual([...new Set(results.map(({ decision }) => decision))], ["rebased"]);
    for (const name of names) equal(await topOf(it, name), next.layers[0]!.diffId, name);
    deepEqual([...moves(it).values()].filter((count) => count !== 1), [], "each tag moved once");
    ok(given >= 4, `${given} tokens`);
  }
});

Deno.test("demand 30: a registry that is restarted in the middle of a run: the same run does all of it, once", async () => {
  const place = memoryRegistry();
  const moved = new Map<string, number>();
  const listen = { hostname: "127.0.0.1", port: freePort() };
  const start = () => serve(createServer(place), { listen });
  let server = await start();
  const host = server.url.slice(7);
  await using scene = await makeScene();
  const it = { ...scene, host, place } as Scene;
  const names = await fill(it, 40);
  const push = place.pushManifest.bind(place);
  let pushed = 0;
  let again: Promise<void> | undefined;
  place.pushManifest = async (...args) => {
    const result = await push(...args);
    for (const tag of args[2]?.tags ?? []) {
      const name = `${args[0]}:${tag}`;
      moved.set(name, (moved.get(name) ?? 0) + 1);
    }
    if (++pushed % 15 === 0) {
      again = (async () => {
        const before = server;
        server = await before.shutdown().then(start);
      })();
    }
    return result;
  };
  const { code, stderr } = await scene.wherry([
    ...["rebase", "--from", "list", "--publish", "--run-image", `${host}/run:2`],
    ...["--concurrency", "4"],
  ]);
  await again;
  equal(code, 0, stderr);
  for (const name of names) equal(await topOf(it, name), next.layers[0]!.diffId, name);
  equal(moved.size, 40);
  ok(pushed >= 40 && again !== undefined);
  await server.shutdown();
});
