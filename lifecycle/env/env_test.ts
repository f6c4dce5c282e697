import assert from "node:assert/strict";
import fc from "../../registry/oci/property_testing.ts";
import {
  buildEnv,
  type Env,
  type EnvFile,
  modifyEnv,
  withRoots,
  withUserVariables,
} from "./env.ts";

const env = (values: Record<string, string>): Env => new Map(Object.entries(values));
const files = (values: Record<string, string>): EnvFile[] =>
  Object.entries(values).map(([name, value]) => ({ name, value }));
const plain = (value: Env) => Object.fromEntries(value);

Deno.test("ENV-1 what a buildpack inherits, and nothing else", () => {
  const kept = {
    CNB_STACK_ID: "s",
    HOSTNAME: "h",
    HOME: "/h",
    HTTP_PROXY: "1",
    http_proxy: "2",
    HTTPS_PROXY: "3",
    https_proxy: "4",
    NO_PROXY: "5",
    no_proxy: "6",
    PATH: "/bin",
    LD_LIBRARY_PATH: "l",
    LIBRARY_PATH: "l",
    CPATH: "c",
    PKG_CONFIG_PATH: "p",
  };
  const dropped = { CNB_REGISTRY_AUTH: "x", TERM: "t", LANG: "l", TMPDIR: "t", DOCKER_CONFIG: "d" };
  assert.deepEqual(plain(buildEnv({ ...kept, ...dropped })), kept);
  assert.deepEqual(plain(buildEnv({})), {});
});

/** Every action x what was there x with or without a delimiter (23.2). */
const TABLE: [string, string | undefined, boolean, string | undefined][] = [
  // file name suffix, old value, .delim there, wanted
  [".append", undefined, false, "new"],
  [".append", undefined, true, "new"],
  [".append", "", true, "new"],
  [".append", "old", false, "oldnew"],
  [".append", "old", true, "old;new"],
  [".prepend", undefined, false, "new"],
  [".prepend", undefined, true, "new"],
  [".prepend", "", true, "new"],
  [".prepend", "old", false, "newold"],
  [".prepend", "old", true, "new;old"],
  [".override", undefined, true, "new"],
  [".override", "", false, "new"],
  [".override", "old", true, "new"],
  [".default", undefined, false, "new"],
  [".default", "", true, "new"],
  [".default", "old", true, "old"],
  [".delim", undefined, false, undefined],
  [".delim", "old", false, "old"],
  [".unknown", "old", true, "old"],
  [".append.x", "old", true, "old"],
  [".", undefined, true, "new"],
  [".", "old", true, "new:old"],
];

Deno.test("ENV-8 ENV-9 ENV-10 every suffix, unset, empty and set, with and without a delimiter", () => {
  for (const [suffix, old, delimited, want] of TABLE) {
    const given = files({
      [`X${suffix}`]: "new",
      ...(delimited ? { "X.delim": ";" } : {}),
    });
    const before = env(old === undefined ? {} : { X: old });
    for (const action of ["override", "default"] as const) {
      assert.equal(
        modifyEnv(before, given, action).get("X"),
        want,
        `${suffix} ${old} ${delimited}`,
      );
    }
  }
});

Deno.test("ENV-8 without a suffix: override in layers, default in build-config", () => {
  for (
    const [old, override, byDefault] of [[undefined, "n", "n"], ["", "n", "n"], ["o", "n", "o"]]
  ) {
    const before = env(old === undefined ? {} : { X: old });
    assert.equal(modifyEnv(before, files({ X: "n" }), "override").get("X"), override);
    assert.equal(modifyEnv(before, files({ X: "n" }), "default").get("X"), byDefault);
  }
});

Deno.test("ENV-11 files are taken in byte order, each at once, contents byte for byte", () => {
  const given = files({ "X.prepend": "p", "X.override": "o", "X.default": "d", "X.append": "a\n" });
  assert.equal(modifyEnv(env({}), given, "override").get("X"), "po");
  assert.equal(modifyEnv(env({}), files({ "X.append": "a\n" }), "override").get("X"), "a\n");
  assert.equal(
    modifyEnv(env({ X: "" }), files({ "X.append": "a", "X.default": "d" }), "override").get("X"),
    "a",
  );
});

