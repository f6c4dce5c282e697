/** Bundles: made, verified, carried, pushed and served, against a real server. */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { readBuilder } from "../../lifecycle/platform/package/builder.ts";
import { encodeJson, type Image, makeImage, pushImage } from "../../registry/image.ts";
import type { TreeEntry } from "../../registry/layer/entry.ts";
import { filesLayer } from "../../registry/layer/fixed_layers.ts";
import { writeLayer } from "../../registry/layer/write_layer.ts";
import { type MemoryRegistry, memoryRegistry } from "../../registry/memory.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { bytesSource } from "../../registry/source.ts";
import { createServer } from "../../registry/server/server.ts";
import { serve } from "../../registry/server/serve.ts";
import { mapName } from "./names.ts";
import { makeShell, type Shell } from "../shell_testing.ts";

async function image(text: string, architecture = "amd64", labels = {}): Promise<Image> {
  const entries: TreeEntry[] = filesLayer(
    new Map([["/file", new TextEncoder().encode(text.repeat(1000))]]),
    { owner: { uid: 0, gid: 0 } },
  );
  const chunks: Uint8Array[] = [];
  const { descriptor, diffId } = await writeLayer(entries, {
    write: (chunk) => {
      chunks.push(chunk.slice());
      return Promise.resolve();
    },
  });
  const bytes = new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
  return makeImage({
    os: "linux",
    architecture,
    config: { Labels: labels, Env: ["CNB_USER_ID=1000", "CNB_GROUP_ID=1000"] },
    rootfs: { type: "layers", diff_ids: [] },
  }, [{ diffId, descriptor, blob: () => Promise.resolve(bytesSource(bytes)) }]);
}

interface Scene extends AsyncDisposable {
  readonly shell: Shell;
  readonly host: string;
  readonly registry: MemoryRegistry;
  readonly requests: string[];
}

/** A registry with a run image for two processors, and a builder that names it. */
async function scene(): Promise<Scene> {
  const shell = await makeShell();
  const registry = memoryRegistry();
  const requests: string[] = [];
  const server = createServer(registry, {
    onRequest: ({ method, path }) => requests.push(`${method} ${path}`),
  });
  const listening = await serve(server, { listen: { hostname: "127.0.0.1", port: 0 } });
  const host = listening.url.replace("http://", "");
  const children = [];
  for (const architecture of ["amd64", "arm64"]) {
    const one = await image(`run ${architecture}`, architecture);
    await pushImage(one, registry, "run");
    children.push({
      mediaType: one.raw.mediaType,
      digest: one.raw.digest,
      size: one.raw.bytes.byteLength,
      platform: { os: "linux", architecture },
    });
  }
  const mediaType = "application/vnd.oci.image.index.v1+json";
  await registry.pushManifest("run", {
    mediaType,
    bytes: encodeJson({ schemaVersion: 2, mediaType, manifests: children }),
  }, { tags: ["1"] });
  const builder = await image("builder", "amd64", {
    "io.buildpacks.builder.metadata": JSON.stringify({
      description: "",
      images: [{ image: `${host}/run:1`, mirrors: [`${host}/gone:1`] }],
    }),
  });
  equal(readBuilder(builder, "builder").runImages.length, 1);
  await pushImage(builder, registry, "builder", { tags: ["1"] });
  // Something that speaks of the builder.
  const blob = new TextEncoder().encode("{}");
  const config = { mediaType: "application/vnd.test", digest: digestOf(blob), size: 2 };
  await registry.pushBlob("builder", config, bytesSource(blob));
  const manifest = "application/vnd.oci.image.manifest.v1+json";
  await registry.pushManifest("builder", {
    mediaType: manifest,
    bytes: encodeJson({
      schemaVersion: 2,
      mediaType: manifest,
      artifactType: "application/vnd.test",
      config,
      layers: [],
      subject: {
        mediaType: builder.raw.mediaType,
        digest: builder.raw.digest,
        size: builder.raw.bytes.byteLength,
      },
    }),
  });
  return {
    shell,
    host,
    registry,
    requests,
    async [Symbol.asyncDispose]() {
      await listening.shutdown();
      await shell[Symbol.asyncDispose]();
    },
  };
}

