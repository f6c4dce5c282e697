/** R-08: what images say of themselves is text on a page and nothing else; and pages show what one may read. */
import { hashSync } from "bcryptjs";
import { deepEqual, equal, match, ok } from "node:assert/strict";
import fc from "../../oci/property_testing.ts";
import { encodeJson } from "../../image.ts";
import { type MemoryRegistry, memoryRegistry } from "../../memory.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { MediaType } from "../../oci/media_type.ts";
import { pushBytes, pushSampleImage, sampleBytes } from "../../registry_suite_testing.ts";
import { Authority } from "../auth/authority.ts";
import { guard } from "../auth/guard.ts";
import { parseHtpasswd } from "../auth/htpasswd.ts";
import { Logins } from "../auth/login.ts";
import { parsePolicy } from "../auth/policy.ts";
import { createServer } from "../server.ts";
import { createSite } from "../site.ts";
import { createExplorer } from "./explorer.ts";
import { html, linked } from "./html.ts";
import type { BuildFacts } from "./build_part.ts";

const ATTACK = `"'><script>alert(1)</script><img src=x onerror=alert(2)>\u202e\u0000&amp;\``;

interface Seen {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

interface World {
  readonly registry: MemoryRegistry;
  get(path: string, user?: string, headers?: Record<string, string>): Promise<Seen>;
}

const HASHES = ["alice", "bob"].map((user) => `${user}:${hashSync(user, 4)}`).join("\n");

function world(policy?: string, build?: BuildFacts): World {
  const registry = memoryRegistry();
  const rules = policy === undefined ? undefined : parsePolicy(policy, "policy.toml");
  const users = parseHtpasswd(HASHES, "htpasswd");
  const authority = new Authority(
    rules === undefined ? {} : {
      logins: new Logins({ current: () => Promise.resolve(users) }, {
        wait: () => Promise.resolve(),
      }),
      policy: () => Promise.resolve(rules),
    },
  );
  const server = createServer(registry, {
    ...(rules ? { authorize: guard(registry, authority, new Uint8Array(32)) } : {}),
    site: createSite({
      authority,
      pages: createExplorer(registry, {
        authority,
        open: rules === undefined,
        host: () => "registry.test:5000",
        describe: build && (() => build),
      }),
    }),
    onError: (error) => {
      throw error;
    },
  });
  return {
    registry,
    async get(path, user, headers = {}) {
      const authorization = user === undefined ? {} : {
        authorization: `Basic ${btoa(`${user}:${user}`)}`,
      };
      const response = await server.fetch(
        new Request(`http://ignored.test${path}`, { headers: { ...headers, ...authorization } }),
      );
      return { status: response.status, headers: response.headers, text: await response.text() };
    },
  };
}

/** An image that says `said` wherever an image can say something. */
async function pushSaying(
  registry: MemoryRegistry,
  repository: string,
  said: string,
): Promise<Descriptor> {
  const layer = await pushBytes(registry, repository, sampleBytes(100), MediaType.ociLayer);
  const config = await pushBytes(
    registry,
    repository,
    encodeJson({
      architecture: said,
      os: said,
      created: said,
      config: {
        User: said,
        WorkingDir: said,
        Entrypoint: [said],
        Cmd: [said],
        Env: [`${said}=${said}`],
        Labels: { [said]: said, long: said.repeat(20), link: `javascript:${said}` },
      },
      rootfs: { type: "layers", diff_ids: [layer.digest] },
      history: [{ created_by: said, comment: said }],
    }),
    MediaType.ociConfig,
  );
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config,
    layers: [{ ...layer, annotations: { "org.opencontainers.image.title": said } }],
    annotations: { [said]: said },
  });
  const mediaType = MediaType.ociManifest;
  return await registry.pushManifest(repository, { mediaType, bytes }, { tags: ["v1"] });
}

const BUILD: BuildFacts = {
  stack: ATTACK,
  rebasable: false,
  rebasable_reason: ATTACK,
  base_image: { top_layer: ATTACK, reference: ATTACK },
  run_images: [{ name: ATTACK }],
  buildpacks: [
    { id: ATTACK, version: ATTACK, homepage: "javascript:alert(1)" },
    { id: "a", version: "1", homepage: 'https://x.test/"onmouseover="alert(1)' },
    { id: "b", version: "1", homepage: "https://buildpacks.test/b?x=1&y=2" },
  ],
  processes: [{
    type: ATTACK,
    command: ATTACK,
    default: true,
    args: [ATTACK],
    "working-dir": ATTACK,
  }],
};

