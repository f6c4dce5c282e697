import { deepEqual, equal, ok } from "node:assert/strict";
import { join } from "node:path";
import { encodeJson } from "../image.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { MediaType } from "../oci/media_type.ts";
import { pushSampleImage } from "../registry_suite_testing.ts";
import { tempDir } from "../temp_testing.ts";
import { openStore, type Store } from "./store.ts";

const mediaType = MediaType.ociIndex;

/** Images, indexes of them, things that speak of them; some with a name, some not. */
async function fill(store: Store, seed: number): Promise<void> {
  let state = seed;
  const next = (below: number) => (state = (state * 48271) % 2147483647) % below;
  const made: Descriptor[] = [];
  for (let at = 0; at < 14; at++) {
    const repository = `app${next(2)}`;
    const tags = next(3) === 0 ? [`t${at}`] : [];
    const subject = made[next(made.length + 2)];
    if (next(3) === 0) {
      const here = made.filter((_, which) => which % 2 === next(2)).slice(0, 3);
      const there = await Promise.all(here.map((one) => store.stat(repository, one.digest)));
      const manifests = here.filter((_, which) => there[which] !== undefined);
      const bytes = encodeJson({
        schemaVersion: 2,
        mediaType,
        manifests,
        annotations: { at: `${at}` },
      });
      made.push(await store.pushManifest(repository, { mediaType, bytes }, { tags }));
    } else {
      const size = next(2) === 0 ? 500 : 70_000;
      const more = subject === undefined ? {} : { subject };
      made.push(await pushSampleImage(store, repository, { seed: next(5), size, tags, more }));
    }
  }
}

async function names(store: Store): Promise<string[]> {
  const found: string[] = [];
  for await (const repository of store.repositories()) {
    for await (const tag of store.tags(repository)) {
      found.push(`${repository}:${tag} ${(await store.stat(repository, tag))?.digest}`);
    }
  }
  return found;
}

Deno.test("store: ST-04 a dry run says what a collection then takes, and takes nothing", async () => {
  await using temp = await tempDir();
  const top = temp.path;
  let removed = 0;
  for (let seed = 1; seed <= 8; seed++) {
    for (const keepUntagged of [false, true]) {
      await using store = await openStore(join(top, `${seed} ${keepUntagged}`));
      await fill(store, seed);
      const options = { graceMs: -1, keepUntagged };
      const before = await names(store);
      const said = await store.gc({ ...options, dryRun: true });
      deepEqual(await store.gc({ ...options, dryRun: true }), said);
      deepEqual(await names(store), before);
      const done = await store.gc(options);
      deepEqual(said, done, `seed ${seed}, ${keepUntagged ? "only blobs" : "all"}`);
      deepEqual(await names(store), before);
      deepEqual(await store.gc({ ...options, dryRun: true }), {
        manifests: 0,
        blobs: 0,
        bytes: 0,
        uploads: 0,
      });
      removed += done.manifests + done.blobs;
    }
  }
  ok(removed > 50, `${removed}`);
});

Deno.test("store: ST-06 a dry run works on a store that may not be written", async () => {
  await using temp = await tempDir();
  const top = temp.path;
  {
    await using store = await openStore(join(top, "store"));
    const { digest } = await pushSampleImage(store, "app", { tags: ["v1"] });
    await store.deleteManifest("app", digest);
  }
  await using store = await openStore(join(top, "store"), { readOnly: true });
  const { blobs } = await store.gc({ graceMs: -1, dryRun: true });
  equal(blobs, 3);
});
