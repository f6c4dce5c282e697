/** Phases and the registries they talk to: credentials, certificates, proxies. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { makePki } from "../../registry/client/pki_testing.ts";
import { serve } from "../../registry/server/serve.ts";
import { place } from "./place_testing.ts";
import { scene } from "./scene_testing.ts";

Deno.test("AU-4 AU-5 each registry gets its own credentials, and is asked for its own images only", async () => {
  await using at = await scene("0.13");
  await using app = await place(at.host, { user: "app" });
  await using run = await place(at.host, { user: "run" });
  await using cache = await place(at.host, { user: "cache" });
  const home = `${at.root}/home`;
  await Deno.mkdir(`${home}/.docker`, { recursive: true });
  const auth = (user: string) => btoa(`${user}:p`);
  // The environment wins over the file; what it does not name comes from there.
  const auths = { [app.host]: { auth: auth("wrong") }, [cache.host]: { auth: auth("cache") } };
  await Deno.writeTextFile(`${home}/.docker/config.json`, JSON.stringify({ auths }));
  const env = {
    HOME: home,
    CNB_REGISTRY_AUTH: JSON.stringify({
      [`https://${app.host}/v2/`]: `Basic ${auth("app")}`,
      [run.host]: `Basic ${auth("run")}`,
    }),
    CNB_RUN_IMAGE: `${run.host}/run:base`,
  };
  const flag = `-cache-image=${cache.host}/cache`;
  const steps = [
    ["analyze", [flag, `${app.host}/app`]],
    ["detect", []],
    ["restore", [flag]],
    ["build", []],
    ["export", [flag, `-launcher=${at.root}/launcher`, `${app.host}/app`]],
  ] as const;
  for (const [name, words] of steps) {
    const { code, text } = await at.phase(name, words, env);
    strictEqual(code, 0, `${name}: ${text}`);
  }
  ok(app.seen.some((line) => /^PUT \/v2\/app\/manifests\/latest app$/.test(line)));
  ok(cache.seen.some((line) => /^PUT \/v2\/cache\/manifests\/latest cache$/.test(line)));
  deepStrictEqual(
    run.seen.filter((line) => !line.startsWith("GET ") && !line.startsWith("HEAD ")),
    [],
  );
  ok(app.seen.every((line) => line.startsWith("GET /v2/ ") || line.includes("/v2/app/")));
  ok(cache.seen.every((line) => line.startsWith("GET /v2/ ") || line.includes("/v2/cache/")));
  // AU-1: a kind of value nobody knows ends the phase before any work.
  const bad = { ...env, CNB_REGISTRY_AUTH: JSON.stringify({ [app.host]: "Digest hush" }) };
  const { code, text } = await at.phase("analyze", [`${app.host}/app`], bad);
  strictEqual(code, 1);
  match(text, /^ERROR: failed to resolve keychain: /m);
  ok(!text.includes("hush"));
});

const pki = await makePki();

Deno.test({
  name:
    "IS-2 RG-12 certificates: of a named authority, or unchecked for the names that are said to be",
  ignore: pki === undefined,
  async fn() {
    await using at = await scene("0.13");
    await using secure = await place(at.host, { tls: pki!.server });
    const { host } = secure;
    const name = `${host}/team/app`;
    const analyze = (words: readonly string[], env: Readonly<Record<string, string>> = {}) =>
      at.phase("analyze", [`-run-image=${host}/run:base`, ...words, name], env);
    const refused = await analyze([]);
    strictEqual(refused.code, 32);
    match(refused.text, /its certificate is not trusted/);
    await Deno.writeTextFile(`${at.root}/ca.pem`, pki!.ca);
    await Deno.mkdir(`${at.root}/certs`);
    await Deno.writeTextFile(`${at.root}/certs/ca.pem`, pki!.ca);
    const rows: readonly (readonly [string, string[], Record<string, string>, number])[] = [
      ["SSL_CERT_FILE", [], { SSL_CERT_FILE: `${at.root}/ca.pem` }, 0],
      ["SSL_CERT_DIR", [], { SSL_CERT_DIR: `${at.root}/certs` }, 0],
      ["the host", [`-insecure-registry=${host}`], {}, 0],
      [
        "a prefix of each name",
        [`-insecure-registry=${host}/team`, `-insecure-registry=${host}/run`],
        {},
        0,
      ],
      ["the variable, a list", [], {
        CNB_INSECURE_REGISTRIES: `other.example,${host}/team,${host}/run`,
      }, 0],
      ["an empty flag is none", ["-insecure-registry="], {}, 32],
      ["a prefix of no name", [`-insecure-registry=${host}/other`], {}, 32],
    ];
    for (const [why, words, env, code] of rows) {
      const ended = await analyze(words, env);
      strictEqual(ended.code, code, `${why}: ${ended.text}`);
    }
  },
});

Deno.test("RG-12 a proxy of the usual variables is asked, except for what no_proxy names", async () => {
  await using at = await scene("0.13");
  const asked: string[] = [];
  await using proxy = await serve({
    fetch: (request) => {
      asked.push(request.url);
      return Promise.resolve(new Response("no", { status: 502 }));
    },
  }, { listen: { hostname: "127.0.0.1", port: 0 } });
  const env = { http_proxy: proxy.url, https_proxy: proxy.url, NO_PROXY: "127.0.0.1" };
  const near = await at.phase("analyze", [`${at.host}/app`], env);
  strictEqual(near.code, 0, near.text);
  strictEqual(asked.length, 0);
  const words = [`-run-image=${at.host}/run:base`, "far.invalid/app"];
  const far = await at.phase("analyze", words, env);
  strictEqual(far.code, 32);
  match(far.text, /proxy/);
});
