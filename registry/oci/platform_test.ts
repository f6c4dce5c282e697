import { equal, throws } from "node:assert/strict";
import type { Descriptor, Platform } from "./descriptor.ts";
import { digestOf } from "./digest.ts";
import { choosePlatform, formatPlatform, parsePlatform } from "./platform.ts";

/** `os/arch/variant@version+feature`, one entry each. */
function index(...texts: readonly string[]): readonly Descriptor[] {
  return texts.map((text) => {
    const digest = digestOf(new TextEncoder().encode(text));
    const bare = { mediaType: "x/y", digest, size: 1 };
    if (text === "-") return bare;
    const [, name = "", version, feature] = /^([^@+]*)(?:@([^+]*))?(?:\+(.*))?$/.exec(text)!;
    const [os = "", architecture = "", variant] = name.split("/");
    const platform: Platform = {
      os,
      architecture,
      variant,
      "os.version": version,
      "os.features": feature === undefined ? undefined : [feature],
    };
    return { ...bare, platform };
  });
}

const rows: readonly (readonly [why: string, wanted: string, have: string, chosen: string])[] = [
  ["the very one", "linux/arm64", "linux/amd64 linux/arm64", "linux/arm64"],
  ["arm64 is arm64/v8", "linux/arm64", "linux/amd64 linux/arm64/v8", "linux/arm64/v8"],
  ["arm64/v8 is arm64", "linux/arm64/v8", "linux/arm64", "linux/arm64"],
  ["v7 before v6 before v5", "linux/arm/v7", "linux/arm/v5 linux/arm/v6", "linux/arm/v6"],
  ["no machine runs what is newer", "linux/arm/v6", "linux/arm/v7", ""],
  ["arm alone is v7", "linux/arm", "linux/arm/v6 linux/arm/v7", "linux/arm/v7"],
  ["amd64 levels", "linux/amd64/v4", "linux/amd64 linux/amd64/v3", "linux/amd64/v3"],
  ["amd64 alone is level 1", "linux/amd64", "linux/amd64/v2 linux/amd64/v1", "linux/amd64/v1"],
  ["attestations never", "linux/amd64", "unknown/unknown linux/amd64", "linux/amd64"],
  ["attestations alone never", "linux/amd64", "unknown/unknown", ""],
  ["another system", "linux/amd64", "windows/amd64", ""],
  ["the first of equals", "linux/amd64", "linux/amd64 linux/amd64", "linux/amd64"],
  ["one without a platform", "linux/amd64", "-", "-"],
  ["two without a platform", "linux/amd64", "- -", ""],
  [
    "Windows: a build is all its revisions",
    "windows/amd64@10.0.17763.1",
    "windows/amd64@10.0.20348.5 windows/amd64@10.0.17763.6",
    "windows/amd64@10.0.17763.6",
  ],
  ["Windows: no longer number", "windows/amd64@10.0.1776", "windows/amd64@10.0.17763.6", ""],
  [
    "a feature that is needed",
    "windows/amd64",
    "windows/amd64+win32k windows/amd64",
    "windows/amd64",
  ],
  [
    "a feature that is there",
    "windows/amd64+win32k",
    "windows/amd64+win32k",
    "windows/amd64+win32k",
  ],
];

for (const [why, wanted, have, chosen] of rows) {
  Deno.test(`C-GET-07 ${why}: ${wanted} of ${have}`, () => {
    const [{ platform } = {}] = index(wanted);
    const found = choosePlatform(index(...have.split(" ")), platform!);
    equal(found?.digest, index(...chosen === "" ? [] : [chosen])[0]?.digest);
  });
}

Deno.test("C-GET-07 names of platforms are read back", () => {
  for (const text of ["linux/amd64", "linux/arm/v7"]) {
    equal(formatPlatform(parsePlatform(text)), text);
  }
  for (const text of ["linux", "linux/", "/amd64", "a/b/c/d", "linux/amd64,linux/arm64", "a b/c"]) {
    throws(() => parsePlatform(text), /want os\/arch/, text);
  }
});
