/** `wherry serve` with the clients people have: push, pull, list and delete. Each is skipped where it is not installed. */
import assert from "node:assert/strict";
import { connectRegistry } from "../../registry/client/client.ts";
import { encodeJson } from "../../registry/image.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { bytesSource } from "../../registry/source.ts";
import { CRANE, goTool } from "../go_tool.ts";
import { installed, makeScene, type Scene, startProcess, tool } from "./wherry_testing.ts";

/** A served store with `seed/app:1` and `:2` in it. */
interface Served extends AsyncDisposable {
  readonly scene: Scene;
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** Of `seed/app:1`. */
  readonly digest: string;
  /** What tag of `repository` is there, or `undefined`. */
  digestOf(repository: string, tag?: string): Promise<string | undefined>;
}

async function serveSeed(): Promise<Served> {
  const scene = await makeScene();
  const server = scene.start(["serve", "--listen", "127.0.0.1:0"]);
  const said = await server.until(/http:\/\/127\.0\.0\.1:\d+/);
  const host = said.slice("http://".length);
  const registry = connectRegistry(host);
  return {
    scene,
    host,
    digest: await seed(scene, host),
    digestOf: async (repository, tag = "1") => (await registry.stat(repository, tag))?.digest,
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      server.kill("SIGTERM");
      await server.ended;
      await scene[Symbol.asyncDispose]();
    },
  };
}

/** Pushes an image that engines can unpack. */
async function seed(scene: Scene, host: string): Promise<string> {
  await scene.write({ "root/hello.txt": "hello\n" });
  await tool("tar", ["-C", `${scene.dir}/root`, "-cf", `${scene.dir}/layer.tar`, "."]);
  const plain = await Deno.readFile(`${scene.dir}/layer.tar`);
  await tool("gzip", ["-n", `${scene.dir}/layer.tar`]);
  const layer = await Deno.readFile(`${scene.dir}/layer.tar.gz`);
  const config = encodeJson({
    architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
    os: "linux",
    config: { Cmd: ["/hello"] },
    rootfs: { type: "layers", diff_ids: [digestOf(plain)] },
    history: [{ created_by: "seed" }],
  });
  await using registry = connectRegistry(host);
  const push = async (mediaType: string, bytes: Uint8Array) => {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
    await registry.pushBlob("seed/app", descriptor, bytesSource(bytes));
    return descriptor;
  };
  const mediaType = MediaType.ociManifest;
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType,
    config: await push("application/vnd.oci.image.config.v1+json", config),
    layers: [await push("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
  });
  await registry.pushManifest("seed/app", { mediaType, bytes }, { tags: ["1", "2"] });
  return digestOf(bytes);
}

Deno.test({
  name: "skopeo pushes, pulls, lists and deletes",
  ignore: !installed("skopeo"),
}, async () => {
  await using served = await serveSeed();
  const { host, scene } = served;
  const both = ["--src-tls-verify=false", "--dest-tls-verify=false"];
  await tool("skopeo", [
    "copy",
    ...both,
    `docker://${host}/seed/app:1`,
    `docker://${host}/to/app:1`,
  ]);
  assert.equal(await served.digestOf("to/app"), served.digest);
  await tool("skopeo", ["copy", ...both, `docker://${host}/to/app:1`, `oci:${scene.dir}/out:1`]);
  await tool("skopeo", ["copy", ...both, `oci:${scene.dir}/out:1`, `docker://${host}/back/app:1`]);
  assert.equal(await served.digestOf("back/app"), served.digest);
  const listed = await tool("skopeo", [
    "list-tags",
    "--tls-verify=false",
    `docker://${host}/seed/app`,
  ]);
  assert.deepEqual(JSON.parse(listed).Tags, ["1", "2"]);
  await tool("skopeo", ["delete", "--tls-verify=false", `docker://${host}/to/app:1`]);
  assert.equal(await served.digestOf("to/app"), undefined);
});

