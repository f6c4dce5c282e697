import assert from "node:assert/strict";
import fc from "fast-check";
import { inRange, isLoopbackName, nearnessOf } from "./address.ts";
import { parseProxy, proxyFor } from "./proxy.ts";
import { askedPause, Governor, isRetryableStatus, ownPause } from "./retry.ts";
import { coversScopes, mergeScopes, parseScopes, repositoryScope, resourceOf } from "./scope.ts";
import {
  formatTarget,
  parseTarget,
  redactUrl,
  resolveLocation,
  sameOrigin,
  withQuery,
} from "./url.ts";

Deno.test.each([
  ["8.8.8.8", 0],
  ["10.1.2.3", 1],
  ["172.16.0.1", 1],
  ["172.32.0.1", 0],
  ["192.168.1.1", 1],
  ["100.64.0.1", 1],
  ["127.0.0.1", 2],
  ["127.1", 2],
  ["2130706433", 2],
  ["0x7f.1", 2],
  ["0177.0.0.1", 2],
  ["0.0.0.0", 3],
  ["0", 3],
  ["169.254.169.254", 3],
  ["255.255.255.255", 3],
  ["::1", 2],
  ["::", 3],
  ["::ffff:127.0.0.1", 2],
  ["::ffff:7f00:1", 2],
  ["::127.0.0.1", 2],
  ["64:ff9b::a9fe:a9fe", 3],
  ["fe80::1", 3],
  ["fd00::1", 1],
  ["2001:db8::1", 0],
  ["ff02::1", 3],
  ["256.1.1.1", undefined],
  ["example.com", undefined],
  ["1.2.3.4.5", undefined],
  [":::", undefined],
  ["1:2:3:4:5:6:7:8:9", undefined],
])("N-04 nearness of %s", (address, wanted) => {
  assert.equal(nearnessOf(address as string), wanted);
});

Deno.test("C-CONN-01 names of this machine", () => {
  for (const name of ["localhost", "a.localhost", "127.0.0.1", "::1"]) {
    assert(isLoopbackName(name), name);
  }
  for (const name of ["10.0.0.1", "localhost.evil.com", "example.com", "0.0.0.0"]) {
    assert(!isLoopbackName(name), name);
  }
});

Deno.test("ranges", () => {
  assert(inRange("10.2.3.4", "10.0.0.0/8"));
  assert(!inRange("11.2.3.4", "10.0.0.0/8"));
  assert(inRange("192.168.1.129", "192.168.1.128/25"));
  assert(inRange("1.2.3.4", "0.0.0.0/0"));
  assert(inRange("fd00::5", "fd00::/8"));
  for (const range of ["10.0.0.0/33", "10.0.0.0/", "x/8", "10.0.0.0"]) {
    assert(!inRange("10.0.0.1", range));
  }
});

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

Deno.test("C-UP-03 addresses are kept byte for byte", () => {
  const base = parseTarget("https://r.io:5000/v2/a/../b?x=%2f");
  assert.equal(formatTarget(base), "https://r.io:5000/v2/a/../b?x=%2f");
  const follow = (location: string) => formatTarget(resolveLocation(base, location));
  assert.equal(follow("/u/1?_state=a+b/c==&d"), "https://r.io:5000/u/1?_state=a+b/c==&d");
  assert.equal(follow("?y"), "https://r.io:5000/v2/a/../b?y");
  assert.equal(follow("//s.io/x"), "https://s.io/x");
  assert.equal(follow("HTTP://S.io:80/x#f"), "http://s.io:80/x");
  assert.equal(follow("/a b\r\nx"), "https://r.io:5000/a%20b%0D%0Ax");
  for (
    const bad of [
      "javascript:1",
      "file:///x",
      "https://u@r.io/",
      "https:///x",
      "http://r.io:99999/",
    ]
  ) {
    assert.throws(() => follow(bad), TypeError, bad);
  }
  assert.equal(withQuery(base, "digest", "sha256:a").path, "/v2/a/../b?x=%2f&digest=sha256%3Aa");
  assert.equal(withQuery(parseTarget("http://h/p"), "digest", "d").path, "/p?digest=d");
  assert(sameOrigin(parseTarget("https://r.io/"), parseTarget("https://r.io:443/x")));
  assert(!sameOrigin(parseTarget("https://r.io/"), parseTarget("http://r.io/")));
  assert(!sameOrigin(parseTarget("https://r.io/"), parseTarget("https://r.io:444/")));
});

