import { equal, throws } from "node:assert/strict";
import type { BomPackage } from "./package.ts";
import { parseQuery } from "./query.ts";

function pkg(purlType: string, name: string, version: string, ...licenses: string[]): BomPackage {
  return {
    name,
    version,
    type: purlType,
    purl: purlType === "" ? "" : `pkg:${purlType}/${name}@${version}`,
    licenses,
    cpes: [],
    hashes: [],
    buildpack: "b",
    layer: "",
  };
}

const JACKSON = (version: string) =>
  pkg("maven", "com.fasterxml.jackson.core/jackson-core", version, "Apache-2.0");

const ROWS: readonly (readonly [query: string, one: BomPackage, matches: boolean])[] = [
  ["pkg:maven/com.fasterxml.jackson.core/jackson-core@<2.15", JACKSON("2.14.1"), true],
  ["pkg:maven/com.fasterxml.jackson.core/jackson-core@<2.15", JACKSON("2.15.0"), false],
  ["pkg:maven/com.fasterxml.jackson.core/jackson-core@<2.15", JACKSON("2.15.0-rc1"), true],
  ["pkg:maven/com.fasterxml.jackson.core/jackson-core@<2.15", JACKSON("2.9.10"), true],
  ["pkg:maven/com.fasterxml.jackson.core/jackson-core", JACKSON("9"), true],
  ["pkg:maven/com.fasterxml.jackson.core/*", JACKSON("9"), true],
  ["pkg:npm/com.fasterxml.jackson.core/jackson-core", JACKSON("9"), false],
  ["pkg:*/*jackson*", JACKSON("9"), true],
  ["jackson-core@2.14.1", JACKSON("2.14.1"), true],
  ["JACKSON-core", JACKSON("2.14.1"), true],
  ["core", JACKSON("2.14.1"), false],
  ["jackson-core@=2.14", JACKSON("2.14.0"), true],
  ["jackson-core@!=2.14", JACKSON("2.14.0"), false],
  ["jackson-core@>=2.14,<2.14.2", JACKSON("2.14.1"), true],
  ["jackson-core@>=2.14 <2.14.1", JACKSON("2.14.1"), false],
  ["jackson-core@<2||>=2.14", JACKSON("2.14.1"), true],
  ["jackson-core@2.14.*", JACKSON("2.14.1"), true],
  ["jackson-core@<3", JACKSON(""), false],
  ["pkg:npm/@angular/core@^1.2.3", pkg("npm", "@angular/core", "1.9.0"), true],
  ["pkg:npm/%40angular/core@^1.2.3", pkg("npm", "@angular/core", "2.0.0"), false],
  ["pkg:npm/@angular/core", pkg("npm", "@angular/core", "2.0.0"), true],
  ["x@^0.2.3", pkg("npm", "x", "0.3.0"), false],
  ["x@^0.2.3", pkg("npm", "x", "0.2.9"), true],
  ["x@~1.2.3", pkg("npm", "x", "1.2.9"), true],
  ["x@~1.2.3", pkg("npm", "x", "1.3.0"), false],
  ["x@~1", pkg("npm", "x", "1.9"), true],
  [
    "pkg:deb/ubuntu/openssl@<3.0.2-0ubuntu1.15",
    pkg("deb", "ubuntu/openssl", "3.0.2-0ubuntu1.9"),
    true,
  ],
  ["license:GPL-*", pkg("npm", "x", "1", "MIT OR GPL-2.0-only"), true],
  ["license:GPL-*", pkg("npm", "x", "1", "LGPL-2.1"), false],
  ["licence:apache-2.0", JACKSON("1"), true],
];
for (const [query, one, matches] of ROWS) {
  Deno.test(`query ${query} ${matches ? "finds" : "leaves"} ${one.name} ${one.version}`, () => {
    equal(parseQuery(query).matches(one), matches);
  });
}

Deno.test("a query that cannot be understood is refused in one line", () => {
  throws(() => parseQuery("pkg:maven"), /Cannot read query "pkg:maven": want pkg:TYPE\/NAME$/);
  throws(() => parseQuery("x@<>1"), /is no version with/);
  throws(() => parseQuery("x@^a"), /does not begin with a number$/);
  throws(() => parseQuery("license:"), /want a pattern/);
  throws(() => parseQuery(" "), /want a package/);
});
