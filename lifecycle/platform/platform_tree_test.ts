/** Directories with files for each platform, as `buildpack package` and `build` both read them. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { tempDir } from "../../registry/temp_testing.ts";
import { gatherBuildpacks } from "./buildpack_source.ts";
import { locateModule } from "./package/locate.ts";
import { treesOf } from "./platform_tree.ts";

Deno.test("BP-3 the most special tree first", () => {
  assert.deepEqual(treesOf({ os: "linux", architecture: "arm64", variant: "v8" }), [
    ...["linux/arm64/v8", "linux/arm64", "linux"],
  ]);
});

Deno.test("BP-3 build takes a buildpack directory's files for its platform, over those of all", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const files = {
    "bp/buildpack.toml": 'api = "0.10"\n[buildpack]\nid = "a/b"\nversion = "1"\n' +
      '[[targets]]\nos = "linux"\narch = "amd64"\n[[targets]]\nos = "linux"\narch = "arm64"\n',
    "bp/lib/common": "for all",
    "bp/lib/which": "none",
    "bp/linux/amd64/bin/build": "amd64",
    "bp/linux/amd64/lib/which": "amd64",
    "bp/linux/arm64/bin/build": "arm64",
  };
  for (const [name, text] of Object.entries(files)) {
    await Deno.mkdir(join(dir, name, ".."), { recursive: true });
    await Deno.writeTextFile(join(dir, name), text);
  }
  await Deno.mkdir(join(dir, "scratch"));
  const read = async (architecture: string) => {
    const { all } = await gatherBuildpacks({
      buildpacks: ["bp"],
      cwd: dir,
      scratch: join(dir, "scratch"),
      platform: { os: "linux", architecture },
    });
    const { outside } = all[0]!.dir;
    const text = (name: string) => Deno.readTextFileSync(join(outside, name));
    assert.equal(text("lib/common"), "for all");
    const names = [...Deno.readDirSync(outside)].map(({ name }) => name).sort();
    assert.deepEqual(names, ["bin", "buildpack.toml", "lib"], "nothing of other platforms");
    return [text("bin/build"), text("lib/which")];
  };
  assert.deepEqual(await read("amd64"), ["amd64", "amd64"]);
  assert.deepEqual(await read("arm64"), ["arm64", "none"]);
  assert.equal(await Deno.readTextFile(join(dir, "bp/lib/which")), "none", "the source stays");

  const { modules } = await locateModule("bp", {
    cwd: dir,
    scratch: join(dir, "scratch"),
    platform: { os: "linux", architecture: "arm64" },
    image: () => Promise.reject(new Error("no image was asked for")),
    file: () => Promise.reject(new Error("no file was asked for")),
    download: () => Promise.reject(new Error("no address was asked for")),
  });
  const [module] = modules;
  assert.ok(module !== undefined && "dirs" in module);
  assert.deepEqual(module.dirs, [join(dir, "bp"), join(dir, "bp/linux/arm64")], "in builders");
});