Deno.test("bundle: the closure of a builder is found by itself, mirrors that are gone are said", async () => {
  await using at = await scene();
  const { code, out, err } = await at.shell.wherry(
    "bundle",
    "create",
    "out.tar",
    "--builder",
    `${at.host}/builder:1`,
    "-o",
    "json",
  );
  equal(code, 0, err);
  const { images } = JSON.parse(out);
  const filter = ["--run-image", `${at.host}/run:1`, "--filter", "jdk=21.*"];
  const alone = await at.shell.wherry("bundle", "create", "no.tar", ...filter);
  equal(alone.code, 3);
  match(alone.err, /^ERROR: Cannot use --filter without --with-dependencies: /);
  deepEqual(
    images.map((one: { reference: string; role: string }) => [one.reference, one.role]),
    [[`${at.host}/builder:1`, "builder"], [`${at.host}/run:1`, "run"]],
  );
  match(err, /Left out of the bundle: .*gone/);
  // Another that names the same mirror: it is neither asked nor told again.
  await at.shell.ok("copy", `${at.host}/builder:1`, `${at.host}/other:1`);
  const both = ["--builder", `${at.host}/builder:1`, "--app", `${at.host}/other:1`, "--dry-run"];
  const told = await at.shell.wherry("bundle", "create", "two.tar", ...both);
  equal(told.code, 0, told.err);
  equal(told.err.match(/Left out of the bundle/g)?.length, 1, told.err);
  const text = await at.shell.ok("bundle", "inspect", "out.tar");
  match(text, /run +127\S+\/run:1 +\S+ \S+ +127\S+\/builder:1/);
  equal((await at.shell.wherry("bundle", "verify", "out.tar")).code, 0);
  for (
    const [words, message] of [
      [
        ["--builder", `${at.host}/run:1`],
        /Cannot use \S+\/run:1: it is no builder, it has no label/,
      ],
      [
        ["--builder", `${at.host}/builder:1`, "--platform", "linux/arm64"],
        /Cannot take \S+\/builder:1 for linux\/arm64: it is one image, for linux\/amd64$/m,
      ],
    ] as const
  ) {
    const refused = await at.shell.wherry("bundle", "create", "no.tar", ...words);
    match(refused.err, message);
  }
});

Deno.test("bundle: the same images make the same bytes, and a broken creation goes on with what it has", async () => {
  await using at = await scene();
  const create = (file: string) =>
    at.shell.ok("bundle", "create", file, "--builder", `${at.host}/builder:1`);
  await create("a.tar");
  at.requests.length = 0;
  await create("b.tar");
  deepEqual(
    await Deno.readFile(`${at.shell.dir}/a.tar`),
    await Deno.readFile(`${at.shell.dir}/b.tar`),
  );
  // Configs are read again for their labels; no layer is asked for twice.
  equal(at.requests.filter((one) => /^GET .*blobs/.test(one)).length <= 1, true, `${at.requests}`);
});

Deno.test("bundle: one platform of an index keeps the index, and says what is absent", async () => {
  await using at = await scene();
  await at.shell.ok(
    "bundle",
    "create",
    "out.tar",
    "--run-image",
    `${at.host}/run:1`,
    "--platform",
    "linux/arm64",
  );
  const info = JSON.parse(await at.shell.ok("bundle", "inspect", "out.tar", "-o", "json"));
  deepEqual(info.images[0].absent_platforms, ["linux/amd64"]);
  equal(info.images[0].digest, (await at.registry.stat("run", "1"))?.digest);
  // A registry that takes no index with holes gets the image itself.
  const pushed = await at.shell.wherry("bundle", "push", "out.tar", `${at.host}/far`);
  equal(pushed.code, 0, pushed.err);
  const repository = `far/${at.host.replace(":", "_")}/run`;
  const there = await at.registry.manifest(repository, "1");
  ok(there);
  if (there.digest !== info.images[0].digest) match(pushed.err, /takes no index/);
});

