import { equal } from "node:assert/strict";
import { memoryRegistry } from "../../memory.ts";
import { createServer, type RequestEntry } from "../server.ts";
import { serve } from "../serve.ts";
import { isTrustable, remoteOf } from "./forwarded.ts";

const PROXIES = ["10.0.0.0/8", "fd00::/8"];

for (
  const [peer, header, wanted] of [
    ["10.0.0.1", "198.51.100.7", "198.51.100.7"],
    ["10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"],
    ["10.0.0.1", "198.51.100.7, 10.2.3.4", "198.51.100.7"],
    ["10.0.0.1", "10.9.9.9", "10.9.9.9"],
    ["fd00::1", "2001:db8::5", "2001:db8::5"],
    ["10.0.0.1", "", "10.0.0.1"],
    ["10.0.0.1", "unknown", "10.0.0.1"],
    ["10.0.0.1", "198.51.100.7, evil", "10.0.0.1"],
    ["10.0.0.1", null, "10.0.0.1"],
    ["192.0.2.1", "198.51.100.7", "192.0.2.1"],
    ["", "198.51.100.7", ""],
  ] as const
) {
  Deno.test(`S-API-7 from ${JSON.stringify(peer)} by way of ${header}: ${wanted}`, () => {
    equal(remoteOf(peer, header, PROXIES), wanted);
  });
}

Deno.test("S-API-7 a socket file has no address, and can be trusted all the same", () => {
  equal(remoteOf("", "198.51.100.7", ["unix"]), "198.51.100.7");
  equal(remoteOf("192.0.2.1", "198.51.100.7", ["unix"]), "192.0.2.1");
});

Deno.test("S-API-7 what can be trusted is a range", () => {
  for (const text of ["unix", "10.0.0.0/8", "127.0.0.1/32", "::1/128"]) {
    equal(isTrustable(text), true);
  }
  for (const text of ["", "10.0.0.1", "all", "10.0.0.0/99", "proxy.example/8"]) {
    equal(isTrustable(text), false, text);
  }
});

for (
  const [trustedProxies, wanted] of [[["127.0.0.0/8"], "198.51.100.7"], [[], "127.0.0.1"]] as const
) {
  Deno.test(`S-API-7 over a socket, trusting ${trustedProxies[0] ?? "nobody"}`, async () => {
    const entries: RequestEntry[] = [];
    const server = createServer(memoryRegistry(), { onRequest: (entry) => entries.push(entry) });
    const listen = { hostname: "127.0.0.1", port: 0 };
    await using listening = await serve(server, { listen, trustedProxies });
    const headers = { "x-forwarded-for": "198.51.100.7" };
    const response = await fetch(`${listening.url}/v2/`, { headers });
    await response.body?.cancel();
    equal(entries[0]?.remote, wanted);
  });
}
