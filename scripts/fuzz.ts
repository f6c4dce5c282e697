// deno-lint-ignore-file no-console
/** `deno task fuzz [minutes] [seed] [target]`: every fuzz target in turn, reproducible by its seed. */
import { fuzzChallenge, fuzzReference } from "../registry/client/fuzz_testing.ts";
import { fuzzTar } from "../registry/layer/fuzz_testing.ts";
import type { Span } from "../registry/span_testing.ts";
import { fuzzLauncherToml } from "./fuzz_launcher.ts";
import { fuzzDocuments, fuzzLabels, fuzzToml } from "./fuzz/documents.ts";
import { fuzzHeaders, fuzzHostileRegistry, fuzzHttp } from "./fuzz/registry.ts";
import { fuzzRequests } from "./fuzz/requests.ts";
import { fuzzStore } from "./fuzz/store.ts";
import { fuzzUploads } from "./fuzz/uploads.ts";

/** A target runs for some seconds and throws at its first find, naming the input. */
type Target = (span: Span, seed: number) => Promise<unknown> | unknown;

const TARGETS: Readonly<Record<string, Target>> = {
  "tar reader": fuzzTar,
  "WWW-Authenticate": fuzzChallenge,
  "image references": fuzzReference,
  "launcher TOML": (_, seed) => fuzzLauncherToml(seconds, seed),
  "manifests, indexes, configs": fuzzDocuments,
  "labels": fuzzLabels,
  "lifecycle TOML": fuzzToml,
  "headers and routes": fuzzHeaders,
  "HTTP/1.1": fuzzHttp,
  "requests to the server": fuzzRequests,
  "a hostile registry": fuzzHostileRegistry,
  "uploads to the server": fuzzUploads,
  "a damaged store": fuzzStore,
};

const minutes = Number(Deno.args[0] ?? "1");
const seed = Number(Deno.args[1] ?? Math.floor(Math.random() * 2 ** 31));
const only = Deno.args[2];
if (!(minutes > 0) || !Number.isInteger(seed) || (only !== undefined && !(only in TARGETS))) {
  console.error(
    `usage: deno task fuzz [minutes] [seed] [${Object.keys(TARGETS).join(" | ")}]`,
  );
  Deno.exit(3);
}
const chosen = Object.entries(TARGETS).filter(([name]) => only === undefined || name === only);
const seconds = minutes * 60 / chosen.length;
console.log(`seed ${seed}, ${seconds.toFixed(0)} s a target`);
let failed = 0;
for (const [name, target] of chosen) {
  try {
    const said = await target({ seconds }, seed);
    console.log(`${name}: ok${said === undefined ? "" : `, ${JSON.stringify(said)}`}`);
  } catch (error) {
    failed++;
    console.error(`${name}: FOUND (seed ${seed})`, error);
  }
}
console.log(`${chosen.length - failed} passed, ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
