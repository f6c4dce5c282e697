import assert from "node:assert/strict";
import {
  formatTarget,
  parseTarget,
  redactUrl,
  resolveLocation,
  sameOrigin,
  withQuery,
} from "./url.ts";

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
