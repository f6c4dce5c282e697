/** What fsck finds, and what --repair does about it (ST-09, R-12, X-15). */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Digest, digestOf, hexOf } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { describeBytes, pushSampleImage, sampleBytes } from "../registry_suite_testing.ts";
import { readAll } from "../source.ts";
import { tempDir } from "../temp_testing.ts";
import { checkStore } from "./fsck.ts";
import type { CheckReport, Finding } from "./fsck_check.ts";
import { PAGE_BYTES, type Row } from "./database.ts";
import { openStore } from "./store.ts";
import { measureStore } from "./usage.ts";

const LARGE = 100_000;
const LAYER = digestOf(sampleBytes(LARGE, 1));

async function test(name: string, body: (dir: string) => Promise<void>): Promise<void> {
  await Deno.test(`store: ${name}`, async () => {
    await using temp = await tempDir();
    const top = temp.path;
    const dir = join(top, "store");
    await push(dir);
    await body(dir);
  });
}

async function push(dir: string): Promise<void> {
  await using store = await openStore(dir);
  await pushSampleImage(store, "app", { seed: 1, size: LARGE, tags: ["v1"] });
  await pushSampleImage(store, "app", { seed: 2, size: 100, tags: ["v2"] });
}

function pathOf(dir: string, digest: Digest): string {
  const hex = hexOf(digest);
  return join(dir, "blobs/sha256", hex.slice(0, 2), hex);
}

async function check(
  dir: string,
  repair = false,
): Promise<{ kinds: string[]; report: CheckReport; findings: Finding[] }> {
  const findings: Finding[] = [];
  const report = await checkStore(dir, { repair, onFinding: (one) => findings.push(one) });
  return { kinds: findings.map(({ kind }) => kind), report, findings };
}

/** Finds `kinds`, changes nothing; with repair ends clean, or, with `left`, with what only a pull can mend. */
async function finds(dir: string, kinds: string[], left: string[] = []): Promise<Finding[]> {
  const before = await tree(dir);
  const seen = await check(dir);
  deepEqual(seen.kinds, kinds);
  deepEqual(await tree(dir), before, "a check without --repair changes nothing");
  const repaired = await check(dir, true);
  ok(repaired.findings.some(({ repair }) => repair !== undefined) || left.length > 0);
  const after = await check(dir);
  deepEqual(after.kinds, left);
  if (left.length === 0) return seen.findings;
  await push(dir); // the next pull or build
  deepEqual((await check(dir)).kinds, []);
  await using store = await openStore(dir);
  deepEqual(await readAll((await store.blob("app", LAYER))!, LARGE), sampleBytes(LARGE, 1));
  return seen.findings;
}

async function tree(dir: string, below = ""): Promise<string[]> {
  const lines: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(dir, below))) {
    const path = join(below, name);
    if (/metadata\.db-/.test(path)) continue; // comes and goes with each opening
    if (isDirectory) lines.push(...await tree(dir, path));
    const info = await Deno.lstat(join(dir, path));
    lines.push(`${path} ${info.mode} ${info.isDirectory ? "" : info.size}`);
  }
  return lines.sort();
}

async function sql(dir: string, text: string): Promise<void> {
  const db = new DatabaseSync(join(dir, "metadata.db"));
  db.exec(text);
  db.close();
  await Promise.resolve();
}

async function overwrite(path: string, bytes: Uint8Array): Promise<void> {
  await Deno.chmod(path, 0o600);
  await Deno.writeFile(path, bytes);
  await Deno.chmod(path, 0o444);
}

test("ST-09 a sound store has no findings", async (dir) => {
  const { report, kinds } = await check(dir);
  deepEqual(kinds, []);
  equal(report.contents, 6);
  equal(report.faults + report.notes, 0);
});

