import assert from "node:assert/strict";
import {
  BUILDPACK_APIS,
  buildpackCapabilities,
  capabilities,
  matchApiVersion,
  parseApiVersion,
  PLATFORM_APIS,
  platformCapabilities,
} from "./api.ts";
import { ExitCode, LifecycleError } from "./error.ts";

Deno.test("VER-1 a version is v?major.minor, a missing minor is 0", () => {
  const rows: [string, readonly [number, number] | undefined][] = [
    ["0.12", [0, 12]],
    ["v0.12", [0, 12]],
    ["1", [1, 0]],
    ["1.", [1, 0]],
    ["", undefined],
    ["0.12.1", undefined],
    ["a", undefined],
    [" 0.12", undefined],
  ];
  for (const [text, want] of rows) assert.deepEqual(parseApiVersion(text), want, text);
});

Deno.test("VER-2 below 1.0 the minor must be equal, from 1.0 on it may be older", () => {
  assert.equal(matchApiVersion("0.12", ["0.11", "0.12"]), "0.12");
  assert.equal(matchApiVersion("0.10", ["0.11", "0.12"]), undefined);
  assert.equal(matchApiVersion("1.2", ["0.12", "1.3"]), "1.3");
  assert.equal(matchApiVersion("1.4", ["0.12", "1.3"]), undefined);
  assert.equal(matchApiVersion("2.0", ["1.3"]), undefined);
});

Deno.test("VER-3 an unset, malformed or unsupported platform API ends with 11", () => {
  for (const version of ["", "x", "0.16", "0.6", "1.0"]) {
    assert.throws(
      () => platformCapabilities(version),
      (error) => error instanceof LifecycleError && error.exitCode === ExitCode.platformApi,
      version,
    );
  }
});

Deno.test("VER-4 an unset, malformed or unsupported buildpack API ends with 12 and names it", () => {
  for (const version of ["", "x", "0.6", "0.13", "1"]) {
    assert.throws(
      () => buildpackCapabilities(version, "a/b@1"),
      (error) =>
        error instanceof LifecycleError && error.exitCode === ExitCode.buildpackApi &&
        error.message.includes("a/b@1") && error.message.includes(`"${version}"`),
      version,
    );
  }
});

Deno.test("every version that is carried out has a row", () => {
  for (const version of PLATFORM_APIS) {
    assert.equal(platformCapabilities(version).platformApi, version);
  }
  for (const version of BUILDPACK_APIS) {
    assert.equal(buildpackCapabilities(version, "x").buildpackApi, version);
  }
});

Deno.test("execution environments want both sides", () => {
  assert.equal(capabilities("0.15", "0.12", "x").execEnv, true);
  assert.equal(capabilities("0.14", "0.12", "x").execEnv, false);
  assert.equal(capabilities("0.15", "0.11", "x").execEnv, false);
});

Deno.test("switches of the buildpack API come in with their version", () => {
  const on = (version: string) => {
    const can = buildpackCapabilities(version, "x");
    return [can.inputVariables, can.workingDir, can.commandArray, can.targets, can.execEnv];
  };
  assert.deepEqual(on("0.7"), [false, false, false, false, false]);
  assert.deepEqual(on("0.8"), [true, true, false, false, false]);
  assert.deepEqual(on("0.9"), [true, true, true, false, false]);
  assert.deepEqual(on("0.10"), [true, true, true, true, false]);
  assert.deepEqual(on("0.12"), [true, true, true, true, true]);
});

Deno.test("VER-2 each platform API turns on what came with it and all before", () => {
  const order = [
    ["sboms", 8],
    ["legacyBomFiles", 9],
    ["sourceDateEpoch", 9],
    ["commandArray", 10],
    ["skippingRestoresStore", 10],
    ["ownSboms", 11],
    ["targets", 12],
    ["runImageInLabel", 12],
    ["history", 12],
    ["insecureRegistries", 13],
    ["keepsOldCacheImage", 13],
    ["launchMetadataFromCache", 14],
    ["execEnv", 15],
  ] as const;
  for (const version of PLATFORM_APIS) {
    const can = platformCapabilities(version);
    const minor = Number(version.split(".")[1]);
    for (const [name, since] of order) {
      assert.equal(can[name], minor >= since, `${name} at ${version}`);
    }
  }
});
