import assert from "node:assert/strict";
import type { ImageConfig } from "../../registry/oci/config.ts";
import { LifecycleError } from "../error.ts";
import {
  checkProcessTypes,
  chooseDefaultType,
  composeConfig,
  type ConfigParts,
} from "./export_config.ts";
import { DEFAULT_CREATED } from "./created.ts";

const BASE: ImageConfig = {
  os: "linux",
  architecture: "arm64",
  variant: "v8",
  "os.version": "1",
  created: "2025-01-01T00:00:00Z",
  container: "abc",
  author: "me",
  config: {
    User: "cnb",
    Env: ["LANG=C", "PATH=/usr/bin", "CNB_APP_DIR=/old"],
    Cmd: ["sh"],
    Entrypoint: ["/init"],
    Labels: { b: "1", a: "2", "io.buildpacks.rebasable": "true" },
    ExposedPorts: { "80/tcp": {} },
    StopSignal: "SIGINT",
    Unknown: [1],
  },
  rootfs: { type: "layers", diff_ids: [] },
  history: [
    { created: "2024-01-01T00:00:00Z", created_by: "one" },
    { created_by: "nothing", empty_layer: true },
    { created: "2024-01-02T00:00:00Z", created_by: "two", comment: "c" },
  ],
};

const PARTS: ConfigParts = {
  platformApi: "0.13",
  layersDir: "/layers",
  appDir: "/workspace",
  defaultType: "web",
  labels: new Map([["a", "new"], ["B", "x"]]),
  createdBy: ["mine"],
  created: DEFAULT_CREATED,
  baseLayers: 2,
};

function compose(base: Partial<ImageConfig> = {}, parts: Partial<ConfigParts> = {}): ImageConfig {
  return composeConfig({ ...BASE, ...base }, { ...PARTS, ...parts });
}

Deno.test("CF-1 the entrypoint is the default process or the launcher; Cmd goes", () => {
  assert.deepEqual(compose().config.Entrypoint, ["/cnb/process/web"]);
  assert.deepEqual(compose({}, { defaultType: undefined }).config.Entrypoint, [
    "/cnb/lifecycle/launcher",
  ]);
  assert.equal("Cmd" in compose().config, false);
  assert.equal(compose().config.WorkingDir, "/workspace");
});

Deno.test("CF-1 which process is the default", () => {
  assert.equal(chooseDefaultType(["web", "task"], "task", "web"), "task");
  assert.equal(chooseDefaultType(["web", "task"], undefined, "web"), "web");
  assert.equal(chooseDefaultType(["web"], undefined, undefined), undefined);
  assert.equal(chooseDefaultType(["web"], "", "web"), "web");
  assert.throws(
    () => chooseDefaultType(["web"], "nope", "web"),
    (error) =>
      error instanceof LifecycleError && error.exitCode === 62 &&
      error.message === "tried to set nope to default but it doesn't exist: the image has web",
  );
});

Deno.test("CF-2 variables are set in place or added in order", () => {
  assert.deepEqual(compose().config.Env, [
    "LANG=C",
    "PATH=/cnb/process:/cnb/lifecycle:/usr/bin",
    "CNB_APP_DIR=/workspace",
    "CNB_LAYERS_DIR=/layers",
    "CNB_PLATFORM_API=0.13",
    "CNB_DEPRECATION_MODE=quiet",
  ]);
});

Deno.test("CF-2 a base without PATH gets one without an empty part", () => {
  for (const Env of [undefined, null, [], ["PATH="]]) {
    const { Env: env } = compose({ config: { Env } }).config;
    assert.ok(env?.includes("PATH=/cnb/process:/cnb/lifecycle"), JSON.stringify(Env));
  }
});

Deno.test("CF-3 all else of the base stays, also what nobody knows", () => {
  const { variant, author, config, ...all } = compose();
  assert.equal(variant, "v8");
  assert.equal(all["os.version"], "1");
  assert.equal(author, "me");
  assert.equal(config.User, "cnb");
  assert.equal(config["StopSignal"], "SIGINT");
  assert.deepEqual(config["Unknown"], [1]);
  assert.deepEqual(config["ExposedPorts"], { "80/tcp": {} });
});

Deno.test("CF-4 creation time, and no container", () => {
  assert.equal(compose().created, "1980-01-01T00:00:01Z");
  assert.equal("container" in compose(), false);
  assert.equal(
    compose({}, { created: new Date(1_700_000_000_000) }).created,
    "2023-11-14T22:13:20Z",
  );
});

Deno.test("CF-5 history has one entry a layer, the base's without empty ones", () => {
  const created = "1980-01-01T00:00:01Z";
  assert.deepEqual(compose().history, [
    { created, created_by: "one" },
    { created, created_by: "two", comment: "c" },
    { created, created_by: "mine" },
  ]);
});

Deno.test("CF-5 a base whose history does not fit gets blank entries", () => {
  const created = "1980-01-01T00:00:01Z";
  for (const history of [undefined, [], BASE.history?.slice(1)]) {
    assert.deepEqual(compose({ history }).history, [
      { created },
      { created },
      { created, created_by: "mine" },
    ]);
  }
});

Deno.test("LB-7 LB-8 labels of the base stay, ours replace them, sorted by bytes", () => {
  assert.deepEqual(Object.entries(compose().config.Labels ?? {}), [
    ["B", "x"],
    ["a", "new"],
    ["b", "1"],
    ["io.buildpacks.rebasable", "true"],
  ]);
});

Deno.test("LTM-5 process types that cannot be used end with 62", () => {
  checkProcessTypes(["web", "a.b", "a_b-1"]);
  for (const type of ["", "..", "a/b", "a:b", "a|b", "a&b", "a\\b", "a<b", "a>b"]) {
    assert.throws(
      () => checkProcessTypes(["web", type]),
      (error) => error instanceof LifecycleError && error.exitCode === 62,
      type,
    );
  }
});
