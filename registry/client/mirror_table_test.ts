import assert from "node:assert/strict";
import { HUB } from "../oci/reference.ts";
import { type MirrorTable, normalLocation, routeOf } from "./mirror_table.ts";
import { parseRegistriesConf, parseRegistrySettings } from "./registries_conf.ts";

/** Host and repository of each try, a mark behind the place itself. */
function tries(table: MirrorTable, registry: string, repository: string): readonly string[] {
  return routeOf(table, registry, repository).tries.map(({ host, repository, pull, primary }) =>
    `${host}/${repository}${primary ? " !" : ""}${pull === "all" ? "" : ` ${pull}`}`
  );
}

const table = parseRegistriesConf(
  `
unqualified-search-registries = ["docker.io"]
short-name-mode = "enforcing"

[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "hub.corp:5000/cache"
[[registry.mirror]]
location = "hub2.corp"
insecure = true
pull-from-mirror = "digest-only"

[[registry]]
prefix = "docker.io/paketobuildpacks"
location = "registry.corp/paketo"
mirror-by-digest-only = true
[[registry.mirror]]
location = "fast.corp/p"

[[registry]]
prefix = "*.example.com"
[[registry.mirror]]
location = "mirror.corp/example"

[[registry]]
prefix = "bad.example.com/evil"
blocked = true

[[registry]]
prefix = "plain.corp"
location = "plain.corp"
insecure = true
`,
  "/etc/containers/registries.conf",
);

const rows: readonly (readonly [why: string, registry: string, repository: string, string[]])[] = [
  ["no row", "ghcr.io", "a/b", ["ghcr.io/a/b !"]],
  ["mirrors in order, the place itself last", HUB, "library/alpine", [
    "hub.corp:5000/cache/library/alpine",
    "hub2.corp/library/alpine digest-only",
    `${HUB}/library/alpine !`,
  ]],
  ["the longest prefix wins, and rewrites", HUB, "paketobuildpacks/builder", [
    "fast.corp/p/builder digest-only",
    "registry.corp/paketo/builder !",
  ]],
  ["N-09 components are whole", HUB, "paketobuildpacksx/builder", [
    "hub.corp:5000/cache/paketobuildpacksx/builder",
    "hub2.corp/paketobuildpacksx/builder digest-only",
    `${HUB}/paketobuildpacksx/builder !`,
  ]],
  ["a wild card is for hosts below", "a.b.example.com", "x", [
    "mirror.corp/example/x",
    "a.b.example.com/x !",
  ]],
  ["a wild card is not for the domain itself", "example.com", "x", ["example.com/x !"]],
  ["a wild card is not for a longer word", "badexample.com", "x", ["badexample.com/x !"]],
  ["a path beats a wild card", "bad.example.com", "evil/x", []],
  ["only that path", "bad.example.com", "good", [
    "mirror.corp/example/good",
    "bad.example.com/good !",
  ]],
  ["N-09 another port is another host", "plain.corp:5000", "x", ["plain.corp:5000/x !"]],
];
for (const [why, registry, repository, wanted] of rows) {
  Deno.test(`C-MIRROR ${why}: ${registry}/${repository}`, () => {
    assert.deepEqual(tries(table, registry, repository), wanted);
  });
}

Deno.test("C-MIRROR our own file: endpoints, no fallback, everything", () => {
  const { mirrors, offlineAllow, blockedHosts } = parseRegistrySettings(
    `
default-builder = "x"
[[mirror]]
prefix = "index.docker.io"
endpoints = ["registry.corp/hub", "second.corp"]
fallback = false
pull = "digest-only"
[[mirror]]
prefix = "*"
endpoints = ["all.corp"]
[offline]
allow = ["registry.corp"]
[block]
hosts = ["*.docker.io"]
`,
    "config.toml",
  );
  assert.deepEqual(tries(mirrors, HUB, "library/x"), [
    "registry.corp/hub/library/x digest-only",
    "second.corp/library/x digest-only",
  ]);
  assert.deepEqual(tries(mirrors, "quay.io", "a/b"), ["all.corp/a/b", "quay.io/a/b !"]);
  assert.deepEqual([offlineAllow, blockedHosts], [["registry.corp"], ["*.docker.io"]]);
});

Deno.test("C-MIRROR a bundle is an endpoint, with the repository under its own name", () => {
  const { mirrors } = parseRegistrySettings(
    `[[mirror]]
prefix = "docker.io/paketobuildpacks"
endpoints = ["registry.corp/p", "bundle:/media/usb/OUT.tar"]
fallback = false
`,
    "f",
  );
  assert.deepEqual(tries(mirrors, HUB, "paketobuildpacks/run"), [
    "registry.corp/p/run",
    "bundle:/media/usb/OUT.tar/paketobuildpacks/run",
  ]);
  assert.throws(
    () => parseRegistrySettings('[[mirror]]\nprefix = "a.b"\nendpoints = ["bundle:x.tar"]', "f"),
    /f: mirror\[0\].endpoints: "bundle:x.tar" is not bundle: with an absolute path/,
  );
});

Deno.test("C-MIRROR the first row of a prefix counts", () => {
  const first = parseRegistrySettings(
    `[[mirror]]\nprefix = "docker.io"\nendpoints = ["own.corp"]`,
    "config.toml",
  );
  assert.deepEqual(tries([...first.mirrors, ...table], HUB, "library/x"), [
    "own.corp/library/x",
    `${HUB}/library/x !`,
  ]);
});

Deno.test("C-MIRROR files of version 1 name no mirrors", () => {
  assert.deepEqual(parseRegistriesConf(`[registries.search]\nregistries = ["a"]`, "f"), []);
});

const broken: readonly (readonly [text: string, RegExp])[] = [
  ["[[mirror]\n", /^Cannot read f: line 1: \S[^\n]*$/],
  [`[[mirror]]\nprefix = "a.b"`, /^Cannot read f: mirror\[0\]\.endpoints: /],
  [
    `[[mirror]]\nprefix = "a.b"\nendpoints = ["c"]\nfalback = true`,
    /^Cannot read f: unknown key mirror\[0\]\.falback, want fallback$/,
  ],
  [`[[mirror]]\nprefix = "A B"\nendpoints = ["c"]`, /mirror\[0\]\.prefix: "A B" is not a host/],
  [`[[mirror]]\nprefix = "a.b"\nendpoints = ["*"]`, /mirror\[0\]\.endpoints: "\*" is not a host/],
  [`[[mirror]]\nprefix = "a.b"\nendpoints = ["x/../y"]`, /"x\/\.\.\/y" is not a host/],
  [`[[mirror]]\nprefix = "a.b"\nendpoints = ["u:p@x"]`, /is not a host/],
  [`[[registry]]\ninsecure = true`, /registry\[0\]: want prefix or location/],
];
for (const [text, message] of broken) {
  Deno.test(`C-MIRROR a broken file is named with the key: ${message.source}`, () => {
    assert.throws(() => parseRegistrySettings(text, "f"), { name: "TypeError", message });
  });
}

Deno.test("C-MIRROR spellings of a place", () => {
  assert.equal(normalLocation("https://Registry-1.docker.io/"), "docker.io");
  assert.equal(normalLocation("index.docker.io/library"), "docker.io/library");
  assert.equal(normalLocation("Host:5000/a/"), "host:5000/a");
});
