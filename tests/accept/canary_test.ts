/**
 * N-10, N-15: known secrets go through every command that uses some, at the highest level of detail; then
 * everything that came out is searched for them: what was said, the files of stores and reports, the images, the
 * arguments of every process on the machine.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { gunzipSync } from "node:zlib";
import { hasRegistry, startRegistry } from "./registry_testing.ts";
import {
  EXAMPLES,
  installed,
  makeScene,
  type Outcome,
  startProcess,
  tool,
  WHERRY,
} from "./wherry_testing.ts";

const ready = hasRegistry && installed("htpasswd");

/** A secret that nothing else contains, with characters that are written differently in addresses and JSON. */
function canary(name: string): string {
  return `${name}-canary-${crypto.randomUUID().replaceAll("-", "")}/+`;
}

/** All the ways a secret is written: as it is, in an address, in JSON, in base64 alone and behind a user's name. */
function spellings(secret: string): readonly string[] {
  const base64 = [secret, `ann:${secret}`, `<token>:${secret}`].map((text) =>
    btoa(text).replace(/=+$/, "").slice(0, -2)
  );
  return [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), ...base64];
}

/** Looks at the arguments of all processes until it is told to stop. */
function watchArguments(secrets: readonly string[]): { stop(): Promise<readonly string[]> } {
  const found = new Set<string>();
  let over = false;
  const watching = (async () => {
    while (!over) {
      for await (const { name } of Deno.readDir("/proc")) {
        if (!/^\d+$/.test(name)) continue;
        const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
        for (const secret of secrets) if (line.includes(secret)) found.add(line);
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  return {
    stop: async () => {
      over = true;
      await watching;
      return [...found];
    },
  };
}

/** Files below `dir` that hold a secret, unpacked where they are gzip. */
async function search(dir: string, secrets: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory, isFile, isSymlink } of Deno.readDir(dir)) {
    const path = `${dir}/${name}`;
    for (const secret of secrets) if (name.includes(secret)) found.push(path);
    if (isSymlink && secrets.some((one) => Deno.readLinkSync(path).includes(one))) found.push(path);
    if (isDirectory) found.push(...await search(path, secrets));
    if (!isFile) continue;
    const bytes = Buffer.from(await Deno.readFile(path));
    const all: Buffer[] = [bytes];
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) all.push(gunzipSync(bytes));
    for (const one of all) {
      for (const secret of secrets) if (one.includes(secret)) found.push(`${path}: ${secret}`);
    }
  }
  return found;
}

/** A proxy that tunnels to `target` whatever it is asked for, or refuses; it keeps the heads it got. */
function proxyTo(target: string | undefined): { port: number; heads: string[] } & AsyncDisposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const heads: string[] = [];
  const talks = new Set<Promise<void>>();
  const talk = async (client: Deno.TcpConn) => {
    let server: Deno.TcpConn | undefined;
    try {
      let head = "";
      const chunk = new Uint8Array(4096);
      while (!head.includes("\r\n\r\n")) {
        const got = await client.read(chunk);
        if (got === null) return;
        head += new TextDecoder().decode(chunk.subarray(0, got));
      }
      heads.push(head);
      if (target === undefined || !head.startsWith("CONNECT ")) {
        await client.write(
          new TextEncoder().encode("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
        );
        return;
      }
      const [hostname = "", port = ""] = target.split(":");
      server = await Deno.connect({ hostname, port: Number(port) });
      await client.write(new TextEncoder().encode("HTTP/1.1 200 OK\r\n\r\n"));
      await Promise.allSettled([
        client.readable.pipeTo(server.writable),
        server.readable.pipeTo(client.writable),
      ]);
    } catch {
      // whoever was there has gone
    } finally {
      for (const one of [client, server]) {
        try {
          one?.close();
        } catch {
          // its streams have closed it
        }
      }
    }
  };
  const accepting = (async () => {
    for await (const client of listener) talks.add(talk(client));
  })();
  return {
    port: listener.addr.port,
    heads,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting.catch(() => {});
      await Promise.allSettled(talks);
    },
  };
}

