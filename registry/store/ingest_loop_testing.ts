/**
 * A process to be killed: pushes images into the store `Deno.args[0]` until it dies, and prints
 * `<tag> <manifest digest>` for each when the store has acknowledged it.
 */
import { pushSampleImage } from "../registry_suite_testing.ts";
import { openStore } from "./store.ts";

const [dir = "", name = ""] = Deno.args;
const store = await openStore(dir);
const encoder = new TextEncoder();
for (let turn = 0;; turn++) {
  const tags = [`${name}-${turn}`, `${name}-latest`];
  const size = turn % 3 === 0 ? 500 : 70_000 + turn * 7919 % 900_000;
  const seed = turn + name.length * 100_000 + name.charCodeAt(0) * 1_000_000;
  const { digest } = await pushSampleImage(store, "app", { seed, size, tags });
  Deno.stdout.writeSync(encoder.encode(`${turn} ${digest}\n`));
}
