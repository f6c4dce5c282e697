// deno-lint-ignore-file no-console
/** `deno task fuzz [minutes] [seed]`: every fuzz target in turn, reproducible by its seed. */
import { fuzzChallenge, fuzzReference } from "../registry/client/fuzz_testing.ts";
import { fuzzTar } from "../registry/layer/fuzz_testing.ts";
import { fuzzLauncherToml } from "./fuzz_launcher.ts";

/** A target runs for some seconds and throws at its first find, naming the input. */
type Target = (seconds: number, seed: number) => Promise<unknown> | unknown;

const TARGETS: Readonly<Record<string, Target>> = {
  "tar reader": fuzzTar,
  "WWW-Authenticate": fuzzChallenge,
  "image references": fuzzReference,
  "launcher TOML": fuzzLauncherToml,
};

const minutes = Number(Deno.args[0] ?? "1");
const seed = Number(Deno.args[1] ?? Math.floor(Math.random() * 2 ** 31));
if (!(minutes > 0) || !Number.isInteger(seed)) {
  console.error("usage: deno task fuzz [minutes] [seed]");
  Deno.exit(3);
}
const seconds = minutes * 60 / Object.keys(TARGETS).length;
console.log(`seed ${seed}, ${seconds.toFixed(0)} s a target`);
let failed = 0;
for (const [name, target] of Object.entries(TARGETS)) {
  try {
    const said = await target(seconds, seed);
    console.log(`${name}: ok${said === undefined ? "" : `, ${JSON.stringify(said)}`}`);
  } catch (error) {
    failed++;
    console.error(`${name}: FOUND (seed ${seed})`, error);
  }
}
console.log(`${Object.keys(TARGETS).length - failed} passed, ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
