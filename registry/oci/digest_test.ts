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

Deno.test("a few small documents are hashed in a process that never loads Node's hash", async () => {
  const code = `
    import { digestOf } from ${JSON.stringify(new URL("./digest.ts", import.meta.url).href)};
    const seen = new Set();
    for (let at = 0; at < 40; at++) seen.add(digestOf(new Uint8Array([at])));
    console.log(seen.size, digestOf(new Uint8Array([7])) === digestOf(new Uint8Array([7])));
  `;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", "--ext=ts", code],
    cwd: new URL("../..", import.meta.url).pathname,
  }).output();
  equal(new TextDecoder().decode(stdout), "40 true\n");
});