Deno.test("bundle: split into parts, each verified alone, together whole; a second bundle adds to the first", async () => {
  await using at = await scene();
  const files = (await at.shell.ok(
    "bundle",
    "create",
    "out.tar",
    "--builder",
    `${at.host}/builder:1`,
    "--split",
    "600",
  )).trim().split("\n");
  ok(files.length > 2, files.join());
  const names = files.map((file) => file.slice(file.lastIndexOf("/") + 1));
  deepEqual(names[0], "out.tar.1");
  const alone = await at.shell.wherry("bundle", "verify", names[0]!);
  equal(alone.code, 1);
  match(alone.out, /^missing: sha256:/);
  match(alone.err, new RegExp(`give all ${names.length} parts \\(or --partial for one\\)`));
  const partial = await at.shell.wherry("bundle", "verify", "--partial", names[0]!);
  equal(partial.code, 0);
  match(partial.err, /^[1-9]\d* blobs? of \d+ images?: 0 faults$/m);
  equal((await at.shell.wherry("bundle", "verify", ...names)).code, 0);

  await at.shell.ok("copy", `${at.host}/run:1`, "store:gone.test/run:1");
  const local = await at.shell.wherry(
    ...["bundle", "create", "no.tar", "--run-image", "gone.test/run:1", "--offline"],
  );
  match(local.err, /^ERROR: .*offline.*; the store has it: store:gone\.test\/run:1$/m);
  await at.shell.ok("bundle", "create", "first.tar", "--run-image", `${at.host}/run:1`);
  await at.shell.ok(
    "bundle",
    "create",
    "second.tar",
    "--builder",
    `${at.host}/builder:1`,
    "--since",
    "first.tar",
  );
  const info = JSON.parse(await at.shell.ok("bundle", "inspect", "second.tar", "-o", "json"));
  ok(info.missing.length > 0);
  const refused = await at.shell.wherry("bundle", "push", "second.tar", `${at.host}/x`);
  match(refused.err, /adds to another bundle/);
  equal((await at.shell.wherry("bundle", "verify", "second.tar", "first.tar")).code, 0);
});

Deno.test("bundle: a wrong byte, a file too much and a foreign signature are found", async () => {
  await using at = await scene();
  await at.shell.ok("bundle", "create", "out.tar", "--run-image", `${at.host}/run:1`);
  const file = `${at.shell.dir}/out.tar`;
  const bytes = await Deno.readFile(file);
  // The body of the last gzip layer.
  bytes[bytes.findLastIndex((byte, at) => byte === 0x1f && bytes[at + 1] === 0x8b) + 20]! ^= 1;
  await Deno.writeFile(`${at.shell.dir}/bad.tar`, bytes);
  const bad = await at.shell.wherry("bundle", "verify", "bad.tar");
  equal(bad.code, 1, bad.err);
  ok(bad.out !== "", bad.err);
  match(bad.out, /^digest: sha256:/);

  const pem = async (key: CryptoKey, format: "pkcs8" | "spki", label: string) =>
    `-----BEGIN ${label}-----\n${
      new Uint8Array(await crypto.subtle.exportKey(format, key)).toBase64()
    }\n-----END ${label}-----\n`;
  for (const how of ["Ed25519", { name: "ECDSA", namedCurve: "P-256" }]) {
    const keys = async () =>
      await crypto.subtle.generateKey(how as "Ed25519", true, ["sign", "verify"]) as CryptoKeyPair;
    const [own, other] = [await keys(), await keys()];
    await at.shell.write({
      "key.pem": await pem(own.privateKey, "pkcs8", "PRIVATE KEY"),
      "pub.pem": await pem(own.publicKey, "spki", "PUBLIC KEY"),
      "other.pem": await pem(other.publicKey, "spki", "PUBLIC KEY"),
    });
    await at.shell.ok(
      "bundle",
      "create",
      "signed.tar",
      "--run-image",
      `${at.host}/run:1`,
      "--sign",
      "key.pem",
    );
    equal((await at.shell.wherry("bundle", "verify", "signed.tar", "--key", "pub.pem")).code, 0);
    const foreign = await at.shell.wherry("bundle", "verify", "signed.tar", "--key", "other.pem");
    deepEqual([foreign.code, foreign.out], [1, "signature: the lock is not signed by this key\n"]);
    equal((await at.shell.wherry("bundle", "verify", "out.tar", "--key", "pub.pem")).code, 1);
  }
});

