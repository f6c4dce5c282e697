/** What a rebase asks for, counted where it is asked, and how much of it waits for the rest. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import {
  dockerRegistry,
  startDockerRegistry,
} from "../../registry/client/docker_registry_testing.ts";
import { connectRegistry } from "../../registry/client/client.ts";
import { delayProxy, passOn } from "../../registry/client/delay_testing.ts";
import { gateProxy } from "../../registry/client/gate_testing.ts";
import { encodeJson } from "../../registry/image.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { OciError } from "../../registry/oci/error.ts";
import type { FleetResult } from "../../lifecycle/fleet/result.ts";
import { madeApp, madeBase, makeScene, put } from "./rebase_testing.ts";

const [old, next] = [madeBase("1"), madeBase("2")];

Deno.test("P4 at most 14 requests cold with tokens: two challenges, one token, no question twice", async () => {
  const place = memoryRegistry();
  let host = "";
  /** A token is the scopes it was asked for. */
  const allowed = (header: string | null, repository: string, action: string) =>
    atob((header ?? "").replace("Bearer ", "")).split(" ").some((scope) =>
      scope.startsWith(`repository:${repository}:`) &&
      scope.split(":")[2]!.split(",").includes(action)
    );
  await using it = await makeScene({
    site: (request) => {
      const url = new URL(request.url);
      if (url.pathname !== "/token") return Promise.resolve(undefined);
      const token = btoa(url.searchParams.getAll("scope").join(" "));
      return Promise.resolve({ response: Response.json({ token, expires_in: 300 }), user: "" });
    },
    authorize: (request, parsed) => {
      const repository = "repository" in parsed ? parsed.repository : "";
      const action = ["GET", "HEAD"].includes(request.method) ? "pull" : "push";
      const header = request.headers.get("authorization");
      let good = allowed(header, repository, action);
      if (parsed.kind === "startUpload" && parsed.from) {
        good &&= allowed(header, parsed.from, "pull");
      }
      if (good) return Promise.resolve({ kind: "allow", user: undefined, registry: place });
      const scope = `repository:${repository}:${action === "pull" ? "pull" : "pull,push"}`;
      return Promise.resolve({
        kind: "refuse",
        user: undefined,
        error: new OciError("UNAUTHORIZED", "Cannot let you in"),
        headers: {
          "www-authenticate": `Bearer realm="http://${host}/token",service="x",scope="${scope}"`,
        },
      });
    },
  }, place);
  host = it.host;
  const run = `${host}/run:2`;
  await put(place, "run", "2", next);
  await put(place, "app", "1", madeApp(old, "app", { run }));
  const { code, stderr } = await it.wherry([
    "rebase",
    `${host}/app:1`,
    "--publish",
    "--run-image",
    run,
  ]);
  equal(code, 0, stderr);
  const calls = it.calls();
  ok(calls.length <= 14, `${calls.length} requests:\n${calls.join("\n")}`);
  equal(calls.filter((call) => call.startsWith("GET other")).length, 1, "one token for all of it");

  // Where tokens come from is known by now, and what the base is: no request is refused.
  await put(place, "app", "2", madeApp(old, "other", { run }));
  const warm = await it.wherry(["rebase", `${host}/app:2`, "--publish", "--run-image", run]);
  equal(warm.code, 0, warm.stderr);
  deepEqual(it.calls().toSorted(), [
    "GET getManifest 200",
    "GET getManifest 200",
    "GET other 200",
    "PUT putManifest 201",
  ]);
});

/** So often tags were looked at once more: where there are requests to spare, or an image was read half a second ago. */
function looksAgain(requests: readonly string[]): number {
  return requests.filter((one) => one.startsWith("HEAD")).length;
}

Deno.test("P5 two waits in a row: what can go at once does, and nobody is asked how he is spoken to", async () => {
  await using it = await makeScene();
  await using gate = gateProxy(it.host);
  const run = `${gate.host}/run:2`;
  await put(it.place, "run", "2", next);
  await put(it.place, "app", "1", madeApp(old, "app", { run }));
  // Manifests with their configs; mounts, and the manifest with its config, one behind the other.
  gate.expect(2, 6);
  const words = ["rebase", `${gate.host}/app:1`, "--publish", "--run-image", run];
  const { code, stderr } = await it.wherry(words);
  equal(code, 0, stderr);
  const { requests, together } = gate.seen();
  equal(requests.length, 8, requests.join("\n"));
  ok(together, requests.join("\n"));
});

