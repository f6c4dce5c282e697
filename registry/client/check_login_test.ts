import assert from "node:assert/strict";
import { checkLogin } from "./check_login.ts";
import type { Credential } from "./options.ts";
import { errorBody, quirkServer } from "./quirk_testing.ts";

const GOOD: Credential = { kind: "basic", username: "u", password: "canary-good" };
const BAD: Credential = { kind: "basic", username: "u", password: "canary-bad" };
const HEADER = `Basic ${btoa("u:canary-good")}`;
const options = { retry: { baseMs: 1 } };

Deno.test("C-CRED-07 a password is tried before it is kept: Basic", async () => {
  await using server = quirkServer(({ headers }) =>
    headers.get("authorization") === HEADER
      ? new Response("{}")
      : errorBody(401, "UNAUTHORIZED", "no", { "www-authenticate": `Basic realm="r"` })
  );
  assert.equal(await checkLogin(server.host, GOOD, options), true);
  await assert.rejects(() => checkLogin(server.host, BAD, options), (error: Error) => {
    assert.match(error.message, /^Cannot log in to 127\.0\.0\.1:\d+: /);
    assert.doesNotMatch(JSON.stringify([error.message, String(error.cause)]), /canary/);
    return true;
  });
});

Deno.test("C-CRED-07 a password is tried before it is kept: a token server", async () => {
  await using tokens = quirkServer(({ headers }) =>
    headers.get("authorization") === HEADER
      ? Response.json({ token: "t" })
      : errorBody(401, "UNAUTHORIZED", "no")
  );
  await using server = quirkServer(({ headers }) =>
    headers.get("authorization") === "Bearer t" ? new Response("{}") : new Response(null, {
      status: 401,
      headers: { "www-authenticate": `Bearer realm="http://${tokens.host}/t",service="s"` },
    })
  );
  assert.equal(await checkLogin(server.host, GOOD, options), true);
  await assert.rejects(() => checkLogin(server.host, BAD, options), { code: "UNAUTHORIZED" });
});

Deno.test("C-CRED-07 a registry that lets everybody in may still know a wrong password", async () => {
  await using strict = quirkServer(({ headers }) => {
    const seen = headers.get("authorization");
    return new Response(null, { status: seen === null || seen === HEADER ? 200 : 401 });
  });
  assert.equal(await checkLogin(strict.host, GOOD, options), false);
  await assert.rejects(
    () => checkLogin(strict.host, BAD, options),
    /refused the password \(401\)$/,
  );
});
