// deno-lint-ignore-file no-console
/**
 * `deno run -A tests/bench/store.ts [images] [tags per image]`: one store with many images. Default 100,000 images under
 * 1,000,000 tags in 100 repositories, the first of which holds a tenth of all. Prints times and memory; keeps nothing.
 */
import { join } from "node:path";
import { encodeJson } from "../../registry/image.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import {
  type describeBytes,
  pushBytes,
  sampleBytes,
} from "../../registry/registry_suite_testing.ts";
import { checkStore } from "../../registry/store/fsck.ts";
import { openStore, type Store } from "../../registry/store/store.ts";
import { measureStore } from "../../registry/store/usage.ts";

/** Fills a store and measures what people do with it. */
async function benchStore(images: number, tagsEach: number): Promise<void> {
  const top = await Deno.makeTempDir();
  const dir = join(top, "store");
  try {
    await measure(dir, images, tagsEach);
  } finally {
    await Deno.remove(top, { recursive: true });
  }
}

const REPOSITORIES = 100;

function repositoryOf(at: number): string {
  return at % 10 === 0 ? "fleet/r0" : `fleet/r${1 + at % (REPOSITORIES - 1)}`;
}

async function measure(dir: string, images: number, tagsEach: number): Promise<void> {
  let store = await openStore(dir);
  let peak = 0;
  const rss = () => {
    peak = Math.max(peak, Deno.memoryUsage().rss);
    return Math.round(Deno.memoryUsage().rss / 1e6);
  };
  const timed = async <T>(what: string, times: number, act: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    const result = await act();
    const ms = performance.now() - start;
    const each = times > 1 ? `, ${(ms * 1000 / times).toFixed(0)} us each` : "";
    console.log(`${what.padEnd(46)} ${(ms / 1000).toFixed(2)} s${each}, ${rss()} MB`);
    return result;
  };

  const digests: Digest[] = [];
  await timed(`push ${images} images, ${images * tagsEach} tags, durable`, images, async () => {
    const layers = new Map<string, ReturnType<typeof describeBytes>>();
    for (let at = 0; at < REPOSITORIES; at++) {
      const repository = `fleet/r${at}`;
      const layer = await pushBytes(store, repository, sampleBytes(70_000), MediaType.ociLayer);
      layers.set(repository, layer);
    }
    let next = 0;
    const work = async () => {
      for (let at = next++; at < images; at = next++) {
        digests[at] = await pushOne(store, at, tagsEach, layers.get(repositoryOf(at))!);
        if (at % 5000 === 0) rss();
      }
    };
    await Promise.all(Array.from({ length: 32 }, work));
  });
  await timed("close", 1, () => Promise.resolve(store[Symbol.asyncDispose]()));
  store = await timed("open", 1, () => openStore(dir));

  const some = Array.from({ length: 5000 }, (_, turn) => turn * 7919 % images);
  await timed("resolve a tag (manifest and all)", some.length, async () => {
    for (const at of some) {
      const raw = await store.manifest(repositoryOf(at), `v${at}-${at % tagsEach}`);
      if (raw?.digest !== digests[at]) throw new Error(`v${at} is ${raw?.digest}`);
    }
  });
  await timed("stat by digest", some.length, async () => {
    for (const at of some) await store.stat(repositoryOf(at), digests[at]!);
  });
  await timed("move a tag, durable", 500, async () => {
    for (const at of some.slice(0, 500)) {
      const raw = await store.manifest(repositoryOf(at), digests[at]!);
      await store.pushManifest(repositoryOf(at), raw!, { tags: ["latest"] });
    }
  });
  await timed("first page of tags of the largest repository", 1, async () => {
    let seen = 0;
    for await (const _ of store.tags("fleet/r0")) if (++seen === 1000) break;
  });
  await timed("list every tag", 1, async () => {
    let seen = 0;
    for await (const repository of store.repositories()) {
      for await (const _ of store.tags(repository)) seen++;
    }
    if (seen < images * tagsEach) throw new Error(`${seen} tags`);
  });
  await timed("gc, nothing to take", 1, () => store.gc({ graceMs: -1 }));
  const names = Array.from({ length: Math.floor(images / 100) }, (_, turn) => turn * 100 + 7);
  await timed("delete the tags of one image in a hundred", names.length * tagsEach, async () => {
    let next = 0;
    const work = async () => {
      for (let turn = next++; turn < names.length; turn = next++) {
        const at = names[turn]!;
        for (let tag = 0; tag < tagsEach; tag++) {
          await store.deleteManifest(repositoryOf(at), `v${at}-${tag}`);
        }
      }
    };
    await Promise.all(Array.from({ length: 32 }, work));
  });
  const usage = await timed("df", 1, () => measureStore(dir, { now: new Date(Date.now() + 1e8) }));
  console.log(`  ${Math.round(usage.metadata.bytes / 1e6)} MB metadata`, usage.reclaimable);
  await timed("gc of those, while others resolve", 1, async () => {
    const one = async () => {
      const at = some.find((each) => repositoryOf(each) === "fleet/r1" && !names.includes(each))!;
      return (await store.manifest("fleet/r1", digests[at]!))!;
    };
    let worst = 0;
    let over = false;
    const others = (async () => {
      for (let turn = 0; !over; turn++) {
        const start = performance.now();
        await store.pushManifest("fleet/r1", await one(), { tags: ["during"] });
        worst = Math.max(worst, performance.now() - start);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    const report = await store.gc({ graceMs: -1 });
    over = true;
    await others;
    console.log(
      `  took ${report.manifests} manifests; a tag move meanwhile at most ${worst.toFixed(0)} ms`,
    );
  });
  const free = images - images % 100 - 50;
  await timed("release of one image", 1, () => store.release(repositoryOf(free), digests[free]!));
  await timed("fsck", 1, async () => {
    const report = await checkStore(dir);
    if (report.faults > 0) throw new Error(`${report.faults} faults`);
  });
  await store[Symbol.asyncDispose]();
  console.log(
    `peak memory ${Math.round(peak / 1e6)} MB, ${
      Math.round(digests.length * 150 / 1e6)
    } MB of them ours`,
  );
}

async function pushOne(
  store: Store,
  at: number,
  tagsEach: number,
  layer: ReturnType<typeof describeBytes>,
): Promise<Digest> {
  const repository = repositoryOf(at);
  const config = await pushBytes(
    store,
    repository,
    encodeJson({ architecture: "amd64", os: "linux", config: { Labels: { at: String(at) } } }),
    MediaType.ociConfig,
  );
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config,
    layers: [layer],
  });
  const tags = Array.from({ length: tagsEach }, (_, tag) => `v${at}-${tag}`);
  return (await store.pushManifest(repository, { mediaType: MediaType.ociManifest, bytes }, {
    tags,
  }))
    .digest;
}

if (import.meta.main) {
  const [images = 100_000, tagsEach = 10] = Deno.args.map(Number);
  if (!(images >= 1000) || !(tagsEach >= 1)) {
    console.error("usage: tests/bench/store.ts [images, at least 1000] [tags per image]");
    Deno.exit(3);
  }
  console.log(`Deno ${Deno.version.deno}, load ${Deno.loadavg()[0]}, ${images} images`);
  await benchStore(images, tagsEach);
}