test("ST-09 R-12 a digest mismatch: quarantined, and the next pull brings it back", async (dir) => {
  const bytes = sampleBytes(LARGE, 1);
  bytes[5]! ^= 1;
  await overwrite(pathOf(dir, LAYER), bytes);
  await finds(dir, ["digest"], ["absent", "child"]);
  deepEqual(await Deno.readFile(join(dir, "quarantine", hexOf(LAYER))), bytes);
});

test("ST-09 a wrong size", async (dir) => {
  await overwrite(pathOf(dir, LAYER), sampleBytes(LARGE, 1).subarray(1));
  await finds(dir, ["size", "child"], ["absent", "child"]);
});

test("ST-09 a blob that is gone names the image that misses it", async (dir) => {
  await Deno.remove(pathOf(dir, LAYER));
  const [absent, child] = await finds(dir, ["absent", "child"], ["absent", "child"]);
  ok(absent?.problem.includes("app:v1"), absent?.problem);
  equal(child?.subject, "app:v1");
});

test("ST-09 an orphan is no fault, and goes to the quarantine", async (dir) => {
  const stray = pathOf(dir, digestOf(sampleBytes(9, 9)));
  await Deno.mkdir(join(stray, ".."), { recursive: true, mode: 0o700 });
  await Deno.writeFile(stray, sampleBytes(9, 9), { mode: 0o444 });
  equal((await check(dir)).report.faults, 0);
  await finds(dir, ["orphan"]);
  equal((await Deno.stat(join(dir, "quarantine", hexOf(digestOf(sampleBytes(9, 9)))))).size, 9);
});

test("ST-09 a dangling name is written down before it goes", async (dir) => {
  await sql(
    dir,
    "DELETE FROM manifest WHERE content IN (SELECT content FROM tag WHERE name = 'v2')",
  );
  const [finding] = await finds(dir, ["dangling"]);
  equal(finding?.subject, "app:v2");
  ok(/tag app:v2/.test(await Deno.readTextFile(join(dir, "quarantine/removed.txt"))));
});

test("ST-09 a document whose bytes changed", async (dir) => {
  await sql(
    dir,
    `UPDATE content SET bytes = CAST(replace(CAST(bytes AS TEXT), 'amd64', 'amd46') AS BLOB)
     WHERE id IN (SELECT child FROM child WHERE parent IN (SELECT content FROM tag WHERE name = 'v1'))`,
  );
  await finds(dir, ["digest"], ["absent", "child"]);
});

test("ST-09 what a collector would not know is recorded again", async (dir) => {
  await sql(dir, "DELETE FROM child");
  await finds(dir, ["child", "child", "child", "child"]);
});

test("ST-09 a tag whose record changed is no answer", async (dir) => {
  await sql(
    dir,
    "UPDATE tag SET content = (SELECT content FROM tag WHERE name = 'v2') WHERE name = 'v1'",
  );
  {
    await using store = await openStore(dir);
    for (const ask of [() => store.manifest("app", "v1"), () => store.stat("app", "v1")]) {
      await rejects(ask, (error) => isOciError(error, "UNAVAILABLE"));
    }
  }
  deepEqual((await check(dir)).kinds, ["metadata"]);
  await push(dir);
  deepEqual((await check(dir)).kinds, []);
});

test("ST-09 damaged metadata is told, and the blobs are still looked at", async (dir) => {
  const path = join(dir, "metadata.db");
  const bytes = await Deno.readFile(path);
  await overwrite(pathOf(dir, LAYER), sampleBytes(LARGE, 3));
  await Deno.writeFile(path, bytes.fill(0xff, 0, 50));
  deepEqual((await check(dir)).kinds, ["metadata", "digest"]);
  equal((await check(dir)).report.faults, 2);
});

