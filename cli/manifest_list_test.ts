/** `wherry manifest`: indexes begun, changed and pushed, counted at a real server. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { makeImage, pushImage } from "../registry/image.ts";
import { memoryRegistry } from "../registry/memory.ts";
import { parseDocument } from "../registry/oci/manifest.ts";
import { createServer } from "../registry/server/server.ts";
import { serve } from "../registry/server/serve.ts";
import { makeShell } from "./shell_testing.ts";

async function scene() {
  const shell = await makeShell();
  const registry = memoryRegistry();
  const requests: string[] = [];
  const server = createServer(registry, {
    onRequest: ({ method, path }) => requests.push(`${method} ${path}`),
  });
  const listening = await serve(server, { listen: { hostname: "127.0.0.1", port: 0 } });
  const digests: Record<string, string> = {};
  for (const architecture of ["amd64", "arm64"]) {
    const image = makeImage({
      os: "linux",
      architecture,
      config: {},
      rootfs: { type: "layers", diff_ids: [] },
    }, []);
    await pushImage(image, registry, `app-${architecture}`, { tags: ["1"] });
    digests[architecture] = image.raw.digest;
  }
  return {
    shell,
    registry,
    requests,
    digests,
    host: listening.url.replace("http://", ""),
    async [Symbol.asyncDispose]() {
      await listening.shutdown();
      await shell[Symbol.asyncDispose]();
    },
  };
}

Deno.test("manifest annotate and rm take an image by the name it was added by, also one of two tags of a repository", async () => {
  await using at = await scene();
  const { shell, host, registry, digests } = at;
  const index = `${host}/app:1`;
  for (const architecture of ["amd64", "arm64"]) {
    await shell.ok("copy", `${host}/app-${architecture}:1`, `${host}/both:${architecture}`);
  }
  await shell.ok("manifest", "create", index, `${host}/both:amd64`, `${host}/both:arm64`);
  await shell.ok("manifest", "annotate", index, `${host}/both:arm64`, "--variant", "v8");
  await shell.ok("manifest", "rm", index, `${host}/both:amd64`);
  const { manifests } = JSON.parse(await shell.ok("manifest", "inspect", index));
  deepEqual(
    manifests.map((one: { digest: string; platform: unknown }) => [one.digest, one.platform]),
    [[digests["arm64"], { architecture: "arm64", os: "linux", variant: "v8" }]],
  );
  const strange = "gone.test/x:none"; // its registry is not asked
  for (const image of [`${host}/both:amd64`, `${host}/both:none`, strange]) {
    const { code, err } = await shell.wherry("manifest", "rm", index, image);
    equal(code, 3, err);
    match(err, /Cannot find .*:(amd64|none) in index .*: it has .*both@sha256:/);
  }
  equal(await registry.stat("app", "1"), undefined);
});

Deno.test("manifest: create, annotate, rm, add, push: children first, one tag", async () => {
  await using at = await scene();
  const { shell, host, registry, digests } = at;
  const index = `${host}/app:1`;
  await shell.ok("manifest", "create", index, `${host}/app-amd64:1`, `${host}/app-arm64:1`);
  match((await shell.wherry("manifest", "create", index, `${host}/app-amd64:1`)).err, /was begun/);
  await shell.ok(
    ...["manifest", "annotate", index, `${host}/app-arm64`],
    ...["--variant", "v8", "--annotations", "who=me"],
  );
  await shell.ok("manifest", "rm", index, digests["amd64"]!);
  await shell.ok("manifest", "add", index, `${host}/app-amd64:1`);
  const shown = JSON.parse(await shell.ok("manifest", "inspect", index));
  deepEqual(shown.manifests.map((one: { platform: unknown }) => one.platform), [
    { architecture: "arm64", os: "linux", variant: "v8" },
    { architecture: "amd64", os: "linux" },
  ]);
  equal(await registry.stat("app", "1"), undefined);
  await shell.ok("manifest", "push", index, "--purge");
  const raw = await registry.manifest("app", "1");
  ok(raw);
  const document = parseDocument(raw.bytes, raw.mediaType);
  equal(document.kind, "index");
  ok(await registry.stat("app", digests["arm64"]!));
  equal((await shell.wherry("manifest", "push", index)).code, 3);
  // Pushed: shown as the registry has it.
  deepEqual(JSON.parse(await shell.ok("manifest", "inspect", index)), shown);
});

Deno.test("manifest create --publish with docker's media types, from an index too", async () => {
  await using at = await scene();
  const { shell, host, registry } = at;
  await shell.ok("manifest", "create", `${host}/a:1`, `${host}/app-amd64:1`, "--publish");
  await shell.ok(
    ...["manifest", "create", `${host}/b:1`, `${host}/a:1`, `${host}/app-arm64:1`],
    ...["--publish", "--format", "docker"],
  );
  const raw = (await registry.manifest("b", "1"))!;
  equal(raw.mediaType, "application/vnd.docker.distribution.manifest.list.v2+json");
  equal(JSON.parse(new TextDecoder().decode(raw.bytes)).manifests.length, 2);
  const bad = await shell.wherry("manifest", "create", `${host}/c:1`, `${host}/none:1`);
  match(bad.err, /^ERROR: Cannot find \S+none:1: it is not there\n$/);
});

Deno.test("an index that was begun is nothing the store's check minds", async () => {
  await using at = await scene();
  await at.shell.ok("manifest", "create", `${at.host}/a:1`, `${at.host}/app-amd64:1`);
  equal((await at.shell.wherry("store", "fsck")).code, 0);
  await at.shell.ok("manifest", "remove", `${at.host}/a:1`);
});
