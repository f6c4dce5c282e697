import assert from "node:assert/strict";
import { parseDaemonJson, parseHostsToml } from "./mirror_foreign_conf.ts";
import { routeOf } from "./mirror_table.ts";
import { HUB } from "../oci/reference.ts";

Deno.test("C-MIRROR containerd's hosts.toml: order, capabilities, paths", () => {
  const table = parseHostsToml(
    `
server = "https://registry-1.docker.io"
[host."https://mirror.corp"]
  capabilities = ["pull", "resolve"]
[host."http://plain.corp:5000"]
  capabilities = ["pull"]
[host."https://harbor.corp/v2/hub"]
  override_path = true
[host."https://odd.corp/somewhere"]
[host."https://push.corp"]
  capabilities = ["push"]
[host."https://registry-1.docker.io"]
`,
    "docker.io",
    "hosts.toml",
  );
  assert.deepEqual(
    routeOf(table, HUB, "library/x").tries.map(({ host, repository, pull }) =>
      `${host}/${repository} ${pull}`
    ),
    [
      "mirror.corp/library/x all",
      "plain.corp:5000/library/x digest-only",
      "harbor.corp/hub/library/x all",
      `${HUB}/library/x all`,
    ],
  );
  assert.deepEqual(table[0]?.mirrors.map(({ insecure }) => insecure), [false, true, false]);
});

Deno.test("C-MIRROR containerd's directories: a port, all hosts, nothing to say", () => {
  const text = `[host."https://m.corp"]\n`;
  assert.equal(parseHostsToml(text, "r.corp_5000_", "f")[0]?.prefix, "r.corp:5000");
  assert.equal(parseHostsToml(text, "r.corp:5000", "f")[0]?.prefix, "r.corp:5000");
  assert.equal(parseHostsToml(text, "_default", "f")[0]?.prefix, "*");
  assert.deepEqual(parseHostsToml(`server = "https://x.corp"\n`, "x.corp", "f"), []);
});

Deno.test("C-MIRROR Docker's daemon.json is about Docker Hub", () => {
  const table = parseDaemonJson(
    `{"registry-mirrors":["https://m.corp/","http://n.corp:5000"],"debug":true}`,
    "daemon.json",
  );
  assert.deepEqual(
    routeOf(table, HUB, "library/x").tries.map(({ host }) => host),
    ["m.corp", "n.corp:5000", HUB],
  );
  assert.deepEqual(routeOf(table, "quay.io", "x").tries.map(({ host }) => host), ["quay.io"]);
  assert.deepEqual(parseDaemonJson("{}", "f"), []);
});

Deno.test("C-MIRROR a broken file of another engine is named", () => {
  assert.throws(() => parseHostsToml("[", "x", "/f"), {
    message: "Cannot read /f: it is not what containerd keeps there",
  });
  assert.throws(() => parseDaemonJson(`{"registry-mirrors":1}`, "/f"), {
    message: "Cannot read /f: it is not what Docker keeps there",
  });
});
