/** The store when things go wrong: killed, full, cut short (ST-01, ST-03, ST-05, ST-06). */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { join } from "node:path";
import type { Digest } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { childrenOf, parseDocument } from "../oci/manifest.ts";
import { describeBytes, pushSampleImage, sampleBytes } from "../registry_suite_testing.ts";
import { bytesSource, readAll } from "../source.ts";
import { tempDir } from "../temp_testing.ts";
import { BlobFiles } from "./blob_files.ts";
import { checkStore } from "./fsck.ts";
import { openStore, type Store } from "./store.ts";

const CONFIG = new URL("../../deno.json", import.meta.url).pathname;
const LOOP = new URL("./ingest_loop_testing.ts", import.meta.url).pathname;

/** Runs the loop and kills it when it has acknowledged `after` pushes; what it acknowledged, in order. */
async function runAndKill(dir: string, name: string, after: number): Promise<Digest[]> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", CONFIG, LOOP, dir, name],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const acknowledged: Digest[] = [];
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) acknowledged.push(line.split(" ")[1] as Digest);
    if (acknowledged.length >= after) kill(child);
  }
  await child.status;
  return acknowledged;
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch { /* it is dead already */ }
}

/** Reads every image behind every tag to the last byte. */
async function checkAll(store: Store): Promise<number> {
  let checked = 0;
  for await (const tag of store.tags("app")) {
    const raw = await store.manifest("app", tag);
    ok(raw, `tag ${tag} leads nowhere`);
    for (const child of childrenOf(parseDocument(raw.bytes, raw.mediaType))) {
      const source = await store.blob("app", child.digest);
      ok(source, `blob ${child.digest} of ${tag} is gone`);
      equal((await readAll(source, child.size)).byteLength, child.size);
    }
    checked++;
  }
  return checked;
}

async function checkAcknowledged(
  store: Store,
  name: string,
  acknowledged: readonly Digest[],
): Promise<void> {
  for (const [turn, digest] of acknowledged.entries()) {
    equal((await store.stat("app", `${name}-${turn}`))?.digest, digest, `${name}-${turn}`);
  }
}

Deno.test("store: ST-01 ST-03 killed at any point, nothing acknowledged is lost, nothing partial is seen", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const path = join(dir, "store");
  const rounds = [1, 2, 5, 11].map((after, at) => ({ after, name: String.fromCharCode(97 + at) }));
  // Two at once on one store: the second round of each pair starts while the first is being killed.
  const done = new Map<string, Digest[]>();
  for (let at = 0; at < rounds.length; at += 2) {
    await Promise.all(
      rounds.slice(at, at + 2).map(async ({ name, after }) => {
        done.set(name, await runAndKill(path, name, after));
      }),
    );
    await using store = await openStore(path);
    for (const [name, acknowledged] of done) await checkAcknowledged(store, name, acknowledged);
    ok(await checkAll(store) > 0);
    for await (const shard of new BlobFiles(path).list()) {
      for (const { digest } of shard) {
        const file = await store.content(digest);
        if (file !== undefined) await readAll(file, file.size); // verified to its end
      }
    }
    // What was half way in waits in ingest/ and nowhere else; a collector takes it and hurts nobody.
    await store.gc();
    for (const [name, acknowledged] of done) await checkAcknowledged(store, name, acknowledged);
  }
});

Deno.test("store: ST-05 a torn or damaged end of the log loses only that end", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const path = join(dir, "store");
  const acknowledged = await runAndKill(path, "a", 12);
  const log = await Deno.readFile(join(path, "metadata.db-wal"));
  const database = await Deno.readFile(join(path, "metadata.db"));
  for (
    const damage of [
      (bytes: Uint8Array) => bytes.slice(0, bytes.length - 1),
      (bytes: Uint8Array) => bytes.slice(0, bytes.length - 5000),
      (bytes: Uint8Array) => {
        const changed = bytes.slice();
        changed[changed.length - 2000]! ^= 0x10;
        return changed;
      },
    ]
  ) {
    await Deno.remove(join(path, "metadata.db-shm")).catch(() => {});
    await Deno.writeFile(join(path, "metadata.db"), database);
    await Deno.writeFile(join(path, "metadata.db-wal"), damage(log));
    await using store = await openStore(path);
    // The last push is four transactions; what was acknowledged well before must be there.
    await checkAcknowledged(store, "a", acknowledged.slice(0, 8));
    await checkAll(store);
  }
});

