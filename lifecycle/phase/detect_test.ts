import assert from "node:assert/strict";
import { ExitCode, LifecycleError } from "../error.ts";
import type { GroupElement } from "../file/module.ts";
import { parseSystemToml } from "../file/system_toml.ts";
import { Bench } from "./buildpacks_testing.ts";
import { detect } from "./detect.ts";
import { DetectError, type DetectInput, type DetectResult } from "./detect_types.ts";

/** `a b? c@2`: one group; `?` marks optional members. */
function group(text: string): { readonly group: readonly GroupElement[] } {
  return {
    group: text.split(" ").filter((word) => word !== "").map((word) => {
      const [id, version] = word.replace("?", "").split("@");
      return { id: id!, version: version ?? "", optional: word.endsWith("?"), execEnv: [] };
    }),
  };
}

function run(
  bench: Bench,
  order: readonly string[],
  changes: Partial<DetectInput> = {},
): Promise<DetectResult> {
  const input = bench.input();
  return detect(
    { ...input, order: { order: order.map(group), orderExtensions: [] }, ...changes },
    bench.context(),
  );
}

const ids = (result: DetectResult) => result.group.group.map(({ id }) => id).join(" ");

async function fails(promise: Promise<unknown>, exitCode: number): Promise<LifecycleError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof LifecycleError, String(error));
    assert.equal(error.exitCode, exitCode, error.message);
    return error;
  }
  throw new Error("wanted a failure");
}

/** A composite of `order` groups in the form of {@linkcode group}. */
function composite(...order: string[]): string {
  return order.map((text) =>
    "[[order]]\n" +
    group(text).group.map(({ id, version, optional }) =>
      `[[order.group]]\nid = "${id}"\nversion = "${version}"\noptional = ${optional}\n`
    ).join("")
  ).join("");
}

const PASS = "exit 0";
const FAIL = "exit 100";
const plan = (toml: string) => `cat >"$2" <<'EOF'\n${toml}\nEOF`;

Deno.test("DT-24 group.toml and plan.toml are written", async () => {
  await using bench = await Bench.make();
  await bench.add("a/x", {
    detect: plan('[[provides]]\nname = "d"'),
    toml: 'homepage = "https://h"\n',
  });
  await bench.add("b", {
    api: "0.7",
    detect: plan('[[requires]]\nname = "d"\n[requires.metadata]\nv = 1.0'),
  });
  const result = await run(bench, ["a/x b"]);
  assert.equal(ids(result), "a/x b");
  assert.equal(
    await bench.read("layers/group.toml"),
    '[[group]]\n  id = "a/x"\n  version = "1"\n  api = "0.10"\n  homepage = "https://h"\n\n' +
      '[[group]]\n  id = "b"\n  version = "1"\n  api = "0.7"\n',
  );
  assert.match(
    await bench.read("layers/plan.toml"),
    /\[entries\.requires\.metadata\]\n {6}v = 1\.0/,
  );
  assert.deepEqual(bench.names("tmp"), []);
});

Deno.test("DT-3 the first group that passes wins, each version runs once", async () => {
  await using bench = await Bench.make();
  const counted = (id: string, code: number) =>
    bench.add(id, { detect: `echo ${id} >>"${bench.base}/runs"; exit ${code}` });
  await counted("a", 0);
  await counted("b", 100);
  await counted("c", 0);
  const result = await run(bench, ["a b", "a c", "c"]);
  assert.equal(ids(result), "a c");
  assert.deepEqual((await bench.read("runs")).trim().split("\n").sort(), ["a", "b", "c"]);
  assert.deepEqual(result.tree.map(({ verdict, reason }) => [verdict, reason]), [
    ["fail", "b@1 did not pass"],
    ["pass", ""],
  ]);
});

Deno.test("DT-6 members of one group run at once", async () => {
  await using bench = await Bench.make();
  // Each waits for the other: one after the other they would never end.
  const meet = (own: string, other: string) =>
    `mkfifo "${bench.base}/${own}" 2>/dev/null || true; echo hi >"${bench.base}/${own}.txt"
     for _ in $(seq 5000); do [ -e "${bench.base}/${other}.txt" ] && exit 0; sleep 0.02; done; exit 1`;
  await bench.add("a", { detect: meet("x", "y") });
  await bench.add("b", { detect: meet("y", "x") });
  assert.equal(ids(await run(bench, ["a b"])), "a b");
});