Deno.test("C-MISC-02 addresses for people hold no secret", () => {
  assert.equal(
    redactUrl("https://u:p@h/x?sig=hush&digest=d&scope=a&flag"),
    "https://***@h/x?sig=***&digest=d&scope=a&flag",
  );
});

Deno.test("C-AUTH-06, C-AUTH-07 scopes merge to one for each resource, in order", () => {
  assert.equal(repositoryScope("a", "push", "pull"), "repository:a:pull,push");
  assert.deepEqual(
    mergeScopes(["repository:a:push", "repository:b:pull"], [
      "repository:a:pull",
      "repository:b:pull",
    ]),
    ["repository:a:pull,push", "repository:b:pull"],
  );
  assert.deepEqual(parseScopes("repository:h:5000/a:pull  registry:catalog:* junk"), [
    "repository:h:5000/a:pull",
    "registry:catalog:*",
  ]);
  assert.equal(resourceOf("repository:h:5000/a:pull"), "repository:h:5000/a");
  assert(coversScopes(["repository:a:pull,push"], ["repository:a:pull"]));
  assert(!coversScopes(["repository:a:pull"], ["repository:a:pull,push"]));
  assert(!coversScopes(["repository:a:pull"], ["repository:ab:pull"]));
});

Deno.test("C-AUTH-06 property: a merge covers both", () => {
  const scope = fc.tuple(
    fc.constantFrom("a", "b", "c"),
    fc.subarray(["pull", "push", "delete"], { minLength: 1 }),
  )
    .map(([name, actions]) => repositoryScope(name, ...actions));
  fc.assert(fc.property(fc.array(scope), fc.array(scope), (a, b) => {
    const merged = mergeScopes(a, b);
    assert(coversScopes(merged, a) && coversScopes(merged, b));
    assert.equal(new Set(merged.map(resourceOf)).size, merged.length);
  }));
});

Deno.test("C-RETRY what is tried again, and when", () => {
  for (const status of [408, 429, 499, 500, 502, 503, 504, 522]) assert(isRetryableStatus(status));
  for (const status of [200, 400, 401, 403, 404, 405, 416, 501]) assert(!isRetryableStatus(status));
  const asked = (text: string) => askedPause(new Headers({ "retry-after": text }), 0);
  assert.equal(asked("5"), 5000);
  assert.equal(asked("Thu, 01 Jan 1970 00:00:03 GMT"), 3000);
  assert.equal(asked("soon"), undefined);
  for (let attempt = 1; attempt < 20; attempt++) {
    const pause = ownPause(attempt, { baseMs: 100, maxMs: 1000 });
    assert(pause >= 0 && pause <= Math.min(1000, 100 * 2 ** (attempt - 1)));
  }
});

Deno.test("C-RETRY the governor halves when pressed, rises when eased, and forgets who gave up", async () => {
  const governor = new Governor(4);
  const held = await Promise.all([
    governor.enter(),
    governor.enter(),
    governor.enter(),
    governor.enter(),
  ]);
  const controller = new AbortController();
  const gaveUp = governor.enter(controller.signal);
  let entered = false;
  const waiting = governor.enter().then((leave) => {
    entered = true;
    return leave;
  });
  controller.abort(new Error("no"));
  await assert.rejects(() => gaveUp, /no/);
  governor.press();
  assert.equal(governor.limit, 2);
  held[0]!();
  held[0]!();
  held[1]!();
  await Promise.resolve();
  assert.equal(entered, false);
  held[2]!();
  (await waiting)();
  held[3]!();
  governor.ease();
  governor.ease();
  assert.equal(governor.limit, 3);
});
