import assert from "node:assert/strict";
import { makeImage, pushImage } from "../registry/image.ts";
import { LAYOUT_REPOSITORY, openLayout } from "../registry/store/layout.ts";
import { tempDir } from "../registry/temp_testing.ts";
import { missingImages, stampOf } from "./base_images.ts";

Deno.test("base images: each is made again for its own recipe only, and when its name means another", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  assert.deepEqual(await missingImages(dir, ["run", "run2"]), ["run", "run2"]);
  const layout = await openLayout(dir, { create: true });
  const push = async (created: string, ...tags: readonly string[]) => {
    const rootfs = { type: "layers", diff_ids: [] } as const;
    const image = makeImage(
      { os: "linux", architecture: "amd64", created, config: {}, rootfs },
      [],
    );
    await pushImage(image, layout, LAYOUT_REPOSITORY, { tags });
  };
  await push("2025-01-01T00:00:00Z", "run", stampOf("run"));
  await push("2025-01-02T00:00:00Z", "run2", "run2.anotherrecipe");
  assert.deepEqual(await missingImages(dir, ["run", "run2", "tiny"]), ["run2", "tiny"]);
  await push("2025-01-03T00:00:00Z", "run"); // by a checkout with another recipe
  assert.deepEqual(await missingImages(dir, ["run"]), ["run"]);
  assert.notEqual(stampOf("run"), stampOf("run2"));
  assert.match(stampOf("builds"), /^builds\.[0-9a-f]{12}$/);
});