/** Every tag of a page has one of the forms the templates write: text made none. */
function hasOnlyOurTags(text: string): void {
  const allowed = new Set(
    ("html head meta title link body header div a svg path form input button main section h1 h2 p br small dl dt dd " +
      "code table tr th td span rect details summary pre").split(" "),
  );
  for (const [tag, name = ""] of text.matchAll(/<\/?([^\s>/]*)[^>]*>?/g)) {
    if (tag.startsWith("<!doctype")) continue;
    ok(allowed.has(name), tag);
    ok(!/\son[a-z]+\s*=/i.test(tag.replaceAll(/"[^"]*"/g, '""')), tag);
  }
  // deno-lint-ignore no-control-regex
  ok(!/[\x00-\x08\u202e]/.test(text), "no control characters");
}

const targets = (text: string) =>
  [...text.matchAll(/(?:href|src|action)="([^"]*)"/g)].map(([, to]) => to!);

Deno.test("an image on no base says why it cannot be rebased, and has no empty rows", async () => {
  const build = { ...BUILD, run_images: [], rebasable_reason: "it stands on no run image" };
  const made = world(undefined, build);
  await pushSampleImage(made.registry, "app", { tags: ["1"] });
  const { text } = await made.get("/image/app:1");
  match(text, /Rebasable<\/dt>\s*<dd>no: it stands on no run image</);
  ok(!text.includes("Run image"), text);
});

Deno.test("R-08 an image full of markup is text on every page", async () => {
  const made = world(undefined, BUILD);
  const image = await pushSaying(made.registry, "evil/app", ATTACK);
  await pushSampleImage(made.registry, "evil/app", {
    more: { subject: image, artifactType: ATTACK, annotations: { [ATTACK]: ATTACK } },
  });
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType: MediaType.ociIndex,
    manifests: [
      { ...image, platform: { os: ATTACK, architecture: ATTACK }, artifactType: ATTACK },
    ],
    annotations: { [ATTACK]: ATTACK },
    artifactType: ATTACK,
  });
  const mediaType = MediaType.ociIndex;
  await made.registry.pushManifest("evil/app", { mediaType, bytes }, { tags: ["index"] });
  const paths = [
    "/",
    `/?q=${encodeURIComponent(ATTACK)}`,
    `/?after=${encodeURIComponent(ATTACK)}`,
    "/repository/evil/app",
    "/image/evil/app:v1",
    "/image/evil/app:index",
    `/image/evil/app@${image.digest}`,
  ];
  for (const path of paths) {
    const { status, text, headers } = await made.get(path);
    equal(status, 200, path);
    hasOnlyOurTags(text);
    for (const to of targets(text)) {
      ok(/^(\/|https:\/\/buildpacks\.test\/b\?x=1&amp;y=2$)/.test(to), to);
      ok(!to.startsWith("//"), to);
    }
    equal(
      headers.get("content-security-policy"),
      "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    );
    equal(headers.get("x-content-type-options"), "nosniff");
    equal(headers.get("referrer-policy"), "no-referrer");
    equal(headers.get("set-cookie"), null);
    equal(headers.get("content-length"), String(new TextEncoder().encode(text).byteLength));
  }
  const page = (await made.get("/image/evil/app:v1")).text;
  match(page, /&lt;script&gt;alert\(1\)&lt;\/script&gt;/);
  match(page, /javascript:alert\(1\)<\/td>/, "shown, not linked");
});

const MEAN = [
  ..."<>\"'`&;=/ax! \n\u0000\u202e\ud83d\ude00",
  "</p>",
  "<!--",
  "]]>",
  "&#60;",
  "https://",
];

Deno.test("R-08 whatever text is put into a template stays text", () => {
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...MEAN) }), (text) => {
    const { markup } = html`<p title="${text}">${text}</p>${linked(text)}`;
    const inner = /^<p title="([^"<>]*)">([^"'<>]*)<\/p>/.exec(markup);
    ok(inner, markup);
    hasOnlyOurTags(markup);
  }));
  equal(html`${"<"}${undefined}${false}${0}${["&", html`<b>`]}`.markup, "&lt;0&amp;<b>");
});

Deno.test("R-08 only plain web addresses become links", () => {
  const rows: readonly (readonly [string, boolean])[] = [
    ["https://a.test/x?y=1#z", true],
    ["HTTP://a.test", true],
    ["javascript:alert(1)", false],
    ["data:text/html,x", false],
    ["//a.test", false],
    ["/v2/", false],
    [" https://a.test", false],
    ["https://a.test/ x", false],
    ['https://a.test/"', false],
    ["https://", false],
    ["java\nscript:alert(1)", false],
  ];
  for (const [text, wanted] of rows) {
    equal(linked(text).markup.startsWith("<a "), wanted, text);
    if (wanted) match(linked(text).markup, / rel="noopener noreferrer nofollow"/);
  }
});

const POLICY = `
[[rule]]
repositories = ["public/**"]
anonymous = true
actions = ["read"]

[[rule]]
repositories = ["team/**"]
users = ["alice"]
actions = ["read"]
`;

