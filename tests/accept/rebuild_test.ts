/** Nothing is done twice: counted by the registry, not by us. */
import assert from "node:assert/strict";
import { canMakeBase, writeBase } from "./base_image_testing.ts";
import { hasRegistry, startRegistry, uploads } from "./registry_testing.ts";
import { copyDir, EXAMPLES, makeScene, tool } from "./wherry_testing.ts";

const HELLO = ["-b", `${EXAMPLES}/buildpacks/hello`, "--run-image", "scratch"];

Deno.test({
  name: "a rebuild with nothing changed uploads no byte of a blob; one app file moves one layer",
  ignore: !hasRegistry,
  async fn() {
    await using registry = await startRegistry();
    await using scene = await makeScene();
    await copyDir(`${EXAMPLES}/hello`, `${scene.dir}/app`);
    const build = () =>
      scene.json(["build", `${registry.host}/hello`, "--publish", "--path", "app", ...HELLO]);

    const first = await build();
    assert.equal(uploads(await registry.take()).length > 0, true);
    const blobs = await registry.blobs();

    const second = await build();
    assert.deepEqual(uploads(await registry.take()), [], "no byte of a blob");
    assert.equal(second.digest, first.digest);
    assert.deepEqual(new Set(second.layers.map(({ how }) => how)), new Set(["reused"]));
    assert.deepEqual(await registry.blobs(), blobs);

    await Deno.writeTextFile(`${scene.dir}/app/public/index.html`, "<p>changed</p>\n");
    const third = await build();
    assert.equal(uploads(await registry.take()).length, 2, "one layer and the config");
    assert.notEqual(third.digest, first.digest);
    const moved = third.layers.filter(({ how }) => how !== "reused");
    assert.equal(moved.length, 1, JSON.stringify(third.layers));
    const added = [...await registry.blobs()].filter((blob) => !blobs.has(blob));
    assert.equal(added.length, 3, "a layer, the config, the manifest");
  },
});

Deno.test({
  name: "a machine with an empty store reuses the layers of the image in the registry",
  ignore: !hasRegistry,
  async fn() {
    await using registry = await startRegistry();
    await using scene = await makeScene();
    const build = (store: string) =>
      scene.json([
        ...[
          "build",
          `${registry.host}/hello`,
          "--publish",
          "--path",
          `${EXAMPLES}/hello`,
          ...HELLO,
        ],
      ], { store: `${scene.dir}/${store}` });
    const first = await build("one");
    await registry.take();
    const second = await build("two");
    assert.deepEqual(uploads(await registry.take()), []);
    assert.equal(second.digest, first.digest);
  },
});

Deno.test({
  name: "layers of a run image in the same registry are mounted, not sent",
  ignore: !hasRegistry || !canMakeBase(),
  async fn() {
    await using registry = await startRegistry();
    await using scene = await makeScene();
    await writeBase(`${scene.dir}/base`, 1);
    await tool("skopeo", [
      ...["copy", "--quiet", "--dest-tls-verify=false"],
      ...[`oci:${scene.dir}/base:1`, `docker://${registry.host}/base/run:1`],
    ]);
    const base = await registry.blobs();
    await registry.take();
    await scene.ok([
      ...["build", `${registry.host}/apps/kinds`, "--publish", "--path", `${EXAMPLES}/kinds`],
      ...["-b", `${EXAMPLES}/buildpacks/kinds`, "--run-image", `${registry.host}/base/run:1`],
    ]);
    const log = await registry.take();
    const mounted = log.filter(({ path, status }) => path.includes("mount=") && status === 201);
    assert.equal(mounted.length, 2);
    for (const { path } of log.filter(({ method }) => method === "GET")) {
      const hex = /\/blobs\/sha256:([0-9a-f]+)/.exec(path)?.[1];
      if (hex === undefined) continue;
      const manifest = JSON.parse(
        await tool("skopeo", [
          ...["inspect", "--raw", "--tls-verify=false", `docker://${registry.host}/base/run:1`],
        ]),
      );
      assert(
        !manifest.layers.some((one: { digest: string }) => one.digest.endsWith(hex)),
        `a layer of the run image was downloaded: ${path}`,
      );
    }
    assert(base.isSubsetOf(await registry.blobs()));
  },
});

Deno.test("nothing of an unchanged rebuild becomes a new file of the store", async () => {
  await using scene = await makeScene();
  await copyDir(`${EXAMPLES}/hello`, `${scene.dir}/app`);
  // Large enough to be a file of its own; small blobs live in the store's database.
  const large = new Uint8Array(2_000_000).map((_, at) => (at * 2654435761) >>> 13);
  await Deno.writeFile(`${scene.dir}/app/public/large`, large);
  const build = () => scene.json(["build", "hello", "--path", "app", ...HELLO]);
  const first = await build();
  const listing = async () =>
    (await tool("find", [`${scene.store}/blobs`, "-type", "f", "-printf", "%p %i %T@\\n"]))
      .split("\n").sort();
  const before = await listing();
  assert.equal(before.length, 2, before.join());
  const second = await build();
  assert.equal(second.digest, first.digest);
  assert.deepEqual(await listing(), before);
  const waiting = await Array.fromAsync(Deno.readDir(`${scene.store}/ingest`));
  assert.deepEqual(waiting, []);
});

Deno.test("builds at the same time, of the same image and of others, do not disturb each other", async () => {
  await using scene = await makeScene();
  const build = (name: string) =>
    scene.json([
      ...["build", name, "--path", `${EXAMPLES}/kinds`, "-b", `${EXAMPLES}/buildpacks/kinds`],
      ...["--run-image", "scratch"],
    ]);
  const built = await Promise.all([build("one"), build("one"), build("two")]);
  assert.equal(new Set(built.map(({ digest }) => digest)).size, 1);
  const rows = await scene.json<{ name: string }[]>(["ls"]);
  assert.deepEqual(rows.map(({ name }) => name).sort(), ["one", "two"]);
});
