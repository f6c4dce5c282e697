import assert from "node:assert/strict";
import { tempDir } from "../../registry/temp_testing.ts";
import { capabilities } from "../api.ts";
import { parseBuildpackToml } from "../file/buildpack_toml.ts";
import { buildpackEnv, type EnvSources, targetVariables } from "./buildpack.ts";
import { readEnvFiles } from "./read.ts";

const TARGET = {
  os: "linux",
  arch: "arm64",
  variant: "v8",
  distro: { name: "debian", version: "12" },
};

async function withDirs(act: (base: string) => Promise<void> | void): Promise<void> {
  await using temp = await tempDir();
  const base = temp.path;
  await Deno.mkdir(`${base}/platform/env`, { recursive: true });
  await Deno.mkdir(`${base}/config/env`, { recursive: true });
  await act(base);
}

function sources(base: string, api: string, platformApi = "0.15", clear = false): EnvSources {
  const descriptor = parseBuildpackToml(
    `api = "${api}"\n[buildpack]\nid = "a/b"\nversion = "1"\nclear-env = ${clear}\n`,
    "x",
  );
  return {
    can: capabilities(platformApi, api, "a/b"),
    descriptor,
    fixed: { CNB_BUILDPACK_DIR: "/cnb/buildpacks/a_b/1" },
    platformDir: { inside: "/platform", outside: `${base}/platform` },
    buildConfigDir: { inside: "/cnb/build-config", outside: `${base}/config` },
    target: TARGET,
    execEnv: "test",
    inputs: { CNB_LAYERS_DIR: "/layers/a_b" },
  };
}

Deno.test("ENV-5 fixed variables come with the buildpack's API", async () => {
  await withDirs((base) => {
    const names = (api: string, platformApi?: string) =>
      Object.keys(buildpackEnv(new Map(), sources(base, api, platformApi))).sort();
    const target = [
      "CNB_TARGET_ARCH",
      "CNB_TARGET_ARCH_VARIANT",
      "CNB_TARGET_DISTRO_NAME",
      "CNB_TARGET_DISTRO_VERSION",
      "CNB_TARGET_OS",
    ];
    assert.deepEqual(names("0.7"), ["CNB_BUILDPACK_DIR"]);
    const inputs = ["CNB_BUILDPACK_DIR", "CNB_LAYERS_DIR", "CNB_PLATFORM_DIR"];
    assert.deepEqual(names("0.8"), inputs);
    assert.deepEqual(names("0.10"), [...inputs, ...target]);
    assert.deepEqual(names("0.12", "0.14"), [...inputs, ...target]);
    assert.deepEqual(names("0.12"), [...inputs, "CNB_EXEC_ENV", ...target].sort());
  });
});

Deno.test("ENV-2 to ENV-5 inherited, then the user's, then the operator's, then the fixed ones", async () => {
  await withDirs(async (base) => {
    const write = (path: string, text: string) => Deno.writeTextFile(`${base}/${path}`, text);
    await write("platform/env/PATH", "/user");
    await write("platform/env/X", "user");
    await write("platform/env/Y", "user");
    await write("platform/env/CNB_BUILDPACK_DIR", "forged");
    await write("config/env/X", "operator");
    await write("config/env/Y.override", "operator");
    await write("config/env/Z", "operator");
    await write("config/env/CNB_PLATFORM_DIR.override", "forged");
    const inherited = new Map([["PATH", "/bin"]]);
    const env = buildpackEnv(inherited, sources(base, "0.9"));
    assert.equal(env.PATH, "/user:/bin");
    assert.equal(env.X, "user");
    assert.equal(env.Y, "operator");
    assert.equal(env.Z, "operator");
    assert.equal(env.CNB_BUILDPACK_DIR, "/cnb/buildpacks/a_b/1");
    assert.equal(env.CNB_PLATFORM_DIR, "/platform");
    const cleared = buildpackEnv(inherited, sources(base, "0.9", "0.15", true));
    assert.equal(cleared.PATH, "/bin");
    assert.equal(cleared.X, "operator");
  });
});

Deno.test("ENV-5 ENV-6 only what is known of the run image, its distribution from the build image", () => {
  const nothing = { os: "", arch: "", variant: "" };
  const variables = targetVariables(nothing, { name: "alpine", version: "" });
  assert.equal(variables.CNB_TARGET_OS, "linux");
  assert.match(variables.CNB_TARGET_ARCH!, /^(amd64|arm64)$/);
  assert.equal(variables.CNB_TARGET_DISTRO_NAME, "alpine");
  assert.ok(!("CNB_TARGET_DISTRO_VERSION" in variables));
  assert.ok(!("CNB_TARGET_ARCH_VARIANT" in variables));
  const own = targetVariables(TARGET, { name: "alpine", version: "3" });
  assert.equal(own.CNB_TARGET_DISTRO_NAME, "debian");
});

Deno.test("ENV-11 directories are skipped, also behind links; links to files are followed", async () => {
  await withDirs(async (base) => {
    const dir = `${base}/platform/env`;
    await Deno.mkdir(`${dir}/sub`);
    await Deno.writeTextFile(`${base}/platform/real`, "value\n");
    await Deno.symlink("../real", `${dir}/LINK`);
    await Deno.symlink("sub", `${dir}/SUBLINK`);
    await Deno.symlink("none", `${dir}/DANGLING`);
    const root = { inside: "/platform", outside: `${base}/platform` };
    assert.deepEqual(readEnvFiles("/platform/env", [root]), [
      { name: "LINK", value: "value\n" },
    ]);
    assert.deepEqual(readEnvFiles("/platform/none", [root]), []);
  });
});

Deno.test("ENV-12 what no environment can carry is refused loudly", async () => {
  await withDirs(async (base) => {
    const root = { inside: "/platform", outside: `${base}/platform` };
    const path = `${base}/platform/env/X`;
    await Deno.writeFile(path, new Uint8Array([0xff, 0xfe]));
    assert.throws(() => readEnvFiles("/platform/env", [root]), {
      message: "Cannot read /platform/env/X: it is not UTF-8",
    });
    await Deno.writeTextFile(path, "a\0b");
    assert.throws(() => readEnvFiles("/platform/env", [root]), { message: /NUL/ });
    await Deno.writeTextFile(path, "\uFEFFé😀");
    assert.equal((readEnvFiles("/platform/env", [root]))[0]?.value, "\uFEFFé😀");
  });
});

Deno.test("security: a variable cannot be read from outside the build", async () => {
  await withDirs(async (base) => {
    await Deno.writeTextFile(`${base}/secret`, "s");
    await Deno.symlink(`${base}/secret`, `${base}/platform/env/X`);
    const root = { inside: "/platform", outside: `${base}/platform` };
    assert.throws(() => readEnvFiles("/platform/env", [root]), { message: /want a file inside/ });
  });
});