Deno.test("bundle push: digests stay, referrers come along, and others are told where things are", async () => {
  await using at = await scene();
  await at.shell.ok("bundle", "create", "out.tar", "--builder", `${at.host}/builder:1`);
  const { code, out, err } = await at.shell.wherry(
    "bundle",
    "push",
    "out.tar",
    `${at.host}/far`,
    "--map",
    `${at.host}/run=${at.host}/base/run`,
    "--config-out",
    "settings",
  );
  equal(code, 0, err);
  const port = at.host.replace(":", "_");
  for (const [from, to] of [["builder", `far/${port}/builder`], ["run", "base/run"]]) {
    equal(
      (await at.registry.stat(to!, "1"))?.digest,
      (await at.registry.stat(from!, "1"))?.digest,
      to,
    );
  }
  const builder = (await at.registry.stat("builder", "1"))!;
  equal((await at.registry.referrers(`far/${port}/builder`, builder.digest)).length, 1);
  match(out, new RegExp(`^${at.host}/builder@sha256:\\w+\\t${at.host}/far/${port}/builder@sha256`));
  for (const name of ["wherry-config.toml", "registries.conf", "idms.yaml"]) {
    match(await Deno.readTextFile(`${at.shell.dir}/settings/${name}`), /base\/run/);
  }
});

Deno.test("bundle serve: pulled by name from the tar, and nothing can be pushed", async () => {
  await using at = await scene();
  await at.shell.ok("bundle", "create", "out.tar", "--builder", `${at.host}/builder:1`);
  const { openFiles, repositoriesOf } = await import("./open.ts");
  const { bundleRegistry } = await import("../../registry/bundle/registry.ts");
  const { openBundle } = await import("../../registry/bundle/read.ts");
  ok(openFiles);
  await using bundle = await openBundle([`${at.shell.dir}/out.tar`]);
  const registry = bundleRegistry(
    bundle,
    bundle.images.map((one) => ({ image: one, tag: "1", repositories: repositoriesOf(one) })),
  );
  const listening = await serve(createServer(registry, { readOnly: true }), {
    listen: { hostname: "127.0.0.1", port: 0 },
  });
  const host = listening.url.replace("http://", "");
  const repository = `${at.host.replace(":", "_")}/builder`;
  await at.shell.ok("copy", `${host}/${repository}:1`, "oci:copy");
  match(await at.shell.ok("copy", `${host}/run:1`, "oci:run"), /sha256/);
  notEqual((await at.shell.wherry("copy", "oci:copy", `${host}/new:1`)).code, 0);
  await listening.shutdown();
});

Deno.test("mapName: the longest rule counts, whole words only, ports leave", () => {
  const rules = [{ from: "docker.io", to: "hub.corp" }, { from: "docker.io/a/b", to: "x.corp/b" }];
  equal(mapName("docker.io/a/b:1", "corp/p", rules), "x.corp/b:1");
  equal(mapName("docker.io/a/bc:1", "corp/p", rules), "hub.corp/a/bc:1");
  equal(mapName("host:5000/a@sha256:00", "corp/p", rules), "corp/p/host_5000/a@sha256:00");
});