Deno.test({
  name: "N-10, N-15 no secret is in any output, file, image or argument list",
  ignore: !ready,
  async fn() {
    const [basic, bearer, helper, proxied, signature, wrong] = [
      ...["basic", "bearer", "helper", "proxy", "signature", "wrong"].map(canary),
    ] as [string, string, string, string, string, string];
    const secrets = [basic, bearer, helper, proxied, signature, wrong].flatMap(spellings);
    await using scene = await makeScene();
    await using ours = await startRegistry({ ann: basic, helped: helper });
    await Deno.mkdir(`${scene.dir}/tmp`);
    await Deno.chmod(`${scene.dir}/tmp`, 0o1777);
    const users = await tool("htpasswd", ["-nbB", "-C", "5", "ann", bearer]);
    await scene.write({
      "serve/htpasswd": users.trim() + "\n",
      "bin/docker-credential-canary": `#!/bin/sh\ncat >/dev/null\n` +
        `printf '{"Username":"helped","Secret":"%s"}' '${helper}'\n`,
      "helped/config.json": JSON.stringify({ credHelpers: { [ours.host]: "canary" } }),
      "wrong/config.json": JSON.stringify({
        auths: { [ours.host]: { auth: btoa(`ann:${wrong}`) } },
      }),
    });
    await Deno.chmod(`${scene.dir}/serve/htpasswd`, 0o600);
    const watch = watchArguments([basic, bearer, helper, proxied, signature, wrong]);

    const outcomes: (readonly [string, Outcome])[] = [];
    const env = {
      TMPDIR: `${scene.dir}/tmp`,
      DOCKER_CONFIG: `${scene.dir}/docker`,
      PATH: `${scene.dir}/bin:${Deno.env.get("PATH")}`,
    };
    const run = async (args: readonly string[], more: Record<string, string> = {}) => {
      const outcome = await scene.run([...args, "--verbose"], { env: { ...env, ...more } });
      outcomes.push([args.join(" "), outcome]);
      return outcome;
    };
    const ok = async (args: readonly string[], more: Record<string, string> = {}) => {
      const outcome = await run(args, more);
      assert.equal(outcome.code, 0, `${args.join(" ")}: ${outcome.stderr}`);
    };

    const served = scene.start([
      ...["serve", "--listen", "127.0.0.1:0", "--store", `${scene.dir}/serve/store`, "--verbose"],
      ...["--htpasswd", `${scene.dir}/serve/htpasswd`, "--token"],
      ...["--access-log", `${scene.dir}/serve/access.log`],
    ], { env });
    const theirs = /127\.0\.0\.1:\d+/.exec(await served.until(/127\.0\.0\.1:\d+/))![0];

    // Signed addresses: blobs lie at another path of a server that refuses the first time it is asked there.
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: {
        mediaType: "application/vnd.oci.image.config.v1+json",
        digest: `sha256:${"1".repeat(64)}`,
        size: 2,
      },
      layers: [],
    });
    await using signing = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (asked) => {
      const url = new URL(asked.url);
      if (url.pathname.includes("/manifests/")) {
        return new Response(manifest, {
          headers: { "content-type": "application/vnd.oci.image.manifest.v1+json" },
        });
      }
      const location = `/storage?X-Amz-Signature=${encodeURIComponent(signature)}`;
      if (url.pathname === "/storage") return new Response("expired", { status: 403 });
      return new Response(null, { status: 307, headers: { location } });
    });
    const signed = `127.0.0.1:${(signing.addr as Deno.NetAddr).port}`;

    // Logging in and out, rightly and wrongly; the password comes on stdin.
    for (
      const [host, password] of [[theirs, bearer], [ours.host, basic], [ours.host, wrong]] as const
    ) {
      await scene.write({ "password": password });
      const args = ["login", host, "-u", "ann", "--password-stdin"];
      const line = `exec "$0" "$@" <${scene.dir}/password`;
      const outcome = await startProcess("/bin/sh", ["-c", line, WHERRY, ...args, "--verbose"], {
        env: { HOME: scene.home, WHERRY_STORE: scene.store, ...env },
      }).ended;
      outcomes.push([args.join(" "), outcome]);
      assert.equal(outcome.code === 0, password !== wrong, outcome.stderr);
    }
    await Deno.remove(`${scene.dir}/password`);
    assert.equal(
      (await Deno.stat(`${scene.dir}/docker/config.json`)).mode! & 0o777,
      0o600,
      "the one file that may hold secrets is private",
    );

    for (const host of [ours.host, theirs]) {
      await ok([
        ...["build", `${host}/kinds`, "--publish", "--path", `${EXAMPLES}/kinds`],
        ...["-b", `${EXAMPLES}/buildpacks/kinds`, "--run-image", "scratch"],
        ...["--report-output-dir", `${scene.dir}/report`, "--sbom-output-dir", `${scene.dir}/sbom`],
      ]);
      await ok(["inspect", `${host}/kinds`]);
      await ok(["inspect", `${host}/kinds`, "-o", "json"]);
      await ok(["pull", `${host}/kinds`]);
    }
    await ok(["copy", `${ours.host}/kinds`, `${theirs}/copied`]);
    await ok(["copy", `${theirs}/kinds`, `oci:${scene.dir}/layout:x`]);
    await ok(["copy", `${theirs}/kinds`, `docker-archive:${scene.dir}/kinds.tar`]);
    await ok(["tag", `${ours.host}/kinds`, `${ours.host}/pushed`]);
    await ok(["push", `${ours.host}/pushed`]);
    await ok(["pull", `${ours.host}/kinds`], { DOCKER_CONFIG: `${scene.dir}/helped` });
    await ok(["pull", `${ours.host}/kinds`], {
      DOCKER_CONFIG: `${scene.dir}/empty`,
      CNB_REGISTRY_AUTH: JSON.stringify({ [ours.host]: `Basic ${btoa(`ann:${basic}`)}` }),
    });

    // What goes wrong says more than what goes right.
    await run(["pull", `${ours.host}/kinds`], { DOCKER_CONFIG: `${scene.dir}/wrong` });
    await run(["pull", `${ours.host}/absent`]);
    await run(["pull", `${theirs}/absent:1`]);
    await run(["push", `${theirs}/absent:1`]);
    await run(["pull", `${signed}/kinds`]);
    await scene.write({ "broken/config.json": `{"auths":{"${ours.host}":{"auth":"${basic}` });
    await run(["pull", `${ours.host}/kinds`], { DOCKER_CONFIG: `${scene.dir}/broken` });
    await run(["pull", `${ours.host}/kinds`], { CNB_REGISTRY_AUTH: `{"x": ${basic}` });
    const userinfo = `ann:${encodeURIComponent(proxied)}`;
    {
      await using through = proxyTo(ours.host);
      await using refusing = proxyTo(undefined);
      for (const { port } of [through, refusing, { port: 1 }]) {
        const proxy = `http://${userinfo}@127.0.0.1:${port}`;
        await run([
          "pull",
          "registry.canary.test/kinds",
          "--insecure-registry",
          "registry.canary.test",
        ], {
          http_proxy: proxy,
          https_proxy: proxy,
        });
      }
      const heads = [...through.heads, ...refusing.heads].join("");
      assert.ok(heads.includes(btoa(`ann:${proxied}`)), "the proxies were used, with the password");
    }
    await run(["pull", `http://ann:${proxied.slice(0, 6)}@${ours.host}/kinds`]);
    await ok(["logout", theirs]);
    served.kill("SIGTERM");
    outcomes.push(["serve", await served.ended]);

    const seen = await watch.stop();
    assert.deepEqual(seen, [], "in the arguments of a process");
    for (const [line, { stdout, stderr }] of outcomes) {
      for (const secret of secrets) {
        assert.ok(!stdout.includes(secret), `${line} printed a secret:\n${stdout}`);
        assert.ok(!stderr.includes(secret), `${line} logged a secret:\n${stderr}`);
      }
      assert.doesNotMatch(stdout + stderr, /eyJ[\w-]{20,}\./, `${line} printed a token`);
      assert.doesNotMatch(stdout + stderr, /(Basic|Bearer) [\w+/=.-]{16,}/, `${line}: a header`);
    }
    // What may hold secrets is what we wrote there ourselves.
    for (const name of ["docker", "wrong", "broken", "bin"]) {
      await Deno.remove(`${scene.dir}/${name}`, { recursive: true });
    }
    assert.deepEqual(await search(scene.dir, secrets), []);
    assert.deepEqual(await search(`${ours.dir}/data`, secrets), []);
    // The search itself finds what there is.
    await scene.write({ "control/x": `x${basic}x` });
    assert.equal((await search(scene.dir, secrets)).length > 0, true);
  },
});
