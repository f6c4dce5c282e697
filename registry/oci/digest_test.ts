import { equal } from "node:assert/strict";
import { Digester, digestOf } from "./digest.ts";
import { sampleBytes } from "../registry_suite_testing.ts";

Deno.test("digests are the same whoever makes them, from the first one on", async () => {
  for (const size of [0, 1, 55, 56, 63, 64, 65, 1000, 65_536, 65_537, 200_000]) {
    const bytes = sampleBytes(size, size + 1);
    for (const [algorithm, name] of [["sha256", "SHA-256"], ["sha512", "SHA-512"]] as const) {
      const right = new Uint8Array(await crypto.subtle.digest(name, bytes)).toHex();
      equal(digestOf(bytes, algorithm), `${algorithm}:${right}`, `${size} bytes`);
    }
  }
  // A view of a larger buffer, as parts of an answer are.
  const part = sampleBytes(100).subarray(7, 70);
  const right = new Uint8Array(await crypto.subtle.digest("SHA-256", part)).toHex();
  equal(digestOf(part), `sha256:${right}`);
  equal(new Digester().update(part).digest(), `sha256:${right}`);
});