Deno.test({
  name:
    "P5 docker-registry: five waits in a row, though a config takes it two; four and three when it was seen to refuse what is incomplete",
  ignore: dockerRegistry === undefined,
}, async () => {
  await using docker = await startDockerRegistry();
  await using gate = gateProxy(docker.host);
  await using it = await makeScene();
  const run = `${gate.host}/run:2`;
  {
    await using client = connectRegistry(docker.host);
    await put(client, "run", "1", old);
    await put(client, "run", "2", next);
    for (const tag of ["1", "2"]) {
      await put(client, "app", tag, madeApp(old, `app ${tag}`, { run }));
    }
  }
  const rebase = async (tag: string, run: string, ...groups: readonly number[]) => {
    gate.expect(...groups);
    const words = ["rebase", `${gate.host}/app:${tag}`, "--publish", "--force", "--run-image"];
    const { code, stderr } = await it.wherry([...words, `${gate.host}/${run}`]);
    equal(code, 0, stderr);
    const { requests, together } = gate.seen();
    equal(requests.length, groups.reduce((sum, one) => sum + one), requests.join("\n"));
    ok(together, requests.join("\n"));
  };
  // Manifests; configs; five mounts, one that is to be refused, the config's first; its second; the manifest.
  await rebase("1", "run:2", 2, 2, 7, 1, 1);
  await rebase("2", "run:2", 2, 1, 1, 2);
  await rebase("1", "run:1", 2, 1, 6, 2);
  await rebase("1", "run:2", 2, 1, 2);
});

Deno.test({
  name:
    "P4 docker-registry: at most 14 requests cold; each image after the first of its repository at most 5",
  ignore: dockerRegistry === undefined,
}, async () => {
  await using docker = await startDockerRegistry();
  await using it = await makeScene();
  await using near = delayProxy(docker.host, 0);
  const { host } = near;
  const run = `${host}/run:2`;
  {
    await using client = connectRegistry(docker.host);
    await put(client, "run", "2", next);
    for (const tag of ["1", "2", "3"]) {
      await put(client, "app", tag, madeApp(old, `app ${tag}`, { run }));
    }
  }
  await Deno.writeTextFile(
    `${it.dir}/list`,
    ["1", "2", "3"].map((tag) => `${host}/app:${tag}`).join("\n"),
  );
  const said = await it.wherry([
    "rebase",
    "--from",
    "list",
    "--publish",
    "--run-image",
    run,
    "-o",
    "json",
    "--concurrency",
    "1",
  ]);
  equal(said.code, 0, said.stderr);
  const requests = said.stdout.trim().split("\n").map((line) =>
    (JSON.parse(line) as FleetResult).requests
  );
  // Manifest, config, two for the new config, the manifest; the first one mounts five layers, tries what is incomplete, looks again.
  ok(requests[0]! <= 12, requests.join());
  const sum = (numbers: readonly number[]) => numbers.reduce((all, one) => all + one, 0);
  equal(sum(requests), 11 + 5 + 5 + looksAgain(near.take().requests), requests.join());
  {
    await using client = connectRegistry(docker.host);
    await put(client, "run", "3", madeBase("3"));
  }
  const again = await it.wherry([
    ...["rebase", "--from", "list", "--publish", "--force", "--run-image", `${host}/run:3`],
    ...["-o", "json", "--concurrency", "1"],
  ]);
  equal(again.code, 0, again.stderr);
  // Their configs were made here: the next patch costs one less.
  const fewer = again.stdout.trim().split("\n").map((line) =>
    (JSON.parse(line) as FleetResult).requests
  );
  equal(sum(fewer), 9 + 4 + 4 + looksAgain(near.take().requests), fewer.join());
});

