/** Run with `deno bench -A registry/store/store_bench.ts`; the numbers of docs/decision/0006-store.md. */
import { join } from "node:path";
import { pushSampleImage } from "../registry_suite_testing.ts";
import { createServer } from "../server/server.ts";
import { Database } from "./database.ts";
import { openStore } from "./store.ts";

const dir = await Deno.makeTempDir();
const store = await openStore(join(dir, "store"));
const server = createServer(store);
await pushSampleImage(store, "app", { tags: ["v1"] });
const db = new Database(join(dir, "store"), false);
let seed = 1;

Deno.bench("a transaction, not synced", () => {
  db.write(() => db.run("UPDATE content SET touched = touched + 1 WHERE id = 1"));
});

Deno.bench("a transaction, durable", async () => {
  db.write(() => db.run("UPDATE content SET touched = touched + 1 WHERE id = 1"));
  await db.durable();
});

Deno.bench("an image of small documents, durable", async () => {
  await pushSampleImage(store, "app", { seed: seed++, tags: ["latest"] });
});

Deno.bench("64 images of small documents at once, durable", async () => {
  await Promise.all(
    Array.from(
      { length: 64 },
      (_, at) => pushSampleImage(store, "app", { seed: seed++, tags: [`t${at}`] }),
    ),
  );
});

Deno.bench("a manifest by tag, from the store", async () => {
  await store.manifest("app", "v1");
});

Deno.bench("a manifest by tag, from the server without a socket", async () => {
  const request = new Request("http://registry.test/v2/app/manifests/v1");
  await (await server.fetch(request)).arrayBuffer();
});

globalThis.addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));
