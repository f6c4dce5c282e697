import { equal } from "node:assert/strict";
import { fuzzDocuments, fuzzLabels, fuzzToml } from "./documents.ts";
import { fuzzHeaders, fuzzHostileRegistry, fuzzHttp } from "./registry.ts";
import { fuzzRequests } from "./requests.ts";
import { fuzzStore } from "./store.ts";
import { fuzzUploads } from "./uploads.ts";

/** Each about half a second of a quiet machine. */
const TARGETS = [
  { name: "M-08 documents", target: fuzzDocuments, times: 10_000 },
  { name: "M-09 labels", target: fuzzLabels, times: 2000 },
  { name: "lifecycle TOML", target: fuzzToml, times: 8000 },
  { name: "R-05 headers and routes", target: fuzzHeaders, times: 40_000 },
  { name: "N-11 HTTP/1.1", target: fuzzHttp, times: 6000 },
  { name: "S-API-10 requests to the server", target: fuzzRequests, times: 3000 },
  { name: "N-12 a hostile registry", target: fuzzHostileRegistry, times: 400 },
  { name: "R-13 uploads to the server", target: fuzzUploads, times: 200 },
  { name: "ST-05 a damaged store", target: fuzzStore, times: 20 },
];

for (const { name, target, times } of TARGETS) {
  Deno.test(`${name}: a moment of fuzzing finds nothing`, async () => {
    equal(await target({ times }, 1), times);
  });
}
