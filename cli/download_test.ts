/** Buildpacks, extensions, lifecycles and indexes that lie on web servers. */
import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { gatherBuildpacks } from "../lifecycle/platform/buildpack_source.ts";
import { gatherExtensions } from "../lifecycle/platform/extension_source.ts";
import type { Context } from "../registry/context.ts";
import { tarOf } from "../registry/layer/tar_testing.ts";
import { makeShell, type Shell } from "./shell_testing.ts";

const TOML = 'api = "0.10"\n[buildpack]\nid = "test/far"\nversion = "1.2.3"\n';
const ARCHIVE = new Uint8Array(gzipSync(tarOf(
  { name: "far", type: "directory" },
  { name: "far/buildpack.toml", text: TOML },
  { name: "far/bin/build", text: "#!/bin/sh\n", mode: 0o755 },
  { name: "far/bin/detect", text: "#!/bin/sh\n", mode: 0o755 },
)));

/** A web server of this machine that keeps count; `answers` by path. */
function web(answers: Readonly<Record<string, (request: Request) => Response>>) {
  const seen: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (request) => {
    const { pathname } = new URL(request.url);
    seen.push(pathname);
    if (request.headers.has("authorization")) seen.push("a secret");
    return answers[pathname]?.(request) ?? new Response(null, { status: 404 });
  });
  return {
    at: `http://127.0.0.1:${server.addr.port}`,
    seen,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

function file(bytes: Uint8Array<ArrayBuffer>, etag = '"1"') {
  return (request: Request) =>
    request.headers.get("if-none-match") === etag
      ? new Response(null, { status: 304 })
      : new Response(bytes, { headers: { etag } });
}

async function inspected(shell: Shell, ...args: readonly string[]) {
  const { code, out, err } = await shell.wherry("buildpack", "inspect", ...args, "-o", "json");
  return { code, err, id: code === 0 ? JSON.parse(out).id : undefined };
}

Deno.test("BP-3 a buildpack behind an address: fetched, told with its checksum, not sent twice", async () => {
  await using shell = await makeShell();
  await using server = web({
    "/far.tgz": file(ARCHIVE),
    "/on": () => new Response(null, { status: 302, headers: { location: "/far.tgz" } }),
    "/secret": () => new Response(null, { status: 401 }),
    "/odd": () => new Response("what?"),
  });
  const always = ["--pull-policy", "always"];
  const first = await inspected(shell, `${server.at}/far.tgz`, ...always);
  equal(first.id, "test/far", first.err);
  match(first.err, /^Downloaded http:\S+far\.tgz \(\d+ B, sha256:[0-9a-f]{64}\)$/m);
  const second = await inspected(shell, `${server.at}/far.tgz`, ...always);
  match(second.err, /far\.tgz is what it was \(sha256:/);
  deepEqual(server.seen, ["/far.tgz", "/far.tgz"]);
  // Kept, it is asked for no more; changed on the disk, it is not believed.
  const kept = `${shell.dir}/store/cache/downloads-1`;
  equal((await inspected(shell, `${server.at}/far.tgz`, "--offline")).id, "test/far");
  equal(server.seen.length, 2);
  for await (const { name } of Deno.readDir(kept)) {
    if (!name.endsWith(".json")) await Deno.writeTextFile(`${kept}/${name}`, "changed");
  }
  equal((await inspected(shell, `${server.at}/far.tgz`)).id, "test/far");
  equal(server.seen.length, 3);

  equal((await inspected(shell, `${server.at}/on`)).id, "test/far");
  for (
    const [path, code, words] of [
      ["/none", 3, /Cannot find http:\S+\/none: the server says 404$/m],
      ["/secret", 1, /the server says 401, and only registries are sent passwords$/m],
      ["/odd", 3, /Cannot use \S+: it is no package file and no \(compressed\) tar$/m],
    ] as const
  ) {
    const { err, ...said } = await inspected(shell, server.at + path, ...always);
    deepEqual([said.code, words.test(err)], [code, true], err);
  }
  const refused = await inspected(shell, `${server.at}/far.tgz?new=1`, "--offline");
  match(refused.err, /Cannot get \S+: --offline forbids to dial it/);
  const never = await inspected(shell, `${server.at}/never.tgz`, "--pull-policy", "never");
  match(never.err, /it was not downloaded before, and --pull-policy is never$/m);
  const open = await inspected(shell, "http://192.0.2.1/far.tgz");
  match(open.err, /it is not encrypted; want https:\/\/, or --insecure-registry 192\.0\.2\.1$/m);
  const user = await inspected(shell, server.at.replace("//", "//me:word@") + "/far.tgz");
  match(user.err, /Cannot use http:\/\/\*\*\*@\S+: only registries are sent passwords/);
  equal(server.seen.includes("a secret"), false);
});

Deno.test("BP-3 package.toml and builder.toml name addresses: a module, its parts, a lifecycle", async () => {
  await using shell = await makeShell();
  await using server = web({ "/far.tgz": file(ARCHIVE) });
  await shell.write({
    "all/buildpack.toml":
      'api = "0.10"\n[buildpack]\nid = "test/all"\nversion = "3"\n[[order]]\n[[order.group]]\nid = "test/far"\nversion = "1.2.3"\n',
    "all/package.toml": `[[dependencies]]\nuri = "${server.at}/far.tgz"\n`,
    "own.toml": `[buildpack]\nuri = "${server.at}/far.tgz"\n`,
  });
  await shell.ok("buildpack", "package", "all.cnb", "--path", "all");
  const parts = JSON.parse(await shell.ok("buildpack", "inspect", "all.cnb", "-o", "json"));
  deepEqual(parts.modules.map((one: { id: string }) => one.id), ["test/all", "test/far"]);
  await shell.ok("buildpack", "package", "own.cnb", "--config", "own.toml");
  equal((await inspected(shell, "own.cnb")).id, "test/far");
});

Deno.test("BP-3 --buildpack, --extension and parts of a composite behind addresses", async () => {
  await using shell = await makeShell();
  await shell.write({
    "all/buildpack.toml":
      'api = "0.10"\n[buildpack]\nid = "test/all"\nversion = "3"\n[[order]]\n[[order.group]]\nid = "test/far"\nversion = "1.2.3"\n',
    "all/package.toml": '[[dependencies]]\nuri = "https://far.example/far.tgz"\n',
  });
  const scratch = `${shell.dir}/scratch`;
  await Deno.mkdir(scratch);
  await Deno.writeFile(`${shell.dir}/kept`, ARCHIVE);
  const extension = TOML.replace("[buildpack]", "[extension]");
  await Deno.writeFile(
    `${shell.dir}/kept-extension`,
    tarOf({ name: "extension.toml", text: extension }),
  );
  const download = (url: string) =>
    Promise.resolve(`${shell.dir}/kept${url.includes("ext") ? "-extension" : ""}`);
  const means = { cwd: shell.dir, scratch, download };
  const { all } = await gatherBuildpacks({
    ...means,
    buildpacks: ["https://far.example/far.tgz"],
    pre: ["./all"],
  });
  deepEqual(all.map(({ descriptor }) => descriptor.id).sort(), ["test/all", "test/far"]);
  const named = ["https://far.example/ext.tar"];
  const ctx = { signal: AbortSignal.timeout(60_000) } as Context;
  const { near } = await gatherExtensions({ ...means, named }, ctx);
  equal(near[0]!.descriptor.id, "test/far");
  await rejects(
    gatherBuildpacks({ cwd: shell.dir, scratch, buildpacks: named }),
    /want a file that was downloaded before/,
  );
});

Deno.test("BP-4 an index in a tar, and on a web server", async () => {
  await using shell = await makeShell();
  const line = JSON.stringify({
    ns: "test",
    name: "abcdef",
    version: "1.0.0",
    yanked: false,
    addr: "store-only/x@sha256:" + "0".repeat(64),
  });
  const text = new TextEncoder().encode(`${line}\n`);
  await using server = web({ "/index/ab/cd/test_abcdef": file(text) });
  const tar = tarOf({ name: "index-main/ab/cd/test_abcdef", text: `${line}\n` });
  await Deno.writeFile(`${shell.dir}/index.tgz`, gzipSync(tar));
  const ask = async (index: string, id: string) =>
    (await shell.wherry(
      ...["buildpack", "inspect", `urn:cnb:registry:${id}`, "-r", index, "--pull-policy", "never"],
    )).err;
  for (const index of ["index.tgz", `${server.at}/index/`]) {
    match(await ask(index, "test/abcdef"), /store-only\/x@sha256:0+" ?.* is not there|not there/);
    match(await ask(index, "test/abcdef@2"), /Cannot find buildpack \S+ in \S+: it has 1\.0\.0$/m);
    match(await ask(index, "test/nobody"), /it has no such buildpack$/m);
    const { code, err } = await shell.wherry("buildpack", "yank", "test/abcdef@1.0.0", "-r", index);
    deepEqual([code, /Cannot change the registry index \S+: want a directory/.test(err)], [
      3,
      true,
    ]);
  }
  deepEqual(server.seen, [
    "/index/ab/cd/test_abcdef",
    "/index/ab/cd/test_abcdef",
    "/index/no/bo/test_nobody",
  ]);
  await Deno.writeTextFile(`${shell.dir}/odd`, "no tar, and longer than the magic bytes of one");
  match(await ask("odd", "test/x"), /it is no \(compressed\) tar that can be read$/m);
  match(await ask("none", "test/x"), /no such directory or file; want one, or https:/);
});