test("ST-09 metadata that is none any more: kept aside, and no blob has to be sent again", async (dir) => {
  const path = join(dir, "metadata.db");
  const bytes = await Deno.readFile(path);
  await Deno.writeFile(path, bytes.fill(0xff, 0, 50));
  const { kinds, report } = await check(dir, true);
  deepEqual([kinds, report.faults], [["metadata"], 0]);
  deepEqual((await check(dir)).kinds, []);
  deepEqual(await Deno.readFile(join(dir, "quarantine/metadata.db")), bytes);
  await using store = await openStore(dir);
  const unread = { size: LARGE, open: () => Promise.reject(new Error("opened")) };
  const layer = describeBytes(sampleBytes(LARGE, 1));
  equal(await store.pushBlob("app", layer, unread), "exists");
  deepEqual(await Array.fromAsync(store.tags("app")), ["v1", "v2"]);
});

test("ST-09 metadata with a damaged page: what is around it stays", async (dir) => {
  {
    await using store = await openStore(dir);
    for (let seed = 10; seed < 200; seed++) {
      await pushSampleImage(store, "app", { seed, size: 2000, tags: [`t${seed}`] });
    }
  }
  await using other = await openStore(dir);
  await other[Symbol.asyncDispose]();
  const path = join(dir, "metadata.db");
  const whole = await Deno.readFile(path);
  const kept: number[] = [];
  for (let page = PAGE_BYTES * 5; page < whole.length; page += PAGE_BYTES * 12) {
    await Deno.writeFile(path, whole.slice().fill(0xee, page, page + PAGE_BYTES));
    if ((await check(dir)).report.faults === 0) continue; // a free page
    const { findings } = await check(dir, true);
    ok(/records brought over|indexes/.test(findings[0]?.repair ?? ""), JSON.stringify(findings[0]));
    await check(dir, true);
    const { kinds } = await check(dir); // what an image lost is told until it is pulled again
    ok(kinds.every((kind) => kind === "child" || kind === "absent"), `page ${page}: ${kinds}`);
    await using store = await openStore(dir);
    kept.push((await Array.fromAsync(store.tags("app")).catch(() => [])).length);
  }
  ok(kept.length > 3 && kept.filter((tags) => tags > 90).length * 2 > kept.length, `${kept}`);
});

for (
  const at of [16, 18, 28, 31, 60, 68, 100, 110].concat(
    [1, 2, 3, 4, 5, 7, 11].map((page) => page * PAGE_BYTES),
  )
) {
  test(`ST-09 byte ${at} of the metadata is damaged: all comes back`, async (dir) => {
    const path = join(dir, "metadata.db");
    const bytes = await Deno.readFile(path);
    bytes[at]! ^= 0xff;
    await Deno.writeFile(path, bytes);
    const seen = await check(dir);
    const repaired = await check(dir, true);
    if (seen.report.faults > 0 && !repaired.findings[0]?.repair?.includes("indexes")) {
      deepEqual(await Deno.readFile(join(dir, "quarantine/metadata.db")), bytes);
    }
    equal(repaired.report.faults, 0, JSON.stringify(repaired.findings));
    deepEqual((await check(dir)).kinds, []);
    await using store = await openStore(dir);
    deepEqual(await Array.fromAsync(store.tags("app")), ["v1", "v2"]);
    deepEqual(await readAll((await store.blob("app", LAYER))!, LARGE), sampleBytes(LARGE, 1));
  });
}

test("ST-09 the page that leads to all documents is noise: all comes back", async (dir) => {
  {
    await using store = await openStore(dir);
    for (let seed = 10; seed < 60; seed++) {
      await pushSampleImage(store, "app", { seed, size: 3000, tags: [`t${seed}`] });
    }
  }
  const db = new DatabaseSync(join(dir, "metadata.db"));
  const row = db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'content'").get() as Row;
  const before = db.prepare("SELECT id, digest, size, bytes FROM content ORDER BY id").all();
  db.close();
  const root = PAGE_BYTES * (Number(row["rootpage"]) - 1);
  const path = join(dir, "metadata.db");
  const bytes = await Deno.readFile(path);
  equal(bytes[root], 0x05); // with pages below it, or this proves nothing
  await Deno.writeFile(path, bytes.fill(0xa7, root, root + PAGE_BYTES));
  const { report, findings } = await check(dir, true);
  equal(report.faults, 0, JSON.stringify(findings.filter(({ repair }) => repair === undefined)));
  deepEqual((await check(dir)).kinds, []);
  const after = new DatabaseSync(path);
  deepEqual(
    after.prepare("SELECT id, digest, size, bytes FROM content ORDER BY id").all(),
    before,
  );
  after.close();
});

