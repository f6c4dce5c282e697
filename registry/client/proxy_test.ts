import assert from "node:assert/strict";
import { parseProxy, proxyFor } from "./proxy.ts";
import { parseTarget } from "./url.ts";

Deno.test.each([
  ["*", true],
  ["r.io", true],
  ["R.IO", true],
  [".r.io", false],
  ["io", true],
  ["other.io, r.io", true],
  ["r.io:5000", true],
  ["r.io:5001", false],
  ["xr.io", false],
  ["10.0.0.0/8", false],
  ["", false],
])("N-14 NO_PROXY %s for r.io:5000", (no, exempt) => {
  const target = parseTarget("https://r.io:5000/");
  assert.equal(proxyFor(target, { https: "p:3128", no: no as string }) === undefined, exempt);
});

Deno.test("C-CONN-06 proxies", () => {
  const settings = { https: "http://u:p%3Aq@p.io:8080", http: "p.io" };
  assert.deepEqual(proxyFor(parseTarget("https://r.io/"), settings), {
    secure: false,
    hostname: "p.io",
    port: 8080,
    authorization: `Basic ${btoa("u:p:q")}`,
  });
  assert.deepEqual(proxyFor(parseTarget("http://r.io/"), settings), {
    secure: false,
    hostname: "p.io",
    port: 80,
  });
  assert.equal(proxyFor(parseTarget("https://localhost:5000/"), settings), undefined);
  assert.equal(
    proxyFor(parseTarget("http://10.1.1.1/"), { ...settings, no: "10.0.0.0/8" }),
    undefined,
  );
  assert.equal(
    proxyFor(parseTarget("http://a.sub.r.io/"), { ...settings, no: ".sub.r.io" }),
    undefined,
  );
  assert.throws(
    () => parseProxy("socks5://hush@x:1"),
    (error: Error) => !error.message.includes("hush"),
  );
});
