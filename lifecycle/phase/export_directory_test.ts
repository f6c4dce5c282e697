import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { LifecycleError } from "../error.ts";
import { exportImage } from "./export.ts";
import { hasDirectory } from "./export_directory.ts";
import { exportInput, memoryStore, sampleBuild, writeTree } from "./export_testing.ts";
import { tempDir } from "../../registry/temp_testing.ts";

Deno.test("a directory is found, a file and nothing are none, a link is refused", async () => {
  await using dir = await tempDir();
  await writeTree(dir.path, { "a/b/file": "x" });
  await Deno.symlink("/", `${dir.path}/a/link`);
  const layers = { inside: "/layers", outside: dir.path };
  assert.equal(hasDirectory(layers, "a/b"), true);
  assert.equal(hasDirectory(layers, "a/b/file"), false);
  assert.equal(hasDirectory(layers, "a/nothing/more"), false);
  assert.throws(() => hasDirectory(layers, "a/link"), /\/layers\/a\/link: it is a symbolic link/);
  assert.throws(() => hasDirectory(layers, "a/link/etc"), TypeError);
});

/** What a buildpack may plant to have the exporter's own files packed or overwritten. */
const PLANTED: readonly (readonly [string, readonly string[]])[] = [
  ["config", []],
  ["sbom", []],
  ["sbom/launch", ["sbom"]],
  ["sbom/launch/buildpacksio_lifecycle", ["sbom", "sbom/launch"]],
  ["samples_java/jre", []],
  ["samples_java", []],
];

for (const [path, parents] of PLANTED) {
  Deno.test(`a link planted at <layers>/${path} ends with 62 and nothing of the host in an image`, async () => {
    await using dir = await tempDir();
    await sampleBuild(dir.path);
    await writeTree(dir.path, { "host/launch/secret": "s", "host/launcher/sbom.cdx.json": "keep" });
    for (const parent of parents) {
      await Deno.mkdir(`${dir.path}/layers/${parent}`, { recursive: true });
    }
    await Deno.remove(`${dir.path}/layers/${path}`, { recursive: true }).catch(() => {});
    await Deno.symlink(`${dir.path}/host`, `${dir.path}/layers/${path}`);
    const to = memoryRegistry();
    await assert.rejects(
      exportImage(
        exportInput(dir.path, memoryStore(), to, {
          ownSboms: [{ of: "launcher", file: "sbom.cdx.json", bytes: new Uint8Array(1) }],
        }),
        quietContext(),
      ),
      (error) =>
        error instanceof LifecycleError && error.exitCode === 62 && /link/.test(error.message),
    );
    assert.equal(await to.manifest("app", "1"), undefined);
    assert.equal(await Deno.readTextFile(`${dir.path}/host/launcher/sbom.cdx.json`), "keep");
  });
}