Deno.test("P4, P5 warm, in a process of its own each time: 3 requests and two waits, also for an image that nobody saw", async () => {
  await using it = await makeScene();
  await using gate = gateProxy(it.host);
  const rebase = async (tag: string, run: string, ...groups: readonly number[]) => {
    gate.expect(...groups);
    const words = ["rebase", `${gate.host}/app:${tag}`, "--publish", "--force", "--run-image"];
    const { code, stderr } = await it.wherry([...words, `${gate.host}/run:${run}`]);
    equal(code, 0, stderr);
    const { requests, together } = gate.seen();
    equal(requests.length, groups.reduce((sum, one) => sum + one), requests.join("\n"));
    ok(together, requests.join("\n"));
  };
  for (const version of ["2", "3"]) await put(it.place, "run", version, madeBase(version));
  for (const tag of ["1", "2"]) {
    await put(it.place, "app", tag, madeApp(old, `app ${tag}`, { run: `${gate.host}/run:2` }));
  }
  await rebase("1", "2", 2, 6);
  await rebase("2", "2", 2, 1);
  await rebase("2", "3", 2, 6); // a base that nobody saw
  await rebase("2", "2", 2, 1);
});

Deno.test("P4 what was believed to be there and is not is brought again", async () => {
  await using it = await makeScene();
  await put(it.place, "run", "2", next);
  for (const tag of ["1", "2"]) {
    await put(it.place, "app", tag, madeApp(old, `app ${tag}`, { run: `${it.host}/run:2` }));
  }
  const rebase = (tag: string) =>
    it.wherry([
      ...["rebase", `${it.host}/app:${tag}`, "--publish", "--run-image", `${it.host}/run:2`],
    ]);
  equal((await rebase("1")).code, 0);
  await it.place.deleteManifest("app", "1");
  for (const { descriptor } of next.layers) await it.place.deleteBlob("app", descriptor.digest);
  it.calls();
  const { code, stderr } = await rebase("2");
  equal(code, 0, stderr);
  const calls = it.calls();
  equal(calls.filter((call) => call.startsWith("PUT putManifest")).length, 2, calls.join("\n"));
  equal(calls.filter((call) => call === "POST startUpload 201").length >= 5, true);
  for (const { descriptor } of next.layers) {
    ok(await it.place.blob("app", descriptor.digest), "it is complete");
  }
});

Deno.test("P4 the same for the images of an index", async () => {
  await using it = await makeScene();
  await put(it.place, "run", "2", next);
  for (const tag of ["1", "2"]) {
    const { raw } = madeApp(old, `app ${tag}`, { run: `${it.host}/run:2` });
    await put(
      it.place,
      "app",
      `only-${tag}`,
      madeApp(old, `app ${tag}`, { run: `${it.host}/run:2` }),
    );
    const platform = { os: "linux", architecture: "amd64" };
    const child = {
      mediaType: raw.mediaType,
      digest: raw.digest,
      size: raw.bytes.byteLength,
      platform,
    };
    const index = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [child] };
    const bytes = encodeJson(index);
    await it.place.pushManifest("app", { mediaType: MediaType.ociIndex, bytes }, { tags: [tag] });
  }
  const rebase = (tag: string) =>
    it.wherry([
      ...["rebase", `${it.host}/app:${tag}`, "--publish", "--run-image", `${it.host}/run:2`],
    ]);
  equal((await rebase("1")).code, 0);
  for (const { descriptor } of next.layers) await it.place.deleteBlob("app", descriptor.digest);
  const { code, stderr } = await rebase("2");
  equal(code, 0, stderr);
  for (const { descriptor } of next.layers) ok(await it.place.blob("app", descriptor.digest));
});

Deno.test({
  name:
    "demand 30: docker-registry: a tag that moves between the read and the write is not overwritten, where it is looked at again",
  ignore: dockerRegistry === undefined,
}, async () => {
  await using docker = await startDockerRegistry();
  await using client = connectRegistry(docker.host);
  let moving: Promise<unknown> | undefined;
  const other = madeApp(old, "somebody else's");
  await put(client, "app", "other", other);
  const { raw } = other;
  await using passing = passOn(docker.host, () => ({
    request(line) {
      if (!line.startsWith("POST")) return;
      moving ??= client.pushManifest("app", { mediaType: raw.mediaType, bytes: raw.bytes }, {
        tags: ["1"],
      });
    },
    answer: async () => void await moving,
  }));
  await using it = await makeScene();
  const run = `${passing.host}/run:2`;
  await put(client, "run", "2", next);
  await put(client, "app", "1", madeApp(old, "app", { run }));
  const words = ["rebase", `${passing.host}/app:1`, "--publish", "--run-image", run];
  const { code, stderr } = await it.wherry(words);
  ok(code !== 0, stderr);
  match(stderr, /Cannot set \S+app:1: it is sha256:/);
  equal((await client.stat("app", "1"))!.digest, raw.digest);
});