const crane = await goTool(CRANE);
Deno.test({
  name: "crane pushes, pulls, lists and deletes",
  ignore: "why" in crane,
}, async () => {
  assert("file" in crane);
  await using served = await serveSeed();
  const { host, scene } = served;
  const env = { HOME: scene.home };
  const run = (...args: readonly string[]) => tool(crane.file, ["--insecure", ...args], { env });
  await run("copy", `${host}/seed/app:1`, `${host}/to/app:1`);
  assert.equal((await run("digest", `${host}/to/app:1`)).trim(), served.digest);
  await run("pull", "--format=oci", `${host}/to/app:1`, `${scene.dir}/out`);
  await run("push", `${scene.dir}/out`, `${host}/back/app:1`);
  assert.equal(await served.digestOf("back/app") !== undefined, true);
  assert.equal((await run("ls", `${host}/seed/app`)).trim(), "1\n2");
  assert.match(await run("catalog", host), /^seed\/app$/m);
  await run("validate", "--remote", `${host}/back/app:1`);
  await run("tag", `${host}/to/app:1`, "new");
  await run("delete", `${host}/to/app@${served.digest}`);
  assert.equal(await served.digestOf("to/app", "new"), undefined);
});

for (const engine of ["podman", "buildah"] as const) {
  Deno.test({
    name: `${engine} pulls and pushes`,
    ignore: !installed(engine) || Deno.uid() !== 0,
  }, async () => {
    await using served = await serveSeed();
    const { host, scene } = served;
    const place = ["--root", `${scene.dir}/root-of`, "--runroot", `${scene.dir}/run-of`];
    const run = (...args: readonly string[]) =>
      tool(engine, [...place, "--storage-driver=vfs", ...args], { env: { HOME: scene.home } });
    await run("pull", "--tls-verify=false", `${host}/seed/app:1`);
    await run("tag", `${host}/seed/app:1`, `${host}/to/app:1`);
    await run("push", "--tls-verify=false", `${host}/to/app:1`);
    const there = await served.digestOf("to/app");
    assert(there !== undefined);
    await run("rmi", "--all", "--force");
    await run("pull", "--tls-verify=false", `${host}/to/app@${there}`);
    if (engine === "podman") {
      const flags = ["--tls-verify=false", "--list-tags"];
      const found = await run("search", ...flags, `${host}/seed/app`);
      // Old ones have no format for it: the tag is the last word of a line.
      assert.deepEqual([...found.matchAll(/ (\d)$/gm)].map(([, tag]) => tag), ["1", "2"]);
    }
    await run("rmi", "--all", "--force");
  });
}

Deno.test({
  name: "docker pulls and pushes, through an engine of its own",
  ignore: !installed("dockerd") || !installed("docker") || Deno.uid() !== 0,
}, async () => {
  await using served = await serveSeed();
  const { host, scene } = served;
  const socket = `unix://${scene.dir}/docker.sock`;
  const env = { HOME: scene.home, DOCKER_HOST: socket };
  const engine = startProcess("dockerd", [
    ...["--host", socket, "--data-root", `${scene.dir}/docker`, "--pidfile", `${scene.dir}/pid`],
    ...["--exec-root", `${scene.dir}/exec`, "--storage-driver", "vfs", "--bridge", "none"],
    ...["--iptables=false", "--ip6tables=false", "--ip-forward=false"],
  ], { env });
  try {
    try {
      await engine.until(/API listen on/);
    } catch (error) {
      // deno-lint-ignore no-console
      console.log(`skipped: no engine starts here: ${(error as Error).message.slice(-300)}`);
      return;
    }
    const run = (...args: readonly string[]) => tool("docker", args, { env });
    await run("pull", "-q", `${host}/seed/app:1`);
    await run("tag", `${host}/seed/app:1`, `${host}/to/app:1`);
    await run("push", "-q", `${host}/to/app:1`);
    const there = await served.digestOf("to/app");
    assert(there !== undefined);
    await run("rmi", "-f", `${host}/seed/app:1`, `${host}/to/app:1`);
    await run("pull", "-q", `${host}/to/app@${there}`);
  } finally {
    engine.kill("SIGTERM");
    await engine.ended;
    await tool("sh", [
      "-c",
      `umount '${scene.dir}'/docker/* '${scene.dir}'/exec/*/* 2>/dev/null; true`,
    ]);
  }
});
