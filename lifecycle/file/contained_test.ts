import assert from "node:assert/strict";
import { tempDir } from "../../registry/temp_testing.ts";
import type { Dir } from "../sandbox/executor.ts";
import { findContained, readContained } from "./contained.ts";

async function withTree(act: (layers: Dir, app: Dir, base: string) => Promise<void> | void) {
  await using temp = await tempDir();
  const base = temp.path;
  await Deno.mkdir(`${base}/l/bp`, { recursive: true });
  await Deno.mkdir(`${base}/a`);
  await Deno.writeTextFile(`${base}/secret`, "secret");
  await act(
    { inside: "/layers", outside: `${base}/l` },
    { inside: "/workspace", outside: `${base}/a` },
    base,
  );
}

Deno.test("security: links are followed as a buildpack sees them, inside the build only", async () => {
  await withTree(async (layers, app, base) => {
    await Deno.writeTextFile(`${layers.outside}/bp/a`, "A");
    await Deno.writeTextFile(`${app.outside}/b`, "B");
    const link = (to: string, name: string) => Deno.symlink(to, `${layers.outside}/bp/${name}`);
    await link("a", "relative");
    await link("/layers/bp/relative", "chain");
    await link("/workspace/b", "app");
    await link("../../layers/bp/a", "up");
    await link(`${base}/secret`, "outside");
    await link("../../secret", "up-and-out");
    await link("circle", "circle");
    await link("/layers/none", "dangling");
    const roots = [layers, app];
    const read = (name: string) => readContained(`/layers/bp/${name}`, roots);
    assert.equal(read("a"), "A");
    assert.equal(read("relative"), "A");
    assert.equal(read("chain"), "A");
    assert.equal(read("app"), "B");
    assert.equal(read("up"), "A");
    assert.equal(read("none"), undefined);
    assert.equal(read("dangling"), undefined);
    assert.throws(() => read("outside"), { name: "FileError", message: /want a file inside/ });
    assert.throws(() => read("up-and-out"), { message: /it leads to \/secret/ });
    assert.throws(() => read("circle"), { message: /more than 40 links/ });
  });
});

Deno.test("security: a directory on the way may be a link too", async () => {
  await withTree(async (layers, _app, base) => {
    await Deno.symlink(base, `${layers.outside}/evil`);
    assert.throws(() => readContained("/layers/evil/secret", [layers]), /want a file inside/);
  });
});

Deno.test("security: what is no plain file is not opened", async () => {
  await withTree(async (layers) => {
    const fifo = `${layers.outside}/bp/launch.toml`;
    await new Deno.Command("mkfifo", { args: [fifo] }).output();
    assert.throws(() => readContained("/layers/bp/launch.toml", [layers]), /not a plain file/);
    assert.throws(() => readContained("/layers/bp", [layers]), /not a plain file/);
    assert.equal((findContained("/layers/bp", [layers]))?.info.isDirectory, true);
    assert.equal(findContained("/layers/bp/launch.toml/x", [layers]), undefined);
  });
});

Deno.test("a root may be / itself", async () => {
  await withTree((_layers, _app, base) => {
    const root = { inside: "/", outside: base };
    assert.equal(readContained("/secret", [root]), "secret");
  });
});