Deno.test("DT-4 the rest of the group is tried with each alternative of a composite", async () => {
  await using bench = await Bench.make();
  await bench.add("one", { detect: plan('[[provides]]\nname = "x"') });
  await bench.add("two", { detect: plan('[[provides]]\nname = "y"') });
  await bench.add("needs-y", { detect: plan('[[requires]]\nname = "y"') });
  await bench.add("meta", { toml: composite("one", "two") });
  const result = await run(bench, ["meta needs-y"]);
  assert.equal(ids(result), "two needs-y");
  assert.deepEqual(result.tree[1]?.members.map(({ from }) => from), [["meta@1"], []]);
});

Deno.test("DT-4 an id is taken once, whatever its version", async () => {
  await using bench = await Bench.make();
  await bench.add("a", { version: "1", detect: PASS });
  await bench.add("a", { version: "2", detect: FAIL });
  await bench.add("meta", { toml: composite("a@2") });
  const result = await run(bench, ["a@1 meta"]);
  assert.deepEqual(result.group.group.map(({ version }) => version), ["1"]);
});

Deno.test("DT-8 an optional composite without a passing alternative is left out", async () => {
  await using bench = await Bench.make();
  await bench.add("a", { detect: PASS });
  await bench.add("b", { detect: FAIL });
  await bench.add("inner", { toml: composite("b") });
  await bench.add("outer", { toml: composite("inner") });
  assert.equal(ids(await run(bench, ["outer? a"])), "a");
  await fails(run(bench, ["outer a"]), ExitCode.noGroup);
});

Deno.test("DT-7 a composite that is part of itself ends with 22 and shows the circle", async () => {
  await using bench = await Bench.make();
  await bench.add("a", { toml: composite("b") });
  await bench.add("b", { toml: composite("a") });
  const error = await fails(run(bench, ["a"]), ExitCode.detect);
  assert.match(error.message, /a@1 -> b@1 -> a@1/);
});

Deno.test("DT-7 a composite twice in a row is no circle", async () => {
  await using bench = await Bench.make();
  await bench.add("x", { detect: PASS });
  await bench.add("y", { detect: PASS });
  await bench.add("inner", { toml: composite("x") });
  await bench.add("outer", { toml: composite("inner y inner") });
  assert.equal(ids(await run(bench, ["outer"])), "x y");
});

Deno.test("DT-2 what is missing, where, and which API is not supported", async () => {
  await using bench = await Bench.make();
  await bench.add("a", { detect: PASS });
  await bench.add("old", { api: "0.6", detect: PASS });
  await bench.add("meta", { toml: composite("none@3") });
  await bench.add("meta-old", { toml: composite("old") });
  const top = await fails(run(bench, ["a none@2"]), ExitCode.failure);
  assert.match(top.message, /"none@2", named by the order/);
  const nested = await fails(run(bench, ["a meta"]), ExitCode.detect);
  assert.match(nested.message, /"none@3", named by "meta@1"/);
  await fails(run(bench, ["old"]), ExitCode.buildpackApi);
  await fails(run(bench, ["meta-old"]), ExitCode.buildpackApi);
  await fails(run(bench, ["a"], { platformApi: "0.3" }), ExitCode.platformApi);
  const extensions = { order: [group("a")], orderExtensions: [group("e")] };
  await fails(run(bench, [], { order: extensions }), ExitCode.failure);
});

Deno.test("DT-14 0 passes, 100 fails, all else is an error", async () => {
  const rows: [string, string | undefined, string, number, RegExp][] = [
    ["pass", PASS, "pass", 0, /^$/],
    ["fail", FAIL, "fail", 100, /^$/],
    ["another code", "exit 3", "error", 3, /^$/],
    ["killed", "kill -9 $$", "error", -1, /SIGKILL/],
    ["not there", undefined, "error", -1, /no such file/],
    ["a bad plan", plan("[[provides"), "error", -1, /plan\.toml:1/],
    ["a bad plan but failed", `${plan("[[provides")}\nexit 100`, "fail", 100, /^$/],
    [
      "an old version",
      plan('[[requires]]\nname="a"\nversion="1"'),
      "error",
      -1,
      /metadata\.version/,
    ],
    ["a plan that is a link", 'rm "$2"; ln -s /etc/passwd "$2"', "error", -1, /want a file inside/],
  ];
  for (const [why, script, verdict, code, error] of rows) {
    await using bench = await Bench.make();
    await bench.add("a", { ...(script === undefined ? {} : { detect: script }) });
    await bench.add("b", { detect: PASS });
    const { tree } = await run(bench, ["a? b"]);
    const { detection } = tree[0]!.members[0]!;
    assert.equal(detection.verdict, verdict, why);
    assert.equal(detection.code, code, why);
    assert.match(detection.error, error, why);
  }
});

