/** Commands against a registry that means harm (security.md, N and M rows). */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { quirkServer } from "../../registry/client/quirk_testing.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import {
  CANARY,
  carriesSecret,
  ESCAPES,
  evilRegistry,
  honest,
  IMAGE,
  type Outcome,
  userOf,
} from "./registry_testing.ts";

/** One line that says why, an exit that says it failed, no secret, nothing a terminal obeys. */
function failedWell({ code, said }: Outcome): void {
  notEqual(code, 0, said);
  harmless(said);
}

function harmless(said: string): void {
  ok(!said.includes(CANARY), said);
  // deno-lint-ignore no-control-regex
  ok(!/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]/.test(said), JSON.stringify(said));
  ok(!/^forged:/m.test(said), said);
}

for (const status of [301, 302, 303, 307, 308]) {
  for (const what of ["manifests", "blobs"]) {
    Deno.test(`N-01 ${status} of ${what} to another host: no secret goes along`, async () => {
      await using other = quirkServer((seen) =>
        honest(seen) ?? new Response(null, { status: 404 })
      );
      await using registry = evilRegistry(({ url }) =>
        url.includes(`/${what}/`)
          ? new Response(null, { status, headers: { location: `http://${other.host}${url}` } })
          : undefined
      );
      await using user = await userOf(registry.host);
      harmless((await user.run("pull", `${registry.host}/app:1`)).said);
      ok(other.seen.length > 0);
      deepEqual(other.seen.filter(carriesSecret), []);
    });
  }

  Deno.test(`N-01, N-02 ${status} of each step of an upload to another host: no secret goes along`, async () => {
    for (const step of ["HEAD", "POST", "PUT"]) {
      await using other = quirkServer(() => new Response(null, { status: 201 }));
      await using registry = evilRegistry(({ method, url }) => {
        if (!url.includes("/v2/mine/") && !url.startsWith("/u")) return undefined;
        if (method === step) {
          return new Response(null, { status, headers: { location: `http://${other.host}/x` } });
        }
        if (method === "POST") {
          return new Response(null, { status: 202, headers: { location: "/u" } });
        }
        return new Response(null, { status: method === "HEAD" ? 404 : 201 });
      });
      await using user = await userOf(registry.host);
      harmless((await user.run("copy", `${registry.host}/app:1`, `${registry.host}/mine:1`)).said);
      deepEqual(other.seen.filter(carriesSecret), [], step);
    }
  });
}

Deno.test("N-02 an upload's Location at another host gets bytes, never the secret", async () => {
  await using other = quirkServer(() => new Response(null, { status: 201 }));
  await using registry = evilRegistry(({ method, url }) => {
    if (!url.includes("/v2/mine/")) return undefined;
    if (method === "HEAD") return new Response(null, { status: 404 });
    return method === "POST"
      ? new Response(null, { status: 202, headers: { location: `http://${other.host}/x?s=1` } })
      : new Response(null, { status: 201 });
  });
  await using user = await userOf(registry.host);
  harmless((await user.run("copy", `${registry.host}/app:1`, `${registry.host}/mine:1`)).said);
  ok(other.seen.length > 0);
  deepEqual(other.seen.filter(carriesSecret), []);
});

Deno.test.each([
  "javascript:alert(1)",
  "file:///etc/passwd",
  "gopher://127.0.0.1/",
  "http://user:pass@127.0.0.1/x",
  "http://[::1",
  "//",
  "",
])("N-02 a Location that is none, %j, ends the upload", async (location) => {
  await using registry = evilRegistry(({ method, url }) => {
    if (!url.includes("/v2/mine/")) return undefined;
    if (method === "HEAD") return new Response(null, { status: 404 });
    return new Response(null, { status: 202, headers: { location } });
  });
  await using user = await userOf(registry.host);
  failedWell(await user.run("copy", `${registry.host}/app:1`, `${registry.host}/mine:1`));
});

/** A registry somewhere else, reached through a proxy: for it this machine is near. */
Deno.test("N-04 neither Location nor redirect nor realm of a far registry leads to addresses near us", async () => {
  await using near = quirkServer(() => Response.json({ token: "t" }));
  const port = near.host.split(":")[1];
  const places = ["169.254.169.254", `127.0.0.1:${port}`, `0.0.0.0:${port}`, `[::1]:${port}`]
    .concat([`[::ffff:127.0.0.1]:${port}`, `2130706433:${port}`, `localhost:${port}`]);
  for (const place of places) {
    for (const trick of ["redirect", "realm", "location"]) {
      await using proxy = quirkServer((seen) => {
        if (trick === "realm") {
          const value = `Bearer realm="http://${place}/token",service="s"`;
          return new Response(null, { status: 401, headers: { "www-authenticate": value } });
        }
        const location = `http://${place}/latest/meta-data`;
        if (trick === "redirect") return new Response(null, { status: 307, headers: { location } });
        if (!seen.url.includes("/v2/mine/")) {
          return honest(seen) ?? new Response(null, { status: 404 });
        }
        if (seen.method === "HEAD") return new Response(null, { status: 404 });
        return new Response(null, { status: 202, headers: { location } });
      });
      await using user = await userOf("far.invalid", { HTTP_PROXY: `http://${proxy.host}` });
      failedWell(
        await user.run(
          ...["copy", "far.invalid/app:1", "far.invalid/mine:1"],
          ...["--insecure-registry", "far.invalid"],
        ),
      );
    }
  }
  deepEqual(near.seen, []);
});