test("ST-09 a document with one bit wrong is mended, a digest with a wrong character too", async (dir) => {
  const db = new DatabaseSync(join(dir, "metadata.db"));
  const before = db.prepare("SELECT id, digest, size, bytes FROM content ORDER BY id")
    .all() as Row[];
  for (const { id, digest, bytes } of before) {
    const damaged = bytes instanceof Uint8Array ? bytes.slice() : null;
    if (damaged !== null && Number(id) % 2 === 0) {
      damaged[17]! ^= 4;
      db.prepare("UPDATE content SET bytes = ? WHERE id = ?").run(damaged, id!);
    } else {
      const name = String(digest).replace(/..$/, "\u0016z");
      db.prepare("UPDATE content SET digest = ? WHERE id = ?").run(name, id!);
    }
  }
  db.close();
  ok((await check(dir)).report.faults >= before.length);
  const { report, findings } = await check(dir, true);
  equal(report.faults, 0, JSON.stringify(findings.filter(({ repair }) => repair === undefined)));
  deepEqual((await check(dir)).kinds, []);
  const mended = new DatabaseSync(join(dir, "metadata.db"));
  deepEqual(
    mended.prepare("SELECT id, digest, size, bytes FROM content ORDER BY id").all(),
    before,
  );
  mended.close();
});

test("ST-09 a manifest that is put aside is a fault in the very run that did it", async (dir) => {
  await sql(dir, "UPDATE content SET bytes = zeroblob(size) WHERE bytes IS NOT NULL");
  const { report, findings } = await check(dir, true);
  ok(report.faults >= 2);
  ok(findings.some(({ subject, kind }) => kind === "absent" && subject === "app:v1"));
  const after = await check(dir);
  ok(after.findings.some(({ problem }) => /wanted by app:v1$/.test(problem)));
});

test("ST-09 metadata without their last page lose only what was only remembered", async (dir) => {
  const path = join(dir, "metadata.db");
  await Deno.truncate(path, (await Deno.stat(path)).size - PAGE_BYTES);
  ok((await check(dir)).report.faults > 0);
  await check(dir, true);
  deepEqual((await check(dir)).kinds, []);
  await using store = await openStore(dir);
  deepEqual(await Array.fromAsync(store.tags("app")), ["v1", "v2"]);
});

test("ST-09 a repair that lost something says what, and is a fault", async (dir) => {
  const path = join(dir, "metadata.db");
  const bytes = await Deno.readFile(path);
  await Deno.writeFile(path, bytes.fill(0xee, PAGE_BYTES * 3, PAGE_BYTES * 4)); // the documents
  const { report, findings } = await check(dir, true);
  ok(report.faults > 0);
  const lost = findings.filter(({ repair }) => repair === undefined).map(({ problem }) => problem);
  ok(
    lost.some((said) => /documents .*are lost; .*kept as quarantine\/metadata.db/.test(said)),
    lost.join("\n"),
  );
  ok(lost.some((said) => /^2 tags are lost/.test(said)), lost.join());
  ok(/tag app:v1/.test(await Deno.readTextFile(join(dir, "quarantine/removed.txt"))));
  deepEqual((await check(dir)).report.faults, 0);
});