Deno.test("DT-15 the plan file is there, empty and for its owner only", async () => {
  await using bench = await Bench.make();
  await bench.add("a", { detect: '[ -f "$2" ] && [ ! -s "$2" ] && stat -c %a "$2"; pwd; echo $1' });
  const { tree } = await run(bench, ["a"]);
  const output = new TextDecoder().decode(tree[0]!.members[0]!.detection.output);
  assert.equal(output, `600\n${bench.base}/app\n${bench.base}/platform\n`);
});

Deno.test("DT-17 20 when nobody erred, 21 when anybody did, optional or not", async () => {
  await using bench = await Bench.make();
  await bench.add("pass", { detect: PASS });
  await bench.add("fail", { detect: FAIL });
  await bench.add("error", { detect: "exit 1" });
  const none = await fails(run(bench, ["pass fail", "fail"]), ExitCode.noGroup);
  assert.ok(none instanceof DetectError);
  assert.equal(none.tree.length, 2);
  assert.equal(
    none.message,
    "No buildpack groups passed detection. " +
      "Please check that you are running against the correct path: fail@1 did not pass",
  );
  const errored = await fails(run(bench, ["error", "fail"]), ExitCode.noGroupErrored);
  assert.equal(
    errored.message,
    "No buildpack groups passed detection: error@1 had an error; fail@1 did not pass",
  );
  assert.ok(!bench.lines.some((line) => line.startsWith("error: ")), "said once, by who throws");
  await fails(run(bench, ["error? fail"]), ExitCode.noGroupErrored);
  assert.equal(ids(await run(bench, ["error? pass"])), "pass");
});

Deno.test("DT-18 at least one buildpack must pass", async () => {
  await using bench = await Bench.make();
  await bench.add("fail", { detect: FAIL });
  const error = await fails(run(bench, ["fail?"]), ExitCode.noGroup);
  assert.ok(error instanceof DetectError);
  assert.equal(error.tree[0]?.reason, "no buildpack passed");
  assert.ok(bench.lines.includes("info: fail: no viable buildpacks in group"));
});

Deno.test("DT-10 D15 a target that does not suit: an error when required, left out when optional", async () => {
  await using bench = await Bench.make();
  const windows = '[[targets]]\nos = "windows"\n';
  await bench.add("a", { detect: `touch "${bench.base}/ran"`, toml: windows });
  await bench.add("b", { detect: PASS });
  const error = await fails(run(bench, ["a b"]), ExitCode.noGroupErrored);
  assert.ok(error instanceof DetectError);
  assert.match(error.tree[0]!.members[0]!.detection.error, /unable to satisfy target/);
  assert.equal(ids(await run(bench, ["a? b"])), "b");
  assert.ok(!bench.names(".").includes("ran"));
});

Deno.test("DT-12 DT-13 execution environments leave out a buildpack as if it were not there", async () => {
  await using bench = await Bench.make();
  await bench.add("t", { api: "0.12", detect: PASS, toml: 'exec-env = ["test"]\n' });
  await bench.add("old", { api: "0.11", detect: PASS, toml: 'exec-env = ["test"]\n' });
  await bench.add("p", { api: "0.12", detect: PASS });
  assert.equal(ids(await run(bench, ["t old p"])), "old p");
  assert.equal(ids(await run(bench, ["t old p"], { execEnv: "test" })), "t old p");
  assert.equal(ids(await run(bench, ["t old p"], { platformApi: "0.14" })), "t old p");
  const marked = group("p old").group.map((one) => ({
    ...one,
    execEnv: one.id === "old" ? ["test"] : [],
  }));
  const order = { order: [{ group: marked }], orderExtensions: [] };
  assert.equal(ids(await run(bench, [], { order })), "p");
  assert.equal(ids(await run(bench, [], { order, execEnv: "test" })), "p old");
});

Deno.test("SYS-2 system buildpacks take part from P0.15 on", async () => {
  await using bench = await Bench.make();
  for (const id of ["pre", "a", "post"]) await bench.add(id, { detect: PASS });
  const system = parseSystemToml(
    '[[system.pre.buildpacks]]\nid = "pre"\n[[system.post.buildpacks]]\nid = "post"\n',
    "x",
  );
  assert.equal(ids(await run(bench, ["a"], { system })), "pre a post");
  assert.equal(ids(await run(bench, ["a"], { system, platformApi: "0.14" })), "a");
});

