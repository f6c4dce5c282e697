import assert from "node:assert/strict";
import { workerUrl } from "./worker_url.ts";

Deno.test("from source, a worker's address is its module", () => {
  const url = workerUrl("compress");
  assert.equal(url, new URL("./compress_worker.ts", import.meta.url).href);
  for (const one of [url, workerUrl("rebase")]) assert(Deno.statSync(new URL(one)).isFile);
});
