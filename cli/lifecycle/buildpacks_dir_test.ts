import assert from "node:assert/strict";
import { tempDir } from "../../registry/temp_testing.ts";
import { buildpacksDir } from "./buildpacks_dir.ts";

Deno.test("BPT-2 a buildpack is what it was asked for as, whatever its file says", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  await Deno.mkdir(`${dir}/a_b/1`, { recursive: true });
  await Deno.writeTextFile(
    `${dir}/a_b/1/buildpack.toml`,
    'api = "0.10"\n[buildpack]\nid = "other"\nversion = "7"\n',
  );
  const store = buildpacksDir(dir);
  for (const id of ["a/b", "a_b"]) {
    const { descriptor } = store.find(id, "1")!;
    assert.deepEqual([descriptor.id, descriptor.version], [id, "1"]);
  }
  assert.equal(store.find("a/b", "2"), undefined);
});