Deno.test("ENV-5 ENV-7 what bin/detect sees", async () => {
  await using bench = await Bench.make();
  await Deno.writeTextFile(`${bench.base}/platform/env/USER_GIVEN`, "u");
  await bench.add("new", {
    api: "0.12",
    detect: "env -0 | sort -z | tr '\\0' '\\n'; [ \"$CNB_BUILD_PLAN_PATH\" = \"$2\" ]",
  });
  await bench.add("old", { api: "0.7", detect: "env | grep -c ^CNB_ || true" });
  const { tree } = await run(bench, ["new old"]);
  const [newer, older] = tree[0]!.members.map(({ detection }) =>
    new TextDecoder().decode(detection.output)
  );
  const names = newer!.split("\n").map((line) => line.split("=")[0]!).filter((one) =>
    /^(CNB|USER|SEC)/.test(one)
  );
  assert.deepEqual(names, [
    "CNB_BUILDPACK_DIR",
    "CNB_BUILD_PLAN_PATH",
    "CNB_EXEC_ENV",
    "CNB_PLATFORM_DIR",
    "CNB_TARGET_ARCH",
    "CNB_TARGET_DISTRO_NAME",
    "CNB_TARGET_DISTRO_VERSION",
    "CNB_TARGET_OS",
    "USER_GIVEN",
  ]);
  assert.equal(older, "1\n");
});

Deno.test("DT-25 DT-26 the lines of a detection that passed", async () => {
  await using bench = await Bench.make();
  await bench.add("long/name", {
    version: "1.0",
    detect: `echo out; ${plan('[[provides]]\nname = "d"')}`,
  });
  await bench.add("b", { detect: `${plan('[[requires]]\nname = "d"')}` });
  await bench.add("c", { detect: FAIL });
  await bench.add("e", { detect: "echo boom >&2; exit 7" });
  await bench.add("u", { detect: plan('[[provides]]\nname = "z"') });
  await run(bench, ["long/name b c? e? u?"]);
  assert.deepEqual(bench.lines, [
    "debug: ======== Output: long/name@1.0 ========",
    "debug: out",
    "info: ======== Output: e@1 ========",
    "info: boom",
    "debug: ======== Results ========",
    "debug: pass: long/name@1.0",
    "debug: pass: b@1",
    "debug: skip: c@1",
    "info: err:  e@1 (7)",
    "debug: pass: u@1",
    "debug: Resolving plan... (try #1)",
    "debug: skip: u@1 provides unused z",
    "info: 2 of 5 buildpacks participating",
    "info: long/name 1.0",
    "info: b         1",
  ]);
});

Deno.test("DT-25 DT-26 after a failure all lines are shown", async () => {
  await using bench = await Bench.make();
  await bench.add("a", { detect: `echo seen; ${plan('[[requires]]\nname = "d"')}` });
  const error = await fails(run(bench, ["a"]), ExitCode.noGroup);
  assert.ok(error instanceof DetectError);
  assert.equal(error.tree[0]?.reason, "a@1 requires d");
  assert.deepEqual(bench.lines.slice(0, 7), [
    "info: ======== Output: a@1 ========",
    "info: seen",
    "info: ======== Results ========",
    "info: pass: a@1",
    "info: Resolving plan... (try #1)",
    "info: fail: a@1 requires d",
    "info: check the provided order to ensure that buildpacks providing dependencies run before " +
    "the buildpacks that require them",
  ]);
});

Deno.test("SIG-1 an aborted detection leaves nothing behind", async () => {
  await using bench = await Bench.make();
  const started = `${bench.base}/started`;
  await bench.add("a", { detect: `touch "${started}"; exec sleep 600` });
  const abort = new AbortController();
  const input = { ...bench.input(), order: { order: [group("a")], orderExtensions: [] } };
  const watcher = Deno.watchFs(bench.base);
  const running = detect(input, bench.context(abort.signal));
  for await (const event of watcher) {
    if (event.paths.includes(started)) break;
  }
  abort.abort(new Error("Ctrl-C"));
  await assert.rejects(running, { message: "Ctrl-C" });
  assert.deepEqual(bench.names("tmp"), []);
  assert.deepEqual(bench.names("layers"), []);
});
