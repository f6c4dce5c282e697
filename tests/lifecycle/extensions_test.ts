/** Image extensions as a platform sees them: flags, files, exit codes and lines of the phases. */
import { equal, match, ok } from "node:assert/strict";
import { parseAnalyzedToml } from "../../lifecycle/file/analyzed_toml.ts";
import { extensionScene, type Scene } from "./extensions_scene_testing.ts";

const dockerfile = (kind: string, text: string) =>
  `cat >"$1/${kind}.Dockerfile" <<'EOF'\n${text}\nEOF`;
const BASE = "ARG base_image\nFROM ${base_image}";

async function analyzedOf(scene: Scene) {
  return parseAnalyzedToml(await scene.read("layers/analyzed.toml"), "analyzed.toml");
}

Deno.test("GE-7 GE-8 DT-1 the detector runs extensions and notes what they decided", async () => {
  await using scene = await extensionScene({
    "some/ext": {
      "bin/detect": 'printf \'[[provides]]\\nname = "tool"\\n\' >"$2"',
      "bin/generate": `echo generating\n${dockerfile("run", `${BASE}\nRUN x`)}`,
    },
  }, { detect: 'printf \'[[requires]]\\nname = "tool"\\n\' >"$2"' });
  equal((await scene.phase("analyze", [`${scene.host}/app`])).code, 0);
  const before = await analyzedOf(scene);
  const { code, text } = await scene.phase("detect");
  equal(code, 0, text);
  match(text, /^some\/ext 1\nbp {7}1\ngenerating$/m);
  const after = await analyzedOf(scene);
  equal(after.runImage?.extend, true);
  equal(after.runImage?.reference, before.runImage?.reference);
  equal(after.runImage?.target?.os, "linux");
  equal(await scene.read("layers/plan.toml"), "");
  match(await scene.read("layers/group.toml"), /\[\[group-extensions\]\]\n {2}id = "some\/ext"/);
  ok(await Deno.stat(`${scene.root}/layers/generated/some_ext/run.Dockerfile`));
});

Deno.test("GE-9 LOG-5 a failing bin/generate ends the detector with 91, a bad Dockerfile with 92", async () => {
  await using failing = await extensionScene({ ext: { "bin/generate": "echo no; exit 3" } });
  equal((await failing.phase("analyze", [`${failing.host}/app`])).code, 0);
  const first = await failing.phase("detect");
  equal(first.code, 91);
  match(first.text, /^no\nERROR: failed to build: .*bin\/generate exited with status 3$/m);
  await using bad = await extensionScene({
    ext: { "bin/generate": dockerfile("build", "FROM x") },
  });
  equal((await bad.phase("analyze", [`${bad.host}/app`])).code, 0);
  const second = await bad.phase("detect");
  equal(second.code, 92);
  match(
    second.text,
    /^ERROR: failed to build: failed to parse build\.Dockerfile for extension ext: /m,
  );
});

Deno.test("DT-1 VER-6 GE-2 before P0.13 extensions are an experiment", async () => {
  const files = { ext: { "bin/generate": dockerfile("build", `${BASE}\nRUN x`) } };
  await using scene = await extensionScene(files, { platformApi: "0.12" });
  equal((await scene.phase("analyze", [`${scene.host}/app`])).code, 0);
  const refused = await scene.phase("detect");
  equal(refused.code, 1);
  match(refused.text, /experimental features are disabled by CNB_EXPERIMENTAL_MODE=error/);
  const warned = await scene.phase("detect", [], { CNB_EXPERIMENTAL_MODE: "warn" });
  equal(warned.code, 0, warned.text);
  match(warned.text, /Platform requested experimental feature 'Dockerfiles'/);
  ok(await Deno.stat(`${scene.root}/layers/generated/build/ext/Dockerfile`));
});

Deno.test("GE-10 CR-2 the creator refuses extensions that take part, not those that do not", async () => {
  await using scene = await extensionScene({ ext: {} });
  const words = [`-launcher=${scene.root}/launcher`, `${scene.host}/app`];
  const { code, text } = await scene.phase("create", words);
  // The passwd file of this machine may have no user 1000 (PRIV-4).
  if (/unknown userid/.test(text)) {
    // deno-lint-ignore no-console -- a test that is skipped says so
    console.log("skipped: no user 1000 in /etc/passwd");
    return;
  }
  equal(code, 22, text);
  match(text, /detected order contains extensions which is not supported by the creator/);
  await scene.put("exts/ext/1/bin/detect", "exit 100");
  const without = await scene.phase("create", words);
  equal(without.code, 0, without.text);
});

Deno.test("ORD-2 <layers>/order.toml counts before /cnb/order.toml, and without any it is an error", async () => {
  await using scene = await extensionScene({});
  equal((await scene.phase("analyze", [`${scene.host}/app`])).code, 0);
  const none = await scene.phase("detect", [`-order=${scene.root}/none.toml`]);
  equal(none.code, 1);
  match(none.text, /failed to initialize detector: reading order: open .*none\.toml/);
  await Deno.rename(`${scene.root}/order.toml`, `${scene.root}/layers/order.toml`);
  const own = await scene.phase("detect", [], { CNB_ORDER_PATH: "" });
  equal(own.code, 0, own.text);
});
