/** `wherry copy`: platforms, and what archives hold. */
import { deepEqual, equal, match } from "node:assert/strict";
import { parseDocument } from "../registry/oci/manifest.ts";
import { readOciArchive } from "../registry/store/oci_archive.ts";
import { appImage, bench, push, pushIndex } from "./command_testing.ts";

Deno.test("copy: an OCI archive holds an index whole, docker's one image and says which", async () => {
  await using shop = await bench();
  const arm = appImage({ architecture: "arm64" });
  await pushIndex(shop.registry, "app", "1", [appImage(), arm]);
  const index = (await shop.registry.stat("app", "1"))!.digest;
  const name = `docker://${shop.host}/app:1`;
  const whole = await shop.wherry("copy", name, "oci-archive:all.tar:1");
  equal(whole.code, 0, whole.err);
  equal(whole.out, `oci-archive:all.tar@${index}\n`);
  match(whole.err, /^Copied .*app:1 to oci-archive:all\.tar:1$/m);
  {
    await using archive = await readOciArchive(`${shop.dir}/all.tar`);
    deepEqual(archive.images, [{ digest: index, names: ["1"] }]);
    const raw = (await archive.reader.manifest(archive.repository, index))!;
    equal(parseDocument(raw.bytes, raw.mediaType).kind, "index");
  }
  const back = await shop.wherry("copy", "oci-archive:all.tar", "oci:layout");
  match(back.out, new RegExp(`${index}\n$`), back.err);
  const first = await Deno.readFile(`${shop.dir}/all.tar`);
  equal((await shop.wherry("copy", "oci:layout", "oci-archive:again.tar:1")).code, 0);
  deepEqual(await Deno.readFile(`${shop.dir}/again.tar`), first, "the same bytes from anywhere");

  const docker = await shop.wherry("copy", name, "docker-archive:one.tar:app:1");
  const machine = Deno.build.arch === "aarch64" ? "arm64" : "amd64";
  match(
    docker.err,
    new RegExp(`^docker-archive:one\\.tar holds one image: linux/${machine} `, "m"),
  );
  const json = await shop.wherry(
    ...["copy", name, "oci-archive:arm.tar", "--platform", "linux/arm64", "-o", "json"],
  );
  const { name: shown, digest } = JSON.parse(json.out);
  equal(shown, "oci-archive:arm.tar");
  equal(digest === index, false);
  equal(json.err, "", "what was asked for needs no word");
});

Deno.test("copy, pull, push --platform: an image that stands alone is checked", async () => {
  await using shop = await bench();
  await push(appImage(), shop.registry, "app", "1");
  const name = `${shop.host}/app:1`;
  const words = [["copy", name, "oci:x"], ["copy", name, "oci-archive:x.tar"], ["pull", name]];
  for (const line of words) {
    const { code, err } = await shop.wherry(...line, "--platform", "linux/arm64");
    equal(
      err,
      `ERROR: Cannot find ${name} for linux/arm64: it is one image, for linux/amd64\n`,
    );
    equal(code, 3);
  }
  equal((await shop.wherry("copy", name, "oci:x", "--platform", "linux/amd64")).code, 0);
});
