/** Every place an image can be in, read by tools that are not ours. */
import assert from "node:assert/strict";
import { hasRegistry, startRegistry } from "./registry_testing.ts";
import {
  EXAMPLES,
  installed,
  makeScene,
  type Scene,
  startProcess,
  tool,
} from "./wherry_testing.ts";

const HELLO = [
  ...["--path", `${EXAMPLES}/hello`, "-b", `${EXAMPLES}/buildpacks/hello`],
  ...["--run-image", "scratch"],
];
const hasSkopeo = installed("skopeo");

interface Inspected {
  readonly Digest: string;
  readonly Architecture: string;
  readonly Labels: Readonly<Record<string, string>>;
  readonly Layers: readonly string[];
}

async function skopeo(place: string, ...flags: readonly string[]): Promise<Inspected> {
  return JSON.parse(await tool("skopeo", ["inspect", "--no-tags", ...flags, place]));
}

/** Ends with the scope; the address is the first line of stdout. */
async function serve(
  scene: Scene,
  ...flags: readonly string[]
): Promise<AsyncDisposable & { readonly host: string }> {
  const server = scene.start(["serve", "--listen", "127.0.0.1:0", ...flags]);
  const line = await server.until(/Serving .* at http:\/\/[\d.]+:\d+/);
  return {
    host: /http:\/\/([\d.]+:\d+)/.exec(line)![1]!,
    async [Symbol.asyncDispose]() {
      server.kill("SIGTERM");
      const { code } = await server.ended;
      assert.equal(code, 0, "to end is what a server is asked to");
    },
  };
}

Deno.test({
  name:
    "--publish, store, oci:, oci-archive: and docker-archive: hold the same image, foreign tools say",
  ignore: !hasRegistry || !hasSkopeo,
  async fn() {
    await using registry = await startRegistry();
    await using scene = await makeScene();
    const names = [
      `${registry.host}/hello:1`,
      "oci:layout:1",
      "oci-archive:hello.oci.tar:1",
      "docker-archive:hello.docker.tar:hello:1",
      "hello:1",
    ];
    const digests = [];
    for (const name of names) {
      const publish = name.startsWith("127.") ? ["--publish"] : [];
      digests.push((await scene.json(["build", name, ...publish, ...HELLO])).digest);
    }
    assert.equal(new Set(digests).size, 1, digests.join());
    const [digest] = digests;

    const remote = await skopeo(`docker://${registry.host}/hello:1`, "--tls-verify=false");
    assert.equal(remote.Digest, digest);
    assert.equal(remote.Labels["org.opencontainers.image.title"], "hello");
    for (const place of [`oci:${scene.dir}/layout:1`, `oci-archive:${scene.dir}/hello.oci.tar:1`]) {
      const found = await skopeo(place);
      assert.equal(found.Digest, digest, place);
      assert.deepEqual(found.Layers, remote.Layers);
    }
    const docker = await skopeo(`docker-archive:${scene.dir}/hello.docker.tar:hello:1`);
    assert.deepEqual(docker.Labels, remote.Labels);
    assert.equal(docker.Layers.length, remote.Layers.length);

    await using server = await serve(scene);
    const served = await skopeo(`docker://${server.host}/hello:1`, "--tls-verify=false");
    assert.equal(served.Digest, digest);
    // All bytes, checked by somebody else.
    await tool("skopeo", [
      ...["copy", "--quiet", "--src-tls-verify=false", `docker://${server.host}/hello:1`],
      `dir:${scene.dir}/dir`,
    ]);
  },
});

