import assert from "node:assert/strict";
import { ExitCode, LifecycleError } from "../error.ts";
import { Bench } from "./buildpacks_testing.ts";
import { detect } from "./detect.ts";
import { DetectError, type DetectInput, type DetectResult } from "./detect_types.ts";

/** `a b c`: one group; extensions are optional in any case. */
const group = (optional: boolean) => (text: string) => ({
  group: text.split(" ").filter((word) => word !== "").map((id) => ({
    id,
    version: "",
    optional,
    execEnv: [],
  })),
});

function run(
  bench: Bench,
  extensions: readonly string[],
  order: readonly string[],
  changes: Partial<DetectInput> = {},
): Promise<DetectResult> {
  return detect({
    ...bench.input(),
    order: { order: order.map(group(false)), orderExtensions: extensions.map(group(true)) },
    ...changes,
  }, bench.context());
}

const ids = ({ group }: DetectResult) =>
  `${group.extensions.map(({ id }) => id).join(" ")} | ${
    group.group.map(({ id }) => id).join(" ")
  }`;

const plan = (toml: string) => `cat >"$2" <<'EOF'\n${toml}\nEOF`;
const PROVIDES = plan('[[provides]]\nname = "tool"');
const REQUIRES = plan('[[requires]]\nname = "tool"\n[requires.metadata]\nv = "1"');

Deno.test("DT-1 DT-4 DT-23 GRP-1 extensions stand in front of every group", async () => {
  await using bench = await Bench.make();
  await bench.addExtension("ext", { detect: PROVIDES, toml: 'homepage = "h"\n' });
  await bench.addExtension("same", { detect: PROVIDES });
  await bench.add("fails", { detect: "exit 100" });
  await bench.add("same", { detect: REQUIRES });
  const result = await run(bench, ["ext same"], ["fails", "same"]);
  assert.equal(ids(result), "ext same | same");
  assert.deepEqual(result.group.extensions[0], {
    id: "ext",
    version: "1",
    api: "0.10",
    homepage: "h",
  });
  assert.equal(
    await bench.read("layers/group.toml"),
    `[[group]]
  id = "same"
  version = "1"
  api = "0.10"

[[group-extensions]]
  id = "ext"
  version = "1"
  api = "0.10"
  homepage = "h"

[[group-extensions]]
  id = "same"
  version = "1"
  api = "0.10"
`,
  );
  assert.match(await bench.read("layers/plan.toml"), /extension = true/);
  assert.deepEqual(
    result.plan.entries[0]!.providers.map(({ id, extension }) => [id, extension]),
    [["ext", true], ["same", true]],
  );
});

Deno.test("DT-8 DT-18 DT-20 extensions are always optional, and alone are no group", async () => {
  await using bench = await Bench.make();
  await bench.addExtension("unused", { detect: PROVIDES });
  await bench.addExtension("no", { detect: "exit 100" });
  await bench.add("bp", { detect: "exit 0" });
  assert.equal(ids(await run(bench, ["unused no"], ["bp"])), " | bp");
  await bench.add("fail", { detect: "exit 100" });
  const order = { order: [{ group: [{ ...group(true)("fail").group[0]! }] }] };
  await assert.rejects(
    detect({
      ...bench.input(),
      order: { ...order, orderExtensions: [group(true)("unused")] },
    }, bench.context()),
    (error) => error instanceof DetectError && error.exitCode === ExitCode.noGroup,
  );
});

Deno.test("DT-3 DT-8 groups of extensions are alternatives, and all of them may fail", async () => {
  await using bench = await Bench.make();
  await bench.addExtension("a", { detect: "exit 0" });
  await bench.addExtension("b", { detect: PROVIDES });
  await bench.add("bp", { detect: REQUIRES });
  assert.equal(ids(await run(bench, ["a", "b"], ["bp"])), "b | bp");
  await bench.add("alone", { detect: "exit 0" });
  await bench.addExtension("broken", { detect: "exit 7" });
  assert.equal(ids(await run(bench, ["broken"], ["alone"])), " | alone");
});

Deno.test("DT-16 EXT-3 an extension without bin/detect passes with what it brings along", async () => {
  await using bench = await Bench.make();
  await bench.addExtension("ready", {
    files: { "detect/plan.toml": '[[provides]]\nname = "tool"\n' },
  });
  await bench.addExtension("bare");
  await bench.add("bp", { detect: REQUIRES });
  assert.equal(ids(await run(bench, ["ready bare"], ["bp"])), "ready bare | bp");
  await bench.addExtension("bad", { files: { "detect/plan.toml": "[[provides" } });
  const { tree } = await run(bench, ["bad ready"], ["bp"]);
  assert.match(tree[0]!.members[0]!.detection.error, /plan\.toml:1/);
});

Deno.test("BPL-3 an extension that requires is an error", async () => {
  await using bench = await Bench.make();
  await bench.addExtension("top", { detect: REQUIRES });
  await bench.addExtension("or", {
    detect: plan('[[or]]\n[[or.requires]]\nname = "tool"'),
  });
  await bench.add("bp", { detect: "exit 0" });
  const { tree } = await run(bench, ["top or"], ["bp"]);
  for (const [at, id] of ["top", "or"].entries()) {
    const { detection } = tree[0]!.members[at]!;
    assert.equal(detection.code, -1);
    assert.equal(detection.error, `extension ${id} outputs "requires" which is not allowed`);
  }
});

Deno.test("ENV-5 EXT-2 DT-9 DT-12 what bin/detect of an extension sees, and who is left out", async () => {
  await using bench = await Bench.make();
  await bench.addExtension("sees", { detect: "env | grep ^CNB_ | cut -d= -f1 | sort" });
  await bench.addExtension("arm", { detect: "exit 0", toml: '[[targets]]\narch = "arm64"\n' });
  await bench.addExtension("test", {
    api: "0.12",
    detect: "exit 0",
    toml: 'exec-env = ["test"]\n',
  });
  await bench.add("bp", { detect: "exit 0" });
  const { tree } = await run(bench, ["sees arm test"], ["bp"]);
  const { members } = tree[0]!;
  assert.deepEqual(members.map(({ id, detection }) => `${id} ${detection.verdict}`), [
    "sees pass",
    "arm skip",
    "bp pass",
  ]);
  assert.equal(
    new TextDecoder().decode(members[0]!.detection.output),
    "CNB_BUILD_PLAN_PATH\nCNB_EXTENSION_DIR\nCNB_PLATFORM_DIR\nCNB_TARGET_ARCH\n" +
      "CNB_TARGET_DISTRO_NAME\nCNB_TARGET_DISTRO_VERSION\nCNB_TARGET_OS\n",
  );
  await bench.addExtension("old", { api: "0.3" });
  await assert.rejects(
    run(bench, ["old"], ["bp"]),
    (error) => error instanceof LifecycleError && error.exitCode === ExitCode.buildpackApi,
  );
});