for (const empty of ["no bytes", "no tables"]) {
  test(`ST-09 metadata with ${empty} in a used store are no new store`, async (dir) => {
    const path = join(dir, "metadata.db");
    await Deno.truncate(path, 0);
    if (empty === "no tables") {
      const db = new DatabaseSync(path);
      db.exec("CREATE TABLE t (x); DROP TABLE t");
      db.close();
    }
    const before = await Deno.readFile(path);
    await rejects(
      () => openStore(dir),
      (error) => isOciError(error, "UNAVAILABLE") && /store fsck/.test(error.message),
    );
    equal((await check(dir)).report.faults, 1);
    if (empty === "no bytes") deepEqual(await Deno.readFile(path), before);
    const { report, findings } = await check(dir, true);
    ok(report.faults > 0, JSON.stringify(findings));
    equal((await check(dir)).report.faults, 0);
    await push(dir);
    deepEqual((await check(dir)).kinds, []);
  });
}

test("ST-09 metadata that others have open is not replaced", async (dir) => {
  const path = join(dir, "metadata.db");
  const bytes = await Deno.readFile(path);
  await using _other = await openStore(dir);
  await Deno.writeFile(path, bytes.fill(0xff, 0, 50));
  await rejects(() => checkStore(dir, { repair: true }), /another process has it open/);
});

test("ST-07 R-12 modes that let others in are told and put right", async (dir) => {
  await Deno.chmod(dir, 0o755);
  await Deno.chmod(join(dir, "metadata.db"), 0o644);
  await Deno.chmod(join(dir, "blobs/sha256"), 0o777);
  await Deno.chmod(pathOf(dir, LAYER), 0o666);
  await finds(dir, ["mode", "mode", "mode", "mode"]);
  equal((await Deno.stat(dir)).mode! & 0o777, 0o700);
  equal((await Deno.stat(pathOf(dir, LAYER))).mode! & 0o777, 0o444);
});

test("X-15 a link among the blobs is not followed, and told", async (dir) => {
  const secret = join(dir, "../secret");
  await Deno.writeFile(secret, sampleBytes(LARGE, 1));
  await Deno.remove(pathOf(dir, LAYER));
  await Deno.symlink(secret, pathOf(dir, LAYER));
  {
    await using store = await openStore(dir);
    equal(await store.blob("app", LAYER), undefined);
  }
  deepEqual((await check(dir)).kinds, ["foreign", "absent", "child"]);
});

test("R-12 metadata that is a link is refused", async (dir) => {
  await Deno.rename(join(dir, "metadata.db"), join(dir, "../other.db"));
  await Deno.symlink(join(dir, "../other.db"), join(dir, "metadata.db"));
  await rejects(() => openStore(dir), (error) => isOciError(error, "DENIED"));
});

Deno.test({
  name: "store: R-12 a store behind another user's link is refused",
  ignore: Deno.uid() !== 0, // only root can give a link away
  async fn() {
    await using temp = await tempDir();
    const top = temp.path;
    await Deno.mkdir(join(top, "real"));
    await Deno.symlink(join(top, "real"), join(top, "link"));
    const { lchownSync } = await import("node:fs");
    lchownSync(join(top, "link"), 12345, 12345);
    await rejects(() => openStore(join(top, "link")), (error) => isOciError(error, "DENIED"));
    lchownSync(join(top, "link"), 0, 0);
    await (await openStore(join(top, "link")))[Symbol.asyncDispose]();
  },
});

test("df says what a collection would free", async (dir) => {
  const day = new Date(Date.now() + 24 * 60 * 60 * 1000);
  const before = await measureStore(dir, { now: day });
  equal(before.blobs.bytes, LARGE);
  equal(before.tags, 2);
  equal(before.reclaimable.bytes, 0);
  await using store = await openStore(dir, { now: () => day });
  await store.deleteManifest("app", "v1");
  const after = await measureStore(dir, { now: new Date() });
  equal(after.reclaimable.bytes, 0, "all is young");
  const { reclaimable } = await measureStore(dir, { now: day });
  const { bytes, blobs } = await store.gc();
  deepEqual(reclaimable, { count: blobs, bytes });
  ok(bytes > LARGE);
});
