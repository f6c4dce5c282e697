import assert from "node:assert/strict";
import fc from "../oci/property_testing.ts";
import { chooseChallenge, parseChallenges } from "./challenge.ts";

const plain = (header: string) =>
  parseChallenges(header).map(({ scheme, params, token68 }) => ({
    scheme,
    ...Object.fromEntries(params),
    ...(token68 === undefined ? {} : { token68 }),
  }));

Deno.test.each([
  ["one bearer", 'Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"', [{
    scheme: "bearer",
    realm: "https://a/t",
    service: "s",
    scope: "repository:x:pull,push",
  }]],
  ["two in one header", 'Basic realm="x", Bearer realm="y",service="z"', [
    { scheme: "basic", realm: "x" },
    { scheme: "bearer", realm: "y", service: "z" },
  ]],
  ["token68 first", "Negotiate YWJj==, NTLM, BASIC realm=x", [
    { scheme: "negotiate", token68: "YWJj==" },
    { scheme: "ntlm" },
    { scheme: "basic", realm: "x" },
  ]],
  ["quoted pairs and commas", 'Bearer realm="a\\"b, c=\\\\d" , error = "e"', [
    { scheme: "bearer", realm: 'a"b, c=\\d', error: "e" },
  ]],
  ["forgotten quotes", "bearer realm=https://a/t?x=1,service=h:5000", [
    { scheme: "bearer", realm: "https://a/t?x=1", service: "h:5000" },
  ]],
  ["no parameters", "Basic", [{ scheme: "basic" }]],
  ["the first of equals", 'Basic realm="a", realm="b"', [{ scheme: "basic", realm: "a" }]],
  ["unterminated", 'Basic realm="abc', [{ scheme: "basic", realm: "abc" }]],
  ["prototype names", 'Basic __proto__="x"', [{ scheme: "basic", ["__proto__"]: "x" }]],
  ["nothing", " , ,", []],
  ["rubbish between", 'Basic realm="a", @@@, Bearer realm="b"', [
    { scheme: "basic", realm: "a" },
    { scheme: "bearer", realm: "b" },
  ]],
])("C-AUTH-01 %s", (_, header, wanted) => {
  assert.deepEqual(plain(header as string), wanted);
});

Deno.test("C-AUTH-01 the first of Bearer and Basic is taken, others are passed over", () => {
  const choose = (header: string) => chooseChallenge(parseChallenges(header))?.scheme;
  assert.equal(choose('Negotiate, Basic realm="x", Bearer realm="y"'), "basic");
  assert.equal(choose('Bearer realm="y", Basic realm="x"'), "bearer");
  assert.equal(choose('Bearer, Basic realm="x"'), "basic");
  assert.equal(choose("Digest a=b"), undefined);
});

Deno.test("C-AUTH-01 property: what is formatted by the rules is read back", () => {
  const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,8}$/);
  const challenge = fc.record({
    scheme: token,
    params: fc.uniqueArray(fc.tuple(token, fc.string({ maxLength: 20 })), {
      selector: ([name]) => name.toLowerCase(),
      maxLength: 4,
    }),
  });
  fc.assert(fc.property(fc.array(challenge, { maxLength: 4 }), (challenges) => {
    const header = challenges.map(({ scheme, params }) =>
      [
        scheme,
        params.map(([name, value]) => `${name}="${value.replace(/["\\]/g, "\\$&")}"`).join(", "),
      ]
        .join(" ").trim()
    ).join(", ");
    assert.deepEqual(
      parseChallenges(header).map(({ scheme, params }) => [scheme, [...params]]),
      challenges.map(({ scheme, params }) => [
        scheme.toLowerCase(),
        params.map(([name, value]) => [name.toLowerCase(), value]),
      ]),
    );
  }));
});