Deno.test("ENV-8 names no environment could carry are left out", () => {
  const given = files({ ".append": "x", "A=B": "x", "A=B.append": "x" });
  assert.deepEqual(plain(modifyEnv(env({}), given, "override")), {});
});

Deno.test("ENV-3 user variables: paths in front, all else replaced, a dot is part of the name", () => {
  const before = env({ PATH: "/bin", CPATH: "", X: "old" });
  const after = withUserVariables(
    before,
    files({ PATH: "/u", CPATH: "/c", LIBRARY_PATH: "/l", X: "new", "Y.append": "y", Z: "z\n" }),
  );
  assert.deepEqual(plain(after), {
    PATH: "/u:/bin",
    CPATH: "/c",
    LIBRARY_PATH: "/l",
    X: "new",
    "Y.append": "y",
    Z: "z\n",
  });
  assert.equal(before.get("PATH"), "/bin");
});

Deno.test("ENV-13 directories of a layer in front of their variables, no colon beside nothing", () => {
  const all = ["bin", "lib", "include", "pkgconfig"];
  const build = withRoots(env({ PATH: "/bin" }), "/layers/a/l", all);
  assert.deepEqual(plain(build), {
    PATH: "/layers/a/l/bin:/bin",
    LD_LIBRARY_PATH: "/layers/a/l/lib",
    LIBRARY_PATH: "/layers/a/l/lib",
    CPATH: "/layers/a/l/include",
    PKG_CONFIG_PATH: "/layers/a/l/pkgconfig",
  });
  assert.deepEqual(plain(withRoots(env({}), "/l", [])), {});
});

Deno.test("ENV-16 each layer goes in front, so the last name comes first", () => {
  const names = ["a", "b"];
  const after = names.reduce(
    (before, name) => withRoots(before, `/l/${name}`, ["bin"]),
    env({ PATH: "/bin" }),
  );
  assert.equal(after.get("PATH"), "/l/b/bin:/l/a/bin:/bin");
});

const name = fc.constantFrom("A", "B", "PATH");
const action = fc.constantFrom("", ".append", ".prepend", ".override", ".default", ".delim");
const fileSet = fc.array(fc.record({ name, action, value: fc.constantFrom("", "x", "y:z") }))
  .map((list) =>
    [...new Map(list.map((one) => [one.name + one.action, one.value]))]
      .map(([name, value]): EnvFile => ({ name, value }))
  );

Deno.test("ENV-11 the result does not depend on the order files were listed in", () => {
  fc.assert(fc.property(fileSet, fileSet, (given, start) => {
    const before = modifyEnv(env({}), start, "override");
    const one = modifyEnv(before, given, "override");
    const other = modifyEnv(before, [...given].reverse(), "override");
    assert.deepEqual(plain(one), plain(other));
  }));
});

Deno.test("ENV-14 two layers with files of different names compose in any order", () => {
  fc.assert(fc.property(fileSet, fileSet, (left, right) => {
    const a = left.map((one) => ({ ...one, name: `L_${one.name}` }));
    const b = right.map((one) => ({ ...one, name: `R_${one.name}` }));
    const ab = modifyEnv(modifyEnv(env({}), a, "override"), b, "override");
    const ba = modifyEnv(modifyEnv(env({}), b, "override"), a, "override");
    assert.deepEqual([...ab].sort(), [...ba].sort());
  }));
});

Deno.test("ENV-10 defaults applied twice are applied once", () => {
  fc.assert(fc.property(fileSet, (given) => {
    const defaults = given.filter(({ name }) => name.endsWith(".default"));
    const once = modifyEnv(env({}), defaults, "override");
    assert.deepEqual(plain(modifyEnv(once, defaults, "override")), plain(once));
  }));
});
