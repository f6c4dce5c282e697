/** The drop-in `rebaser`, as platforms other than wherry call it. */
import { equal, match } from "node:assert/strict";
import { readImage } from "../../registry/image.ts";
import { madeApp, madeBase, makeScene, put } from "../rebase/rebase_testing.ts";

Deno.test("RB-1 names on one registry; -previous-image is read and stays; what is absent is 72", async () => {
  await using it = await makeScene();
  const [old, next] = [madeBase("1"), madeBase("2")];
  const run = `${it.host}/run:2`;
  await put(it.place, "run", "2", next);
  await put(it.place, "app", "1", madeApp(old, "app", { run }));
  const before = (await it.place.stat("app", "1"))!.digest;
  const rebaser = async (...args: readonly string[]) =>
    await it.wherry(["lifecycle", "rebaser", "-report", `${it.dir}/report.toml`, ...args], {
      CNB_PLATFORM_API: "0.14",
    });
  const none = await rebaser();
  equal(none.code, 3, none.stderr);
  const two = await rebaser(`${it.host}/app:1`, "elsewhere.example/app:1");
  equal(two.code, 3, two.stderr);
  const absent = await rebaser(`${it.host}/absent`);
  equal(absent.code, 72, absent.stderr);
  const done = await rebaser(
    "-previous-image",
    `${it.host}/app:1`,
    `${it.host}/app:2`,
    `${it.host}/other:1`,
  );
  equal(done.code, 0, done.stderr);
  equal((await it.place.stat("app", "1"))!.digest, before);
  const image = (await readImage(it.place, "app", "2", { os: "linux", architecture: "amd64" }))!;
  equal(image.layers[0]!.diffId, next.layers[0]!.diffId);
  equal((await it.place.stat("other", "1"))?.digest, image.raw.digest);
  const report = await Deno.readTextFile(`${it.dir}/report.toml`);
  match(report, /tags = \[.*app:2.*other:1.*\]/s);
});