Deno.test("S-AUTH pages show what the caller may read", async () => {
  const made = world(POLICY);
  for (const name of ["other/app", "public/app", "team/app"]) {
    await pushSampleImage(made.registry, name, { tags: ["v1"] });
  }
  const listed = async (user?: string) =>
    [...(await made.get("/", user)).text.matchAll(/href="\/repository\/([^"]+)"/g)].map((
      [, name],
    ) => name);
  deepEqual(await listed(), ["public/app"]);
  deepEqual(await listed("alice"), ["public/app", "team/app"]);
  deepEqual(await listed("bob"), ["public/app"]);
  match((await made.get("/")).text, /Log in/);
  match((await made.get("/", "alice")).text, /<span class="who">alice<\/span>/);
  for (const path of ["/repository/team/app", "/image/team/app:v1"]) {
    const nobody = await made.get(path);
    equal(nobody.status, 401);
    equal(nobody.headers.get("www-authenticate"), 'Basic realm="wherry"');
    ok(!nobody.text.includes("team"));
    equal((await made.get(path, "alice")).status, 200);
    const bob = await made.get(path, "bob");
    const absent = await made.get(path.replace("team", "public/no"), "bob");
    deepEqual([bob.status, bob.text], [absent.status, absent.text], "as though it were not there");
    equal(bob.status, 404);
  }
  equal((await made.get("/", "nobody")).status, 401, "a wrong login is not passed over");
  equal((await made.get("/-/login")).status, 401);
  const login = await made.get("/-/login", "alice");
  deepEqual([login.status, login.headers.get("location")], [303, "/"]);
});

Deno.test("S-AUTH where nothing is public the first page asks who it is", async () => {
  const made = world(
    '[[rule]]\nrepositories = ["**"]\nusers = ["alice"]\nactions = ["read"]\n',
  );
  equal((await made.get("/")).status, 401);
  equal((await made.get("/", "alice")).status, 200);
  equal((await made.get("/-/style.css")).status, 200);
});

Deno.test("S-AUTH lists come in pages and can be searched", async () => {
  const made = world();
  for (let at = 100; at < 350; at++) await pushSampleImage(made.registry, `app${at}`);
  const tags = Array.from({ length: 120 }, (_, at) => `v${100 + at}`);
  await pushSampleImage(made.registry, "app100", { tags });
  const walk = async (start: string, pattern: RegExp) => {
    const found: string[] = [];
    let pages = 0;
    for (let path: string | undefined = start; path !== undefined; pages++) {
      const { text } = await made.get(path);
      found.push(...[...text.matchAll(pattern)].map(([, name]) => name!));
      path = /class="more" href="([^"]+)"/.exec(text)?.[1]?.replaceAll("&amp;", "&");
    }
    return { found, pages };
  };
  const all = await walk("/", /href="\/repository\/([^"]+)"/g);
  equal(all.found.length, 250);
  equal(all.pages, 3);
  deepEqual((await walk("/?q=APP20", /href="\/repository\/([^"]+)"/g)).found.length, 10);
  const shown = await walk("/repository/app100", /href="\/image\/app100:([^"]+)"/g);
  deepEqual(shown.found, tags);
  equal(shown.pages, 3);
});

Deno.test("S-AUTH odd content has a page too", async () => {
  const made = world();
  const empty = await pushBytes(
    made.registry,
    "odd",
    new TextEncoder().encode("{}"),
    "application/vnd.oci.empty.v1+json",
  );
  const push = (tag: string, value: Record<string, unknown>) => {
    const bytes = encodeJson({ schemaVersion: 2, mediaType: MediaType.ociManifest, ...value });
    return made.registry.pushManifest("odd", { mediaType: MediaType.ociManifest, bytes }, {
      tags: [tag],
    });
  };
  await push("artefact", { config: empty, layers: [empty], artifactType: "application/x.test" });
  const broken = await pushBytes(
    made.registry,
    "odd",
    new TextEncoder().encode("nope"),
    MediaType.ociConfig,
  );
  await push("broken", { config: broken, layers: [] });
  match((await made.get("/image/odd:artefact")).text, /application\/x\.test/);
  equal((await made.get("/image/odd:broken")).status, 200);
  equal((await made.get("/repository/odd")).status, 200);
  const paths = [
    "/image/odd:absent",
    `/image/odd@sha256:${"0".repeat(64)}`,
    "/repository/absent",
  ];
  for (const path of paths) equal((await made.get(path)).status, 404, path);
  for (
    const path of [
      "/image/odd",
      "/image/odd:",
      "/image/odd@sha256:0",
      "/image/odd:a/b",
      "/repository/",
      "/repository/UP",
      "/repository/a//b",
      "/repository/..%2f..%2fetc",
      "/favicon.ico",
      "/index.php",
    ]
  ) {
    const { status, headers } = await made.get(path);
    equal(status, 404, path);
    equal(headers.get("content-type"), "application/json", "the API's own answer");
  }
});

Deno.test("R-07 commands on a page name the configured host, not that of the request", async () => {
  const made = world();
  await pushSampleImage(made.registry, "app", { tags: ["v1"] });
  const { text } = await made.get("/image/app:v1", undefined, {
    host: "evil.test",
    "x-forwarded-host": "evil.test",
  });
  match(text, /wherry pull registry\.test:5000\/app:v1/);
  ok(!text.includes("evil.test") && !text.includes("ignored.test"));
});