Deno.test({
  name: "store: ST-06 on a read-only mount it reads, and says so when asked to write",
  ignore: Deno.uid() !== 0, // mounting needs root
  async fn() {
    const dir = await Deno.makeTempDir();
    if (!await mountSmall(dir)) return; // not allowed in this container
    try {
      const path = join(dir, "store");
      const store = await openStore(path);
      const image = await pushSampleImage(store, "app", { size: 100_000, tags: ["v1"] });
      await store[Symbol.asyncDispose]();
      const remount = new Deno.Command("mount", { args: ["-o", "remount,ro", dir] });
      ok((await remount.output()).success);
      await rejects(() => openStore(path), (error) => isOciError(error, "UNAVAILABLE"));
      await using reader = await openStore(path, { readOnly: true });
      deepEqual(await reader.stat("app", "v1"), image);
      await checkAll(reader);
      deepEqual((await checkStore(path)).faults, 0);
      await using asCan = await openStore(path, { orReadOnly: true });
      await using _lease = await asCan.lease();
      deepEqual(await asCan.stat("app", "v1"), image);
      await rejects(() => asCan.release("app", "v1"), /it is read-only/);
    } finally {
      await new Deno.Command("umount", { args: [dir] }).output();
      await Deno.remove(dir);
    }
  },
});

async function mountSmall(dir: string): Promise<boolean> {
  const command = new Deno.Command("mount", {
    args: ["-t", "tmpfs", "-o", "size=4m", "tmpfs", dir],
    stderr: "null",
  });
  try {
    return (await command.output()).success;
  } catch {
    return false;
  }
}

Deno.test({
  name:
    "store: ST-06 on a full disk it says so, keeps nothing by halves, and goes on when there is room",
  ignore: Deno.uid() !== 0, // mounting a small file system needs root
  async fn() {
    const dir = await Deno.makeTempDir();
    if (!await mountSmall(dir)) return; // not allowed in this container
    try {
      const store = await openStore(join(dir, "store"));
      try {
        const kept = await pushSampleImage(store, "app", { size: 100_000, tags: ["v1"] });
        const bytes = sampleBytes(6_000_000);
        const large = describeBytes(bytes);
        await rejects(() => store.pushBlob("app", large, bytesSource(bytes)), (error) => {
          ok(isOciError(error, "UNAVAILABLE") && error.status === 507, String(error));
          ok(/no space left/.test(error.message), error.message);
          return true;
        });
        equal(await store.blob("app", large.digest), undefined);
        deepEqual(await Array.fromAsync(Deno.readDir(join(dir, "store", "ingest"))), []);
        // Small ones go into the metadata: full there, too.
        let failed = false;
        for (let seed = 0; seed < 200 && !failed; seed++) {
          try {
            await pushSampleImage(store, "app", { seed, size: 60_000, tags: [`t${seed}`] });
          } catch (error) {
            ok(isOciError(error, "UNAVAILABLE"), String(error));
            failed = true;
          }
        }
        ok(failed);
        deepEqual(await store.stat("app", "v1"), kept);
        await checkAll(store);
        await store[Symbol.asyncDispose]();
        await using again = await openStore(join(dir, "store"));
        deepEqual(await again.stat("app", "v1"), kept);
        await checkAll(again);
      } finally {
        await store[Symbol.asyncDispose]();
      }
    } finally {
      await new Deno.Command("umount", { args: [dir] }).output();
      await Deno.remove(dir);
    }
  },
});

Deno.test({
  name: "store: ST-06 a disk that is full to the last byte can be emptied by removing images",
  ignore: Deno.uid() !== 0, // mounting a small file system needs root
  async fn() {
    const dir = await Deno.makeTempDir();
    if (!await mountSmall(dir)) return; // not allowed in this container
    try {
      const path = join(dir, "store");
      {
        await using store = await openStore(path);
        for (let seed = 1; seed < 4; seed++) {
          await pushSampleImage(store, "app", { seed, size: 300_000, tags: [`t${seed}`] });
        }
      }
      const fill = async (): Promise<void> => {
        using file = await Deno.open(join(dir, "fill"), { create: true, append: true });
        for (const block = new Uint8Array(4096);;) await file.write(block);
      };
      await rejects(fill);
      for (const tag of ["t1", "t2"]) {
        await using store = await openStore(path);
        const freed = await store.release("app", tag);
        ok((freed?.bytes ?? 0) > 300_000);
        await checkAll(store);
      }
      await Deno.remove(join(dir, "fill"));
      await using store = await openStore(path);
      await pushSampleImage(store, "app", { seed: 9, size: 300_000, tags: ["new"] });
      equal(await checkAll(store), 2);
    } finally {
      await new Deno.Command("umount", { args: [dir] }).output();
      await Deno.remove(dir);
    }
  },
});
