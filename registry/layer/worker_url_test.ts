import assert from "node:assert/strict";
import { workerUrl } from "./worker_url.ts";

Deno.test("from source, a worker's address is the file beside this one", () => {
  const url = workerUrl("compress");
  assert.equal(url, new URL("./compress_worker.ts", import.meta.url).href);
  assert(Deno.statSync(new URL(url)).isFile);
});
