/** tokens as attackers make them. */
import { Buffer } from "node:buffer";
import { createHmac, generateKeyPairSync, randomBytes } from "node:crypto";
import { deepEqual, equal, match, notEqual, ok, rejects, throws } from "node:assert/strict";
import { join } from "node:path";
import { exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from "jose";
import { tempDir } from "../../temp_testing.ts";
import { Tokens } from "./token.ts";
import { newTokenKey, openTokenKey, parsePublicKeys } from "./token_key.ts";

const NOW = Date.UTC(2026, 0, 1);
const SECONDS = NOW / 1000;
const ACCESS = [{ type: "repository", name: "app", actions: ["pull"] }];
const CLAIMS = {
  iss: "https://issuer.test",
  aud: "registry",
  sub: "ci",
  exp: SECONDS + 60,
  nbf: SECONDS,
  access: ACCESS,
};

interface Signer {
  readonly jwk: JWK;
  readonly pem: string;
  sign(claims: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>;
}

async function signer(alg: string): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return {
    jwk: { ...await exportJWK(publicKey), alg },
    pem: await exportSPKI(publicKey),
    sign: (claims, header = {}) =>
      new SignJWT(claims).setProtectedHeader({ alg, ...header }).sign(privateKey),
  };
}

function trusting(keys: readonly JWK[], now = NOW): Tokens {
  return new Tokens({
    service: "registry",
    trusted: { issuer: CLAIMS.iss, keys },
    now: () => now,
  });
}

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

Deno.test("S-AUTH a token of ours comes back as it was given out, until it ends", async () => {
  let now = NOW;
  const tokens = new Tokens({ service: "registry", key: newTokenKey(), now: () => now });
  const { token, expiresIn, issuedAt } = await tokens.issue("alice", ACCESS);
  equal(expiresIn, 300);
  equal(issuedAt, "2026-01-01T00:00:00.000Z");
  deepEqual(await tokens.verify(token), { kind: "issued", name: "alice", access: ACCESS });
  const unknown = await tokens.issue(undefined, []);
  deepEqual(await tokens.verify(unknown.token), { kind: "issued", name: undefined, access: [] });
  now += 304_000;
  notEqual(await tokens.verify(token), undefined, "clocks differ a little");
  now += 2_000;
  equal(await tokens.verify(token), undefined);
  now = NOW - 10_000;
  equal(await tokens.verify(token), undefined, "not good yet");
});

for (const alg of ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"]) {
  Deno.test(`S-AUTH ${alg} tokens of a trusted issuer are taken`, async () => {
    const { jwk, pem, sign } = await signer(alg);
    const token = await sign(CLAIMS);
    const wanted = { kind: "trusted", name: "ci", access: ACCESS };
    deepEqual(await trusting([jwk]).verify(token), wanted);
    deepEqual(await trusting(parsePublicKeys(pem, "key.pem")).verify(token), wanted, "PEM");
    const set = JSON.stringify({ keys: [{ ...jwk, kid: "one" }] });
    const named = trusting(parsePublicKeys(set, "jwks.json"));
    deepEqual(await named.verify(await sign(CLAIMS, { kid: "one" })), wanted);
    equal(await named.verify(await sign(CLAIMS, { kid: "two" })), undefined);
  });
}

Deno.test("R-04 alg none, in every spelling, is refused", async () => {
  const { jwk } = await signer("ES256");
  const key = newTokenKey();
  const both = new Tokens({
    service: "registry",
    key,
    trusted: { issuer: CLAIMS.iss, keys: [jwk] },
    now: () => NOW,
  });
  const unsecured = new UnsecuredJWT(CLAIMS).encode();
  equal(await both.verify(unsecured), undefined);
  for (const alg of ["none", "None", "NONE", "nOnE", "", undefined]) {
    for (const signature of ["", "AAAA"]) {
      for (const iss of [CLAIMS.iss, "wherry"]) {
        const token = `${part({ alg, typ: "JWT" })}.${part({ ...CLAIMS, iss })}.${signature}`;
        equal(await both.verify(token), undefined, `${alg}`);
      }
    }
  }
});

Deno.test("R-04 another key, a changed claim, a cut signature are refused", async () => {
  const [ours, theirs] = [await signer("ES256"), await signer("ES256")];
  const tokens = trusting([ours.jwk]);
  equal(await tokens.verify(await theirs.sign(CLAIMS)), undefined);
  const token = await ours.sign(CLAIMS);
  const [head, , signature] = token.split(".");
  const more = part({ ...CLAIMS, access: [{ ...ACCESS[0], actions: ["*"] }] });
  equal(await tokens.verify(`${head}.${more}.${signature}`), undefined);
  equal(await tokens.verify(token.slice(0, -10)), undefined);
  equal(await tokens.verify(`${head}.${token.split(".")[1]}.`), undefined);
  for (const odd of ["", ".", "..", "...", "a.b.c", token + ".", " " + token, "é.é.é"]) {
    equal(await tokens.verify(odd), undefined, odd);
  }
  equal(await tokens.verify("a".repeat(20_000)), undefined);
});

Deno.test("R-04 a public key is never taken for the secret of a MAC", async () => {
  for (const alg of ["RS256", "ES256"]) {
    const { jwk, pem } = await signer(alg);
    for (const iss of [CLAIMS.iss, "wherry"]) {
      const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ ...CLAIMS, iss })}`;
      for (const secret of [pem, pem.trim(), JSON.stringify(jwk), ""]) {
        const mac = createHmac("sha256", secret).update(signed).digest("base64url");
        equal(await trusting([jwk]).verify(`${signed}.${mac}`), undefined);
      }
    }
  }
});

Deno.test("R-04 a trusted issuer cannot speak as ourselves, nor we as it", async () => {
  const { jwk, sign } = await signer("ES256");
  const key = newTokenKey();
  const tokens = new Tokens({
    service: "registry",
    key,
    trusted: { issuer: CLAIMS.iss, keys: [jwk] },
    now: () => NOW,
  });
  equal(await tokens.verify(await sign({ ...CLAIMS, iss: "wherry" })), undefined);
  const mac = await new SignJWT(CLAIMS).setProtectedHeader({ alg: "HS256" }).sign(key.secret);
  equal(await tokens.verify(mac), undefined);
  const other = new Tokens({ service: "registry", key: newTokenKey(), now: () => NOW });
  equal(await other.verify((await tokens.issue("a", [])).token), undefined, "another server's");
  const elsewhere = new Tokens({ service: "other", key, now: () => NOW });
  equal(await tokens.verify((await elsewhere.issue("a", [])).token), undefined, "another service");
});

Deno.test("R-04 CVE-2025-24976: keys inside the token are not looked at", async () => {
  const [ours, theirs] = [await signer("RS256"), await signer("RS256")];
  const tokens = trusting([{ ...ours.jwk, kid: "one" }]);
  for (
    const header of [
      { jwk: theirs.jwk },
      { jwk: theirs.jwk, kid: "one" },
      { jku: "http://127.0.0.1:1/keys", kid: "one" },
      { x5u: "http://127.0.0.1:1/cert", kid: "one" },
      { x5c: ["AAAA"], kid: "one" },
      { kid: "../../etc/passwd" },
      { crit: ["exp"], exp: SECONDS + 1000 },
    ]
  ) {
    equal(await tokens.verify(await theirs.sign(CLAIMS, header).catch(() => "")), undefined);
  }
});

Deno.test("R-04 missing, old and wrong claims are refused", async () => {
  const { jwk, sign } = await signer("EdDSA");
  const tokens = trusting([jwk]);
  const { exp: _exp, ...endless } = CLAIMS;
  const { aud: _aud, ...forAll } = CLAIMS;
  const { iss: _iss, ...byNobody } = CLAIMS;
  const rows: Readonly<Record<string, Record<string, unknown>>> = {
    "no exp": endless,
    "no aud": forAll,
    "no iss": byNobody,
    "old": { ...CLAIMS, exp: SECONDS - 6 },
    "not yet": { ...CLAIMS, nbf: SECONDS + 60 },
    "exp is a word": { ...CLAIMS, exp: "tomorrow" },
    "aud of another": { ...CLAIMS, aud: "other" },
    "aud almost": { ...CLAIMS, aud: "registry2" },
    "iss of another": { ...CLAIMS, iss: "https://issuer.test.evil.test" },
    "sub is no text": { ...CLAIMS, sub: { a: 1 } },
    "access is no list": { ...CLAIMS, access: "repository:app:*" },
    "access without type": { ...CLAIMS, access: [{ name: "app", actions: ["*"] }] },
    "access too long": { ...CLAIMS, access: Array(2000).fill(ACCESS[0]) },
  };
  for (const [why, claims] of Object.entries(rows)) {
    equal(await tokens.verify(await sign(claims)), undefined, why);
  }
  ok(await tokens.verify(await sign({ ...CLAIMS, aud: ["other", "registry"] })), "one of several");
  ok(await tokens.verify(await sign({ ...CLAIMS, access: null })), "no access at all");
});

Deno.test("S-AUTH public keys that are secret, weak or unknown are refused", async () => {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const small = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey;
  const curve = generateKeyPairSync("x25519").publicKey;
  const rows: Readonly<Record<string, string>> = {
    "private PEM": privateKey.export({ type: "pkcs8", format: "pem" }) as string,
    "private JWK": JSON.stringify(privateKey.export({ format: "jwk" })),
    "shared secret": JSON.stringify({ kty: "oct", k: "AAAA", alg: "HS256" }),
    "weak": small.export({ type: "spki", format: "pem" }) as string,
    "key agreement": JSON.stringify(curve.export({ format: "jwk" })),
    "empty set": '{"keys":[]}',
    "no key": "hello",
    "half a key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "its alg is a MAC": JSON.stringify({ ...(await signer("RS256")).jwk, alg: "HS256" }),
  };
  for (const [why, text] of Object.entries(rows)) {
    throws(() => parsePublicKeys(text, "key"), (error: Error) => {
      match(error.message, /^Cannot read token key key: /, why);
      ok(error.message.length < 200, why);
      return true;
    }, why);
  }
});

Deno.test("S-AUTH the server key is made once, 0600, and found again", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const path = join(dir, "server", "key");
  const [one, two] = await Promise.all([openTokenKey(path), openTokenKey(path)]);
  deepEqual(one, two);
  equal(one.secret.length, 32);
  deepEqual(await openTokenKey(path), one);
  equal((await Deno.stat(path)).mode! & 0o777, 0o600);
  equal((await Deno.stat(join(dir, "server"))).mode! & 0o777, 0o700);
  deepEqual([...Deno.readDirSync(join(dir, "server"))].map(({ name }) => name), ["key"]);
  ok(!one.id.includes(Buffer.from(one.secret).toString("hex").slice(0, 8)));
  await Deno.chmod(path, 0o640);
  await rejects(openTokenKey(path), Deno.errors.PermissionDenied);
  await Deno.chmod(path, 0o600);
  const secret = randomBytes(16).toString("base64url");
  await Deno.writeTextFile(path, JSON.stringify({ kty: "oct", k: secret }));
  await rejects(openTokenKey(path), (error: Error) => {
    match(error.message, /want a JWK of 32 bytes/);
    ok(!error.message.includes(secret) && error.cause === undefined);
    return true;
  });
});
