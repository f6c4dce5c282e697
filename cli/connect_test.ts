/** What the flags, the environment and the files of a machine make of connections. */
import assert from "node:assert/strict";
import { askingServer, makeAuthority } from "../registry/client/certs_testing.ts";
import { quirkServer } from "../registry/client/quirk_testing.ts";
import { quietContext } from "../registry/context.ts";
import { MediaType } from "../registry/oci/media_type.ts";
import type { CommonFlags } from "./common.ts";
import { connect, type Connected } from "./connect.ts";
import { failureOf } from "./exit.ts";
import type { Io } from "./io.ts";
import { DENO_ENV, FROM_SOURCE } from "./process_testing.ts";
import { run } from "./run.ts";

const MANIFEST = new TextEncoder().encode(JSON.stringify({
  schemaVersion: 2,
  mediaType: MediaType.ociManifest,
  config: { mediaType: MediaType.ociConfig, digest: `sha256:${"0".repeat(64)}`, size: 2 },
  layers: [],
}));
const image = () => new Response(MANIFEST, { headers: { "content-type": MediaType.ociManifest } });
const nothing = () => new Response(null, { status: 404 });

function ioOf(home: string, env = {}): Io {
  const sink = { write: () => {}, isTerminal: false, columns: () => 80 };
  return {
    args: [],
    env: { HOME: home, CONTAINERS_REGISTRIES_CONF: `${home}/registries.conf`, ...env },
    cwd: home,
    user: { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 },
    stdout: sink,
    stderr: sink,
    signal: new AbortController().signal,
  };
}

async function at(home: string, flags: CommonFlags = {}, env = {}): Promise<Connected> {
  return await connect(ioOf(home, env), flags, quietContext().log, "test");
}

async function homeWith(settings = ""): Promise<{ readonly dir: string } & AsyncDisposable> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-connect-" });
  await Deno.mkdir(`${dir}/.config/wherry`, { recursive: true });
  await Deno.writeTextFile(`${dir}/.config/wherry/config.toml`, settings);
  return {
    dir,
    async [Symbol.asyncDispose]() {
      await Deno.remove(dir, { recursive: true });
    },
  };
}

Deno.test("C-MISC-04 a mirror is told which registry it stands in for, the registry itself is not", async () => {
  await using mirror = quirkServer(nothing);
  await using primary = quirkServer(image);
  await using home = await homeWith(
    `[[mirror]]\nprefix = "${primary.host}"\nendpoints = ["${mirror.host}/cache"]\n`,
  );
  await using all = await at(home.dir);
  assert(await all.sources.client(primary.host).manifest("app", "1"));
  const ns = encodeURIComponent(primary.host);
  assert.deepEqual(mirror.seen.map(({ url }) => url), [`/v2/cache/app/manifests/1?ns=${ns}`]);
  assert.deepEqual(primary.seen.map(({ url }) => url), ["/v2/app/manifests/1"]);
  // What is written to is never asked through a mirror.
  await all.client(primary.host).stat("app", "1");
  assert.equal(mirror.seen.length, 1);
});

Deno.test("C-MIRROR registries.conf of other tools is read too", async () => {
  await using mirror = quirkServer(image);
  await using home = await homeWith();
  await Deno.writeTextFile(
    `${home.dir}/registries.conf`,
    `[[registry]]\nlocation = "registry.invalid"\n[[registry.mirror]]\nlocation = "${mirror.host}"\n`,
  );
  await using all = await at(home.dir);
  assert(await all.sources.client("registry.invalid").manifest("app", "1"));
});

Deno.test("C-CONN-08 offline, only what the settings allow is dialled", async () => {
  await using allowed = quirkServer(image);
  await using other = quirkServer(image);
  await using home = await homeWith(`[offline]\nallow = ["${allowed.host}"]\n`);
  {
    await using all = await at(home.dir, { offline: true });
    assert(await all.client(allowed.host).manifest("app", "1"));
    await assert.rejects(
      () => all.client(other.host).manifest("app", "1"),
      (error: Error) => {
        const { message } = error;
        assert(message.includes(`${other.host}: --offline forbids to dial it`), message);
        return true;
      },
    );
  }
  await using all = await at(home.dir, { offline: true }, { WHERRY_OFFLINE_ALLOW: other.host });
  assert(await all.client(other.host).manifest("app", "1"));
  assert.equal(other.seen.length, 1);
});

/** A port that speaks plain http, and remembers the first byte of each connection. */
function plainPort() {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const first: number[] = [];
  const serve = async (connection: Deno.TcpConn) => {
    const bytes = new Uint8Array(4096);
    try {
      for (let nth = 0;; nth++) {
        const read = await connection.read(bytes);
        if (read === null) return;
        if (nth === 0) first.push(bytes[0]!);
        const answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        await connection.write(new TextEncoder().encode(answer));
      }
    } catch {
      // The client went away.
    } finally {
      connection.close();
    }
  };
  const serving: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const connection of listener) serving.push(serve(connection));
  })();
  return {
    host: `127.0.0.1:${listener.addr.port}`,
    first,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await Promise.all(serving);
    },
  };
}

const HANDSHAKE = 0x16;
const LETTER_G = 0x47;

