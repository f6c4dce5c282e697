/** Images that share a list of layers: nothing goes while one of them needs it, all goes with the last. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import fc from "../oci/property_testing.ts";
import { encodeJson } from "../image.ts";
import { digestOf } from "../oci/digest.ts";
import { MediaType } from "../oci/media_type.ts";
import { describeBytes, sampleBytes } from "../registry_suite_testing.ts";
import { bytesSource } from "../source.ts";
import { tempDir } from "../temp_testing.ts";
import { Database, loadSqlite } from "./database.ts";
import { checkStore } from "./fsck.ts";
import { makeMetadata } from "./open.ts";
import { openStore, type Store } from "./store.ts";
import { measureStore } from "./usage.ts";

const DAY = 24 * 60 * 60 * 1000;
const LAYERS = Array.from({ length: 8 }, (_, at) => sampleBytes(100 + at, at));
/** Which layers images have: the first three are shared by many, the last is too short for a list. */
const SETS = [[0, 1, 2, 3], [1, 2, 3, 4], [0, 1, 2, 3, 4, 5], [6, 7]];

interface Pushed {
  readonly config: Uint8Array<ArrayBuffer>;
  readonly layers: readonly number[];
  readonly manifest: Uint8Array<ArrayBuffer>;
}

function imageOf(set: number, number: number): Pushed {
  const layers = SETS[set]!;
  const config = encodeJson({ os: "linux", number, rootfs: { diff_ids: [] } });
  const manifest = encodeJson({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: describeBytes(config, MediaType.ociConfig),
    layers: layers.map((at) => describeBytes(LAYERS[at]!, MediaType.ociLayer)),
  });
  return { config, layers, manifest };
}

async function push(store: Store, repository: string, tag: string, image: Pushed): Promise<void> {
  for (const bytes of [image.config, ...image.layers.map((at) => LAYERS[at]!)]) {
    await store.pushBlob(repository, describeBytes(bytes), bytesSource(bytes));
  }
  const document = { mediaType: MediaType.ociManifest, bytes: image.manifest };
  await store.pushManifest(repository, document, { tags: [tag] });
}

async function inDirectory(body: (dir: string) => Promise<void>): Promise<void> {
  await using temp = await tempDir();
  const top = temp.path;
  await body(join(top, "store"));
}

function asked(dir: string, sql: string): unknown[] {
  const db = new DatabaseSync(join(dir, "metadata.db"));
  try {
    return db.prepare(sql).all();
  } finally {
    db.close();
  }
}

const faults = async (dir: string, repair = false) =>
  (await checkStore(dir, { repair, onFinding: () => {} })).faults;

Deno.test("ST-04 an image of a fleet is two rows, in a list that others of its repository have, too", async () => {
  await inDirectory(async (dir) => {
    {
      await using store = await openStore(dir);
      for (let at = 0; at < 10; at++) await push(store, "app", `v${at}`, imageOf(2, at));
    }
    deepEqual(asked(dir, "SELECT count(*) AS n FROM child WHERE parent < 0"), [{ n: 6 }]);
    deepEqual(asked(dir, "SELECT count(*) AS n FROM child"), [{ n: 7 + 6 + 9 * 2 }]);
    equal(await faults(dir), 0);
    // Each number is found again by another opening: a list of it must not become another's.
    await using store = await openStore(dir);
    for (let at = 10; at < 14; at++) await push(store, "app", `v${at}`, imageOf(0, at));
    const lists = asked(dir, "SELECT DISTINCT parent FROM child WHERE parent < 0 ORDER BY parent");
    deepEqual(lists, [{ parent: -2 }, { parent: -1 }]);
  });
});

Deno.test("ST-04 whatever is pushed and removed, in whatever order: what a name leads to stays and all else goes", async () => {
  const repository = fc.constantFrom("a", "b/c");
  const act = fc.record({
    kind: fc.constantFrom("push" as const, "push" as const, "remove" as const, "reopen" as const),
    repository,
    set: fc.nat({ max: SETS.length - 1 }),
    number: fc.nat({ max: 3 }),
    tag: fc.constantFrom("x", "y", "z"),
    how: fc.constantFrom("release" as const, "delete" as const),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 25 }), async (acts) => {
      await inDirectory(async (dir) => {
        let day = 0;
        const open = () => openStore(dir, { now: () => new Date(day * DAY) });
        let store = await open();
        const names = new Map<string, Pushed>();
        try {
          for (const { kind, repository, set, number, tag, how } of acts) {
            if (kind === "push") {
              const image = imageOf(set, number);
              await push(store, repository, tag, image);
              names.set(`${repository}:${tag}`, image);
            } else if (kind === "remove") {
              if (!names.delete(`${repository}:${tag}`)) continue;
              if (how === "release") await store.release(repository, tag);
              else await store.deleteManifest(repository, tag);
            } else {
              await store[Symbol.asyncDispose]();
              store = await open();
            }
          }
          day = 2;
          const foreseen = await store.gc({ dryRun: true });
          const done = await store.gc();
          deepEqual([done.manifests, done.blobs, done.bytes], [
            foreseen.manifests,
            foreseen.blobs,
            foreseen.bytes,
          ]);
          const wanted = new Set(
            [...names.values()].flatMap(({ config, layers, manifest }) =>
              [config, manifest, ...layers.map((at) => LAYERS[at]!)].map((bytes) => digestOf(bytes))
            ),
          );
          const left = asked(dir, "SELECT digest FROM content") as { digest: string }[];
          deepEqual(new Set(left.map(({ digest }) => digest)), wanted);
          const members = asked(
            dir,
            "SELECT r.name, c.digest FROM member JOIN repository r " +
              "ON r.id = repository JOIN content c ON c.id = content",
          ) as Record<string, string>[];
          for (const { name, digest } of members) {
            const needs = [...names].some(([key, { config, layers }]) =>
              key.startsWith(`${name}:`) &&
              [config, ...layers.map((at) => LAYERS[at]!)].some((one) => digestOf(one) === digest)
            );
            ok(needs, `${name} has ${digest}`);
          }
        } finally {
          await store[Symbol.asyncDispose]();
        }
        const usage = await measureStore(dir, { now: new Date(4 * DAY) });
        deepEqual(usage.reclaimable, { count: 0, bytes: 0 });
        equal(await faults(dir), 0);
        if (names.size === 0) deepEqual(asked(dir, "SELECT * FROM child"), []);
      });
    }),
    { numRuns: 25 },
  );
});

