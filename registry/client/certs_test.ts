import assert from "node:assert/strict";
import { certDirs, readCertDirs, readSystemCerts } from "./certs.ts";
import { askingServer, makeAuthority, type Pair, type TestAuthority } from "./certs_testing.ts";
import { connectRegistry } from "./client.ts";
import type { TransportOptions } from "./options.ts";
import { Transport } from "./transport.ts";
import { parseTarget } from "./url.ts";

const LOCAL = "DNS:localhost,IP:127.0.0.1";
const ignore = await new Deno.Command("openssl", { args: ["version"], stdout: "null" }).output()
  .then(({ success }) => !success, () => true);

interface Scene extends AsyncDisposable {
  readonly dir: string;
  readonly corp: TestAuthority;
  readonly other: TestAuthority;
}

async function scene(): Promise<Scene> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-certs-" });
  await Deno.mkdir(`${dir}/corp`);
  await Deno.mkdir(`${dir}/other`);
  return {
    dir,
    corp: await makeAuthority(`${dir}/corp`, "Corp"),
    other: await makeAuthority(`${dir}/other`, "Other"),
    async [Symbol.asyncDispose]() {
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** Writes `dir/host/name` for each file. */
async function write(dir: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await Deno.mkdir(`${dir}/${name.replace(/\/[^/]*$/, "")}`, { recursive: true });
    await Deno.writeTextFile(`${dir}/${name}`, text);
  }
}

/** The status, or why there is none. */
async function get(host: string, options: TransportOptions): Promise<number | string> {
  await using transport = new Transport(options);
  try {
    const answer = await transport.exchange({
      method: "GET",
      target: parseTarget(`https://${host}/`),
    });
    await answer.body.cancel();
    return answer.status;
  } catch (error) {
    const { fault, why } = error as { fault?: string; why?: string };
    return `${fault}: ${why}`;
  }
}

Deno.test({ name: "N-06 the matrix: who is trusted by whom, with certs.d", ignore }, async (t) => {
  await using all = await scene();
  const { corp, other, dir } = all;
  const good = await corp.sign("good", LOCAL);
  const rows: readonly (readonly [why: string, own: Pair, wanted: number | RegExp])[] = [
    ["signed by its authority", good, 200],
    [
      "for another host name",
      await corp.sign("wrong", "DNS:registry.example,IP:10.0.0.1"),
      /^certificate: .*(altnames|hostname|not valid for)/i,
    ],
    ["expired", await corp.sign("old", LOCAL, -1), /^certificate: .*expired/],
    ["signed by another authority", await other.sign("other", LOCAL), /^certificate: /],
    ["self-signed", await selfSigned(dir), /^certificate: /],
  ];
  for (const [why, own, wanted] of rows) {
    await t.step(why, async () => {
      await using server = await askingServer(own, corp.cert);
      const host = `127.0.0.1:${server.port}`;
      await write(`${dir}/certs.d`, { [`${host}/ca.crt`]: corp.cert });
      const hosts = await readCertDirs([`${dir}/certs.d`]);
      const seen = await get(host, { hosts });
      if (typeof wanted === "number") assert.equal(seen, wanted);
      else assert.match(String(seen), wanted);
      // Not checking is for that host alone, too.
      assert.equal(await get(host, { insecureHosts: [host] }), 200);
      assert.match(String(await get(host, { insecureHosts: ["127.0.0.1:1"] })), /^certificate/);
    });
  }
});

async function selfSigned(dir: string): Promise<Pair> {
  const { success } = await new Deno.Command("openssl", {
    args: [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", "self.key", "-out", "self.pem", "-subj", "/CN=self"],
      ...["-addext", `subjectAltName=${LOCAL}`],
    ],
    cwd: dir,
    stderr: "null",
  }).output();
  assert(success);
  return {
    cert: await Deno.readTextFile(`${dir}/self.pem`),
    key: await Deno.readTextFile(`${dir}/self.key`),
  };
}

Deno.test({ name: "N-06 an authority counts for its host only", ignore }, async () => {
  await using all = await scene();
  const { corp, dir } = all;
  const own = await corp.sign("s", LOCAL);
  await using first = await askingServer(own, corp.cert);
  await using second = await askingServer(own, corp.cert);
  await write(`${dir}/certs.d`, {
    [`localhost:${first.port}/ca.crt`]: corp.cert,
    // Without a port it is about 443, not about every port of the host.
    "127.0.0.1/ca.crt": corp.cert,
  });
  const hosts = await readCertDirs([`${dir}/certs.d`]);
  assert.equal(await get(`localhost:${first.port}`, { hosts }), 200);
  assert.match(String(await get(`localhost:${second.port}`, { hosts })), /^certificate/);
  assert.match(String(await get(`127.0.0.1:${first.port}`, { hosts })), /^certificate/);
  assert.deepEqual(Object.keys(hosts).sort(), ["127.0.0.1:443", `localhost:${first.port}`]);
});

Deno.test({
  name: "N-06 our certificate is shown to its host only, not where it redirects to",
  ignore,
}, async () => {
  await using all = await scene();
  const { corp, dir } = all;
  const own = await corp.sign("s", LOCAL);
  const mine = await corp.sign("our-name", LOCAL);
  await using storage = await askingServer(own, corp.cert);
  await using registry = await askingServer(
    own,
    corp.cert,
    () => `https://localhost:${storage.port}/blob`,
  );
  const host = `localhost:${registry.port}`;
  await write(`${dir}/certs.d`, {
    [`${host}/ca.crt`]: corp.cert,
    [`${host}/us.cert`]: mine.cert,
    [`${host}/us.key`]: mine.key,
    [`localhost:${storage.port}/ca.crt`]: corp.cert,
  });
  await using client = connectRegistry(host, { hosts: await readCertDirs([`${dir}/certs.d`]) });
  await client.stat("app", "1").catch(() => {});
  assert.deepEqual([...new Set(registry.callers)], ["our-name"]);
  assert.deepEqual([...new Set(storage.callers)], ["-"]);
});

Deno.test(
  { name: "C-CONN-04 halves and broken files are named, for their own host only", ignore },
  async () => {
    await using all = await scene();
    const { corp, dir } = all;
    const pair = await corp.sign("x", LOCAL);
    await write(`${dir}/certs.d`, {
      "a.example/us.cert": pair.cert,
      "b.example/us.key": pair.key,
      "c.example/ca.crt": "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n",
      "d.example/us.cert": pair.cert,
      "d.example/us.key": "garbage",
      "e.example/ca.crt": corp.cert,
      "f.example/readme.txt": "nothing",
    });
    const certs = `${dir}/certs.d`;
    const hosts = await readCertDirs([certs, `${dir}/absent`]);
    const message = (host: string) => {
      try {
        return hosts[host] === undefined ? "none" : "good";
      } catch (error) {
        return (error as Error).message;
      }
    };
    assert.deepEqual(
      ["a", "b", "c", "d", "e", "f"].map((name) => message(`${name}.example:443`)),
      [
        `Cannot use ${certs}/a.example/us.cert: there is no us.key beside it`,
        `Cannot use ${certs}/b.example/us.key: there is no us.cert beside it (authorities end with .crt)`,
        `Cannot use ${certs}/c.example/ca.crt: want a certificate in PEM`,
        `Cannot use ${certs}/d.example/us.key: want a private key in PEM`,
        "good",
        "none",
      ],
    );
  },
);

Deno.test({
  name: "C-CONN-04 directories in order: all authorities, the first of our certificates",
  ignore,
}, async () => {
  await using all = await scene();
  const { corp, other, dir } = all;
  const [one, two] = [await corp.sign("one", LOCAL), await corp.sign("two", LOCAL)];
  await write(`${dir}/user`, { "docker.io/us.cert": one.cert, "docker.io/us.key": one.key });
  await write(`${dir}/etc`, {
    "docker.io/ca.crt": corp.cert,
    "docker.io/us.cert": two.cert,
    "docker.io/us.key": two.key,
    "docker.io/z.crt": other.cert,
    "[::1]:5000/ca.crt": corp.cert,
  });
  const hosts = await readCertDirs([`${dir}/user`, `${dir}/etc`]);
  assert.deepEqual(hosts, {
    "registry-1.docker.io:443": { ...one, caCerts: [corp.cert, other.cert] },
    "::1:5000": { cert: undefined, key: undefined, caCerts: [corp.cert] },
  });
});

Deno.test("C-CONN-04 where certificates are looked for", () => {
  assert.deepEqual(certDirs({ HOME: "/home/u" })[0], "/home/u/.config/containers/certs.d");
  assert.deepEqual(certDirs({ HOME: "/h", XDG_CONFIG_HOME: "/x" })[0], "/x/containers/certs.d");
  assert.equal(certDirs({}).length, 2);
});

Deno.test(
  { name: "C-CONN-04 SSL_CERT_FILE and SSL_CERT_DIR take the system's place", ignore },
  async () => {
    await using all = await scene();
    const { corp, other, dir } = all;
    await write(dir, { "system/a.pem": corp.cert, "more/b.pem": other.cert, "more/c": "no" });
    const system = [`${dir}/absent`, `${dir}/system/a.pem`, `${dir}/more/b.pem`];
    assert.deepEqual(await readSystemCerts({}, system), [corp.cert]);
    const file = `${dir}/more/b.pem`;
    assert.deepEqual(await readSystemCerts({ SSL_CERT_FILE: file }, system), [other.cert]);
    assert.deepEqual(
      await readSystemCerts({ SSL_CERT_DIR: `${dir}/absent:${dir}/more` }, system),
      [other.cert],
    );
    assert.deepEqual(await readSystemCerts({ DENO_CERT: file }, system), [other.cert, corp.cert]);
    assert.deepEqual(await readSystemCerts({ SSL_CERT_FILE: `${dir}/absent` }, system), []);
  },
);