Deno.test("N-03 a realm on another host: no password for it unless the user says so", async () => {
  await using other = quirkServer(() => Response.json({ token: "t" }));
  await using registry = quirkServer(({ headers }) =>
    headers.get("authorization") === null
      ? new Response(null, {
        status: 401,
        headers: { "www-authenticate": `Bearer realm="http://${other.host}/t",service="s"` },
      })
      : Response.json({})
  );
  await using user = await userOf(`${registry.host}`);
  const outcome = await user.run("pull", `${registry.host}/app:1`);
  harmless(outcome.said);
  // A token server beside the registry is usual. Whether it gets the password is policy; that nobody else does is not.
  for (const seen of other.seen) ok(!seen.url.includes(CANARY));
});

Deno.test("N-11 what a registry says reaches the terminal without what a terminal obeys", async () => {
  const errors = { errors: [{ code: ESCAPES, message: ESCAPES, detail: ESCAPES }] };
  const ways: readonly (() => Response)[] = [
    () => Response.json(errors, { status: 400 }),
    () => Response.json(errors, { status: 403 }),
    () => new Response(ESCAPES, { status: 500 }),
    () => new Response(ESCAPES, { status: 429, headers: { "retry-after": "999999" } }),
    () => new Response(`<html>${ESCAPES}`, { status: 418 }),
    () => new Response(ESCAPES, { headers: { "content-type": "application/vnd.\x9bx" } }),
  ];
  for (const way of ways) {
    await using registry = evilRegistry(way);
    await using user = await userOf(registry.host);
    for (const args of [["pull"], ["inspect"], ["inspect", "-o", "json"]]) {
      failedWell(await user.run(...args, `${registry.host}/app:1`));
    }
  }
});

Deno.test("N-11 warnings, tags and names that a terminal would obey", async () => {
  await using registry = evilRegistry((seen) => {
    if (seen.url.includes("/tags/list")) {
      return Response.json({ name: ESCAPES, tags: ["ok", ESCAPES] });
    }
    const answer = honest(seen);
    answer?.headers.set("warning", '299 - "\x9b31m \x85 red"');
    return answer;
  });
  await using user = await userOf(registry.host);
  harmless((await user.run("pull", `${registry.host}/app:1`)).said);
  harmless((await user.run("ls", `${registry.host}/app`)).said);
});

Deno.test("M-04 sizes that lie, bodies that are wrong: nothing is kept", async () => {
  const layer = `/blobs/${digestOf(IMAGE.layer)}`;
  const endless = () =>
    new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: (controller) => controller.enqueue(new Uint8Array(65536)),
    });
  const lies: Readonly<Record<string, (url: string) => Response | undefined>> = {
    "another layer": (url) =>
      url.endsWith(layer) ? new Response(new Uint8Array(IMAGE.layer.byteLength)) : undefined,
    "a shorter layer": (url) =>
      url.endsWith(layer) ? new Response(IMAGE.layer.slice(0, 1000)) : undefined,
    "a layer without end": (url) => url.endsWith(layer) ? new Response(endless()) : undefined,
    "a manifest without end": (url) =>
      url.includes("/manifests/") ? new Response(endless()) : undefined,
    "a config without end": (url) =>
      url.endsWith(digestOf(IMAGE.config)) ? new Response(endless()) : undefined,
    "another config": (url) =>
      url.endsWith(digestOf(IMAGE.config)) ? new Response("{}") : undefined,
  };
  for (const [lie, act] of Object.entries(lies)) {
    await using registry = evilRegistry(({ url, method }) =>
      method === "GET" ? act(url) : undefined
    );
    await using user = await userOf(registry.host);
    const outcome = await user.run("pull", `${registry.host}/app:1`);
    failedWell(outcome);
    match(outcome.said, /Cannot /, lie);
    const { code } = await user.run("inspect", `store:${registry.host}/app:1`);
    notEqual(code, 0, `${lie} is in the store`);
  }
});

Deno.test("M-02 digests of a manifest that are none are refused before anything is asked for", async () => {
  const text = new TextDecoder().decode(IMAGE.bytes);
  for (
    const bad of ["sha256:../../x", `sha256:${"a".repeat(63)}`, `SHA256:${"a".repeat(64)}`]
      .concat(["md5:x", "", "\u0661".repeat(8), "x".repeat(1 << 20)])
  ) {
    const bytes = text.replace(digestOf(IMAGE.layer), bad);
    await using registry = evilRegistry(({ url }) =>
      url.includes("/manifests/")
        ? new Response(bytes, {
          headers: { "content-type": "application/vnd.oci.image.manifest.v1+json" },
        })
        : undefined
    );
    await using user = await userOf(registry.host);
    failedWell(await user.run("pull", `${registry.host}/app:1`));
    equal(registry.seen.filter(({ url }) => url.includes("/blobs/")).length, 0, bad.slice(0, 80));
  }
});