Deno.test("ST-09 rows of lists that are lost are recorded again, and lists that nobody has go", async () => {
  for (
    const loss of [
      "DELETE FROM child WHERE parent < 0",
      "DELETE FROM child WHERE child < 0",
      "DELETE FROM child WHERE child = 2",
    ]
  ) {
    await inDirectory(async (dir) => {
      const open = (days: number) => openStore(dir, { now: () => new Date(days * DAY) });
      {
        await using store = await open(0);
        for (let at = 0; at < 5; at++) await push(store, "app", `v${at}`, imageOf(2, at));
      }
      asked(dir, loss);
      ok(await faults(dir) > 0, loss);
      await faults(dir, true);
      equal(await faults(dir), 0, loss);
      {
        await using store = await open(2);
        await push(store, "app", "next", imageOf(2, 9));
        await store.gc();
      }
      equal(await faults(dir), 0, loss);
      await using store = await open(4);
      for (const tag of await Array.fromAsync(store.tags("app"))) {
        await store.deleteManifest("app", tag);
      }
      await store.gc();
      deepEqual(asked(dir, "SELECT * FROM child"), [], loss);
      deepEqual(asked(dir, "SELECT * FROM content"), [], loss);
    });
  }
});

Deno.test("a store of the version before is brought up: its rows are read, kept and collected as ever", async () => {
  await inDirectory(async (dir) => {
    const open = (days: number) => openStore(dir, { now: () => new Date(days * DAY) });
    await Deno.mkdir(dir, { mode: 0o700 });
    await makeMetadata(dir);
    await loadSqlite();
    await new Database(dir, false, "always", 4096).close();
    {
      // As version 3 wrote it: pages of 4096 bytes, and each image has rows of its own.
      await using store = await open(0);
      for (let at = 0; at < 4; at++) {
        await push(store, "app", `v${at}`, imageOf(0, at));
        await push(store, `one${at}`, "v", imageOf(0, at));
      }
    }
    deepEqual(asked(dir, "PRAGMA page_size"), [{ page_size: 4096 }]);
    asked(
      dir,
      `INSERT INTO child SELECT l.repository, l.parent, c.child FROM child l
       JOIN child c ON c.repository = l.repository AND c.parent = l.child WHERE l.child < 0`,
    );
    asked(dir, "DELETE FROM child WHERE child < 0 OR parent < 0");
    const before = asked(dir, "SELECT * FROM child ORDER BY repository, parent, child");
    equal(before.length, 8 * 5);
    asked(dir, "PRAGMA user_version = 3");
    {
      await using store = await openStore(dir, { readOnly: true });
      ok(await store.manifest("app", "v0"), "where nothing can be written it stays as it is");
      equal((await measureStore(dir)).manifests, 8);
      deepEqual(asked(dir, "PRAGMA user_version"), [{ user_version: 3 }]);
    }
    {
      await using store = await open(0);
      deepEqual(await Array.fromAsync(store.tags("app")), ["v0", "v1", "v2", "v3"]);
      deepEqual(asked(dir, "PRAGMA user_version"), [{ user_version: 4 }]);
      deepEqual(asked(dir, "SELECT * FROM child ORDER BY repository, parent, child"), before);
      for (let at = 4; at < 7; at++) await push(store, "app", `v${at}`, imageOf(0, at));
    }
    equal(await faults(dir), 0);
    const path = join(dir, "metadata.db");
    const bytes = await Deno.readFile(path);
    bytes[16]! ^= 0xff; // how long its pages are
    await Deno.writeFile(path, bytes.fill(0xee, 100, 120));
    ok(await faults(dir) > 0);
    await faults(dir, true);
    equal(await faults(dir), 0);
    await using store = await open(2);
    equal((await Array.fromAsync(store.tags("app"))).length, 7);
    await store.gc();
    for (const tag of ["v0", "v5"]) ok(await store.manifest("app", tag));
    for (const repository of await Array.fromAsync(store.repositories())) {
      for (const tag of await Array.fromAsync(store.tags(repository))) {
        await store.release(repository, tag);
      }
    }
    deepEqual(asked(dir, "SELECT * FROM child"), []);
    deepEqual(asked(dir, "SELECT * FROM content"), []);
  });
});