Deno.test("C-CONN-05 three values of insecure: http is never tried with TLS, https never without", async () => {
  await using server = plainPort();
  await using home = await homeWith();
  {
    await using all = await at(home.dir, { insecureRegistry: [`http://${server.host}`] });
    assert.equal(await all.client(server.host).manifest("app", "1"), undefined);
    assert.deepEqual(server.first, [LETTER_G]);
  }
  server.first.length = 0;
  {
    await using all = await at(home.dir, { insecureRegistry: [server.host] });
    assert.equal(await all.client(server.host).manifest("app", "1"), undefined);
    assert.deepEqual(server.first, [HANDSHAKE, LETTER_G]);
  }
  server.first.length = 0;
  await using all = await at(home.dir, { insecureRegistry: [`https://${server.host}/`] });
  await assert.rejects(() => all.client(server.host).manifest("app", "1"));
  assert(server.first.length > 0 && server.first.every((byte) => byte === HANDSHAKE));
  await assert.rejects(() => at(home.dir, { insecureRegistry: ["ftp://x"] }), {
    name: "UsageError",
    message: `Cannot use --insecure-registry "ftp://x": want a host, http://HOST or https://HOST`,
  });
});

Deno.test({
  name: "C-CONN-04, C-CONN-05 certs.d of the user and https without a check",
  ignore: await new Deno.Command("openssl", { args: ["version"], stdout: "null" }).output()
    .then(({ success }) => !success, () => true),
}, async () => {
  await using home = await homeWith();
  await Deno.mkdir(`${home.dir}/ca`);
  const corp = await makeAuthority(`${home.dir}/ca`, "Corp");
  await using server = await askingServer(
    await corp.sign("s", "DNS:localhost,IP:127.0.0.1"),
    corp.cert,
  );
  const host = `127.0.0.1:${server.port}`;
  const read = async (flags: CommonFlags) => {
    await using all = await at(home.dir, flags);
    // Any answer will do: it comes over TLS or not at all.
    return await all.client(host).stat("app", "1").then(() => "answer", (error) => error.message);
  };
  assert.match(await read({}), /its certificate is not trusted/);
  const lax = await read({ insecureRegistry: [`https://${host}`] });
  assert.doesNotMatch(lax, /certificate/);
  await Deno.mkdir(`${home.dir}/.config/containers/certs.d/${host}`, { recursive: true });
  await Deno.writeTextFile(`${home.dir}/.config/containers/certs.d/${host}/ca.crt`, corp.cert);
  assert.equal(await read({}), lax);
});

Deno.test("C-CONN-04 a --ca-cert that cannot be used is named", async () => {
  await using home = await homeWith("x = 1\n");
  const file = `${home.dir}/.config/wherry/config.toml`;
  await assert.rejects(() => at(home.dir, { caCert: [file] }), {
    name: "UsageError",
    message: `Cannot use --ca-cert "${file}": want a certificate in PEM`,
  });
});

Deno.test("C-CONN-04 a --ca-cert that is not there is refused before anything else is done", async () => {
  const io = {
    ...ioOf("/tmp"),
    args: ["copy", "--ca-cert", "/does/not/exist", "oci:/no/a", "oci:/no/b"],
  };
  await assert.rejects(() => run(io), {
    name: "UsageError",
    message: /^Cannot read --ca-cert "\/does\/not\/exist": no such file$/,
  });
});

Deno.test("a --platform that cannot be read is a wrong word, whatever the command", async () => {
  for (
    const words of [
      ["copy", "oci:/no/a", "oci:/no/b"],
      ["pull", "registry.example/app"],
      ["inspect", "registry.example/app"],
      ["build", "app"],
      ["detect"],
      ["bundle", "create", "/no/file"],
    ]
  ) {
    const io = { ...ioOf("/tmp"), args: [...words, "--platform", "linux"] };
    await assert.rejects(() => run(io), (error) => {
      assert.deepEqual(failureOf(error), {
        code: 3,
        message: 'Cannot read platform "linux": want os/arch or os/arch/variant',
      }, words.join(" "));
      return true;
    });
  }
});

const unshared = await new Deno.Command("unshare", { args: ["-n", "true"], stderr: "null" })
  .output().then(({ success }) => success, () => false);

Deno.test({
  name: "C-CONN-08 without any route: --offline names the host at once, and local work goes on",
  ignore: !unshared,
}, async () => {
  await using home = await homeWith();
  const wherry = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await new Deno.Command("unshare", {
      args: ["-n", "--", ...FROM_SOURCE, ...args],
      env: { HOME: home.dir, PATH: "/usr/bin:/bin", ...DENO_ENV },
      clearEnv: true,
      stdout: "piped",
      stderr: "piped",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, out: text(stdout), err: text(stderr) };
  };
  const asking: readonly (readonly [string, ...string[]])[] = [
    ["registry-1.docker.io", "pull", "alpine"],
    ["ghcr.io", "copy", "ghcr.io/a/b:1", `oci:${home.dir}/out`],
  ];
  for (const [host, ...args] of asking) {
    const { code, err } = await wherry(...args, "--offline");
    assert.equal(code, 1);
    assert(err.includes(`${host}: --offline forbids to dial it`), err);
    // Without the flag it would have been dialled: nothing else of it is wrong.
    const dialled = await wherry(...args);
    assert.equal(dialled.code, 1);
    assert.doesNotMatch(dialled.err, /--offline/);
    assert.match(dialled.err, /name service|no such host|no route/);
  }
  const list = await wherry("ls", "-o", "json");
  assert.deepEqual([list.code, list.out.trim()], [0, "[]"]);
});
