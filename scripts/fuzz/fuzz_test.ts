import { ok } from "node:assert/strict";
import { fuzzDocuments, fuzzLabels, fuzzToml } from "./documents.ts";
import { fuzzHeaders, fuzzHostileRegistry, fuzzHttp } from "./registry.ts";
import { fuzzRequests } from "./requests.ts";
import { fuzzStore } from "./store.ts";
import { fuzzUploads } from "./uploads.ts";

const TARGETS = {
  "M-08 documents": fuzzDocuments,
  "M-09 labels": fuzzLabels,
  "lifecycle TOML": fuzzToml,
  "R-05 headers and routes": fuzzHeaders,
  "N-11 HTTP/1.1": fuzzHttp,
  "S-API-10 requests to the server": fuzzRequests,
  "N-12 a hostile registry": fuzzHostileRegistry,
  "R-13 uploads to the server": fuzzUploads,
  "ST-05 a damaged store": fuzzStore,
};

for (const [name, target] of Object.entries(TARGETS)) {
  Deno.test(`${name}: a second of fuzzing finds nothing`, async () => {
    ok(await target(1, 1) > 0);
  });
}
