import { deepEqual, equal, rejects } from "node:assert/strict";
import { memoryRegistry } from "../../registry/memory.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { BaseLayers } from "./rebase_layers.ts";

Deno.test("demand 30: tags of one image share its config: pushed once, however many want it, and anew where that failed", async () => {
  const [layers, to] = [new BaseLayers(), memoryRegistry()];
  const digest = digestOf(new TextEncoder().encode("config"));
  const pushing = Promise.withResolvers<void>();
  let [pushed, left] = [0, 0];
  const one = (push: () => Promise<unknown>, repository = "app") =>
    layers.config(to, repository, digest, push, () => void left++);
  const all = Array.from({ length: 5 }, () =>
    one(() => {
      pushed++;
      return pushing.promise;
    }));
  deepEqual([pushed, left], [1, 0]);
  pushing.resolve();
  await Promise.all(all);
  deepEqual([pushed, left], [1, 4], "the push itself says when it has left");
  const fails = () => Promise.reject(new Error("no"));
  await rejects(one(fails, "other"), /no/);
  let again = 0;
  await one(() => Promise.resolve(again++), "other");
  equal(again, 1);
});
