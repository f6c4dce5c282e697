/** Long blobs on their way in: cut, killed, wanted by many (C-DL-03, C-DL-09). */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { join } from "node:path";
import { describeBytes, sampleBytes } from "../registry_suite_testing.ts";
import { type OpenOptions, readAll, type Source } from "../source.ts";
import { tempDir } from "../temp_testing.ts";
import { openStore } from "./store.ts";

const BYTES = sampleBytes(3_000_000, 5);
const BLOB = describeBytes(BYTES);

/** A source that ends with an error behind `cut` bytes, and tells from where it was read. */
function cutting(cut: number, bytes = BYTES): { readonly source: Source; readonly from: number[] } {
  const from: number[] = [];
  const open = ({ offset = 0 }: OpenOptions = {}) => {
    from.push(offset);
    let at = offset;
    return Promise.resolve(
      new ReadableStream<Uint8Array<ArrayBuffer>>({
        pull(controller) {
          if (at >= cut && cut < bytes.byteLength) throw new Error("cut");
          if (at >= bytes.byteLength) return controller.close();
          const end = Math.min(at + 65536, cut, bytes.byteLength);
          controller.enqueue(bytes.slice(at, end));
          at = end;
        },
      }, { highWaterMark: 0 }),
    );
  };
  return { source: { size: bytes.byteLength, open }, from };
}

async function inStore(body: (dir: string) => Promise<void>): Promise<void> {
  await using temp = await tempDir();
  const top = temp.path;
  await body(join(top, "store"));
}

async function waiting(dir: string): Promise<string[]> {
  return await Array.fromAsync(Deno.readDir(join(dir, "ingest")), ({ name }) => name);
}

async function holds(dir: string): Promise<void> {
  await using store = await openStore(dir);
  const blob = await store.blob("app", BLOB.digest);
  deepEqual(await readAll(blob!, BYTES.byteLength), BYTES);
}

Deno.test("store: C-DL-03 a blob that was cut goes on in another process where it ended", async () => {
  await inStore(async (dir) => {
    {
      await using store = await openStore(dir);
      await rejects(() => store.pushBlob("app", BLOB, cutting(2_000_000).source), /cut/);
      equal(await store.blob("app", BLOB.digest), undefined);
    }
    await using store = await openStore(dir);
    const { source, from } = cutting(Infinity);
    let progress = 0;
    const onProgress = (bytes: number) => progress += bytes;
    equal(await store.pushBlob("other", BLOB, source, { onProgress }), "uploaded");
    deepEqual([from, progress], [[2_000_000], BYTES.byteLength]);
    await store.pushBlob("app", BLOB, source);
    deepEqual(await waiting(dir), []);
    await holds(dir);
  });
});

Deno.test("store: C-DL-03 what an earlier try left may be wrong: it is read from the start, then", async () => {
  await inStore(async (dir) => {
    await using store = await openStore(dir);
    await rejects(() => store.pushBlob("app", BLOB, cutting(2_000_000).source), /cut/);
    const [name] = await waiting(dir);
    const path = join(dir, "ingest", name!);
    const left = await Deno.readFile(path);
    left[77]! ^= 1;
    await Deno.writeFile(path, left);
    const { source, from } = cutting(Infinity);
    await store.pushBlob("app", BLOB, source);
    deepEqual(from, [2_000_000, 0]);
    await holds(dir);
  });
});

Deno.test("store: C-DL-03 wrong bytes leave nothing to go on with", async () => {
  await inStore(async (dir) => {
    await using store = await openStore(dir);
    const other = cutting(Infinity, sampleBytes(BYTES.byteLength, 6));
    await rejects(() => store.pushBlob("app", BLOB, other.source), /have digest/);
    const short = { ...cutting(Infinity, BYTES.slice(0, 2_000_000)).source, size: BLOB.size };
    await rejects(() => store.pushBlob("app", BLOB, short), /it has 2000000 bytes/);
    deepEqual(await waiting(dir), []);
  });
});

Deno.test("store: C-DL-09 many want one blob at once: it is read once", async () => {
  await inStore(async (dir) => {
    await using store = await openStore(dir);
    const { source, from } = cutting(Infinity);
    const how = await Promise.all(
      ["app", "b", "app", "c"].map((name) => store.pushBlob(name, BLOB, source)),
    );
    deepEqual(from, [0]);
    deepEqual(how, ["uploaded", "mounted", "exists", "mounted"]);
    await holds(dir);
  });
});

Deno.test("store: C-DL-09 who waits goes on where the one before failed, or leaves when told to", async () => {
  await inStore(async (dir) => {
    await using store = await openStore(dir);
    const begun = Promise.withResolvers<void>();
    const stop = Promise.withResolvers<void>();
    const slow: Source = {
      size: BLOB.size,
      open: () =>
        Promise.resolve(
          new ReadableStream<Uint8Array<ArrayBuffer>>({
            async pull(controller) {
              controller.enqueue(BYTES.slice(0, 1_500_000));
              begun.resolve();
              await stop.promise;
              controller.error(new Error("cut"));
            },
          }, { highWaterMark: 0 }),
        ),
    };
    const first = store.pushBlob("app", BLOB, slow);
    first.catch(() => {});
    await begun.promise;
    const gone = new AbortController();
    const left = store.pushBlob("app", BLOB, slow, { signal: gone.signal });
    const { source, from } = cutting(Infinity);
    const next = store.pushBlob("app", BLOB, source);
    gone.abort(new Error("enough"));
    await rejects(left, /enough/);
    stop.resolve();
    await rejects(first, /cut/);
    equal(await next, "uploaded");
    deepEqual(from, [1_500_000]);
    await holds(dir);
  });
});

Deno.test("store: ST-02 two openings want one blob: both have it, and neither waits for the other", async () => {
  await inStore(async (dir) => {
    await using one = await openStore(dir);
    await using two = await openStore(dir);
    const sources = [cutting(Infinity), cutting(Infinity)] as const;
    const how = await Promise.all([
      one.pushBlob("app", BLOB, sources[0].source),
      two.pushBlob("app", BLOB, sources[1].source),
    ]);
    ok(how.every((said) => said === "uploaded" || said === "exists"), `${how}`);
    deepEqual(await waiting(dir), []);
    await holds(dir);
  });
});

Deno.test("store: ST-03 a pull that nobody goes on with is purged after a day, not before", async () => {
  await inStore(async (dir) => {
    {
      await using store = await openStore(dir);
      await rejects(() => store.pushBlob("app", BLOB, cutting(2_000_000).source), /cut/);
    }
    for (const [hours, left] of [[23, 1], [25, 0]] as const) {
      const now = () => new Date(Date.now() + hours * 3_600_000);
      await using _store = await openStore(dir, { now });
      equal((await waiting(dir)).length, left, `after ${hours} hours`);
    }
  });
});