Deno.test({
  name: "push, pull, copy, tag, ls, rm and inspect between two stores and a registry",
  ignore: !hasRegistry || !hasSkopeo,
  async fn() {
    await using registry = await startRegistry();
    await using scene = await makeScene();
    const other = { store: `${scene.dir}/other` };
    const name = `${registry.host}/team/hello:1`;
    const { digest } = await scene.json(["build", name, ...HELLO]);
    const answer = `${registry.host}/team/hello@${digest}`;
    assert.equal(await scene.ok(["push", name]), answer);
    assert.equal((await skopeo(`docker://${name}`, "--tls-verify=false")).Digest, digest);
    const again = await scene.json<{ uploaded_blobs: number; digest: string }>(["push", name]);
    assert.deepEqual([again.uploaded_blobs, again.digest], [0, digest]);

    assert.equal(await scene.ok(["pull", name, "--quiet"], other), answer);
    await scene.ok(["tag", name, "shorter", `${registry.host}/team/hello:2`], other);
    const rows = await scene.json<{ name: string; tag: string; digest: string }[]>(["ls"], other);
    assert.deepEqual(rows.map((row) => `${row.name}:${row.tag}`).sort(), [
      `${registry.host}/team/hello:1`,
      `${registry.host}/team/hello:2`,
      "shorter:latest",
    ]);
    assert(rows.every((row) => row.digest === digest));
    await scene.ok(["copy", "store:shorter", "oci:out:x"], other);
    assert.equal((await skopeo(`oci:${scene.dir}/out:x`)).Digest, digest);
    await scene.ok(["copy", "oci:out:x", `${registry.host}/copied`], other);
    assert.equal(
      (await skopeo(`docker://${registry.host}/copied`, "--tls-verify=false")).Digest,
      digest,
    );
    // In the other family of media types, and back, where foreign tools see the same image.
    const raw = (at: string, ...flags: readonly string[]) =>
      tool("skopeo", ["inspect", "--raw", ...flags, at]);
    await scene.ok(["copy", name, `${registry.host}/turned`, "--format", "docker"], other);
    const turned = await raw(`docker://${registry.host}/turned`, "--tls-verify=false");
    assert.deepEqual(
      [...new Set(turned.match(/application\/vnd\.(?:docker|oci)/g))],
      ["application/vnd.docker"],
    );
    await scene.ok(["copy", `${registry.host}/turned`, "oci:turned:x", "--format=oci"], other);
    assert.equal((await skopeo(`oci:${scene.dir}/turned:x`)).Digest, digest);
    const inspected = await scene.json<
      { remote_info: { digest: string }; local_info: { digest: string; processes: unknown[] } }
    >(["inspect", name], other);
    assert.equal(inspected.remote_info.digest, digest);
    assert.equal(inspected.local_info.digest, digest);
    assert.equal(inspected.local_info.processes.length, 2);
    assert.match(await scene.ok(["inspect", name], other), /web \(default\)/);
    await scene.ok(["rm", "shorter", `${registry.host}/team/hello:2`, name], other);
    assert.deepEqual(await scene.json(["ls"], other), []);
    const gone = await scene.run(["rm", "shorter"], other);
    assert.match(gone.stderr, /^ERROR: Cannot remove shorter.*: not in the store\n$/);
  },
});

Deno.test({
  name: "serve takes what skopeo pushes and gives it back",
  ignore: !hasSkopeo,
  async fn() {
    await using scene = await makeScene();
    const { digest } = await scene.json(["build", "oci:layout:1", ...HELLO]);
    await using server = await serve(scene);
    await tool("skopeo", [
      ...["copy", "--quiet", "--dest-tls-verify=false", `oci:${scene.dir}/layout:1`],
      `docker://${server.host}/pushed/hello:1`,
    ]);
    const found = await skopeo(`docker://${server.host}/pushed/hello:1`, "--tls-verify=false");
    assert.equal(found.Digest, digest);
    // Our own client against our own server, and the store says so too.
    const other = { store: `${scene.dir}/other` };
    await scene.ok(["pull", `${server.host}/pushed/hello:1`], other);
    const published = await scene.json(
      ["build", `${server.host}/hello`, "--publish", ...HELLO],
      other,
    );
    assert.equal(published.digest, digest);
  },
});

const engine = installed("dockerd") && installed("docker") && Deno.uid() === 0;

Deno.test({
  name: "docker loads the archive and starts every process of it",
  ignore: !engine,
  async fn() {
    await using scene = await makeScene();
    await scene.ok(["build", "docker-archive:hello.tar:hello:1", ...HELLO]);
    // An engine of our own: nobody else's daemon is asked, nothing of the machine's network is changed.
    const dir = await Deno.makeTempDir({ prefix: "wherry-accept-engine-" });
    const socket = `unix://${dir}/s`;
    const daemon = startProcess("dockerd", [
      ...["--data-root", `${dir}/data`, "--exec-root", `${dir}/exec`, "-p", `${dir}/pid`],
      ...["-H", socket, "--bridge=none", "--iptables=false", "--ip6tables=false"],
    ], { env: { HOME: dir } });
    try {
      try {
        await daemon.until(/API listen on/);
      } catch (error) {
        // deno-lint-ignore no-console
        console.log(`skipped: docker load: ${(error as Error).message.slice(-300)}`);
        return;
      }
      const docker = (...args: readonly string[]) => tool("docker", ["-H", socket, ...args]);
      assert.match(await docker("load", "-i", `${scene.dir}/hello.tar`), /Loaded image: hello:1/);
      const run = (...args: readonly string[]) => docker("run", "--rm", "--network=none", ...args);
      assert.equal(await run("--entrypoint", "about", "hello:1"), "hello 1.0.0\n");
      assert.equal(await run("--entrypoint", "/cnb/process/about", "hello:1"), "hello 1.0.0\n");
      assert.equal(await run("hello:1", "--version"), "hello 1.0.0\n");
      assert.equal(
        await run("--entrypoint", "launcher", "hello:1", "--", "server", "--version"),
        "hello 1.0.0\n",
      );
    } finally {
      daemon.kill("SIGTERM");
      await daemon.ended;
      await Deno.remove(dir, { recursive: true });
    }
  },
});
