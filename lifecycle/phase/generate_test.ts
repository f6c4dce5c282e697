import assert from "node:assert/strict";
import { BuildpackError, ExitCode, LifecycleError } from "../error.ts";
import type { Plan } from "../file/plan_toml.ts";
import { Bench } from "./buildpacks_testing.ts";
import { generate } from "./generate.ts";
import type { GenerateInput, GenerateResult } from "./generate_types.ts";

const TARGET = { id: "", os: "linux", arch: "amd64", variant: "" };
const RUN = { reference: "run@sha256:0", image: "run", extend: false, target: TARGET };

/** Runs the extensions `ids` (all of version 1). */
function run(
  bench: Bench,
  ids: string,
  changes: Partial<GenerateInput> = {},
): Promise<GenerateResult> {
  return generate({
    ...bench.input(),
    extensions: ids.split(" ").map((id) => ({ id, version: "1", api: "0.10", homepage: "" })),
    plan: { entries: [] },
    generatedDir: bench.dir("layers/generated"),
    runImage: RUN,
    runNames: [{ image: "run", mirrors: ["known"] }],
    output: () => {},
    ...changes,
  }, bench.context());
}

async function fails(promise: Promise<unknown>, code: number, wanted: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof LifecycleError, String(error));
    assert.equal(error.exitCode, code, error.message);
    assert.match(error.message, wanted);
    return true;
  });
}

/** Shell that writes a Dockerfile. */
const file = (name: string, text: string) => `cat >"$1/${name}" <<'EOF'\n${text}\nEOF\n`;
const BASE = "ARG base_image\nFROM ${base_image}";

const provider = (id: string, extension = true) => ({ id, version: "1", extension });
const PLAN: Plan = {
  entries: [
    {
      providers: [provider("a"), provider("bp", false)],
      requires: [{ name: "tool", metadata: { v: "1" } }, { name: "tool", metadata: {} }],
    },
    { providers: [provider("b")], requires: [{ name: "other", metadata: {} }] },
    { providers: [provider("a", false)], requires: [{ name: "for-bp-a", metadata: {} }] },
  ],
};

Deno.test("GE-1 GE-8 each gets what is unmet of the plan, and all it got is met", async () => {
  await using bench = await Bench.make();
  const seen = 'cp "$3" "$1/seen"';
  await bench.addExtension("a", { generate: seen });
  await bench.addExtension("b", { generate: seen });
  const { plan, runImage, extend } = await run(bench, "a b", { plan: PLAN });
  assert.deepEqual(plan.entries.map(({ requires }) => requires[0]!.name), ["for-bp-a"]);
  assert.equal(
    await bench.read("layers/generated/a/seen"),
    '[[entries]]\n  name = "tool"\n  [entries.metadata]\n    v = "1"\n\n[[entries]]\n  name = "tool"\n',
  );
  assert.match(await bench.read("layers/generated/b/seen"), /name = "other"/);
  assert.equal(runImage, RUN);
  assert.deepEqual(extend, { build: false, run: false });
  assert.deepEqual(bench.names("tmp"), [], "nothing of it stays");
});

Deno.test("GE-1 ENV-5 ENV-7 what bin/generate sees", async () => {
  await using bench = await Bench.make();
  await Deno.writeTextFile(`${bench.base}/platform/env/USER_GIVEN`, "u");
  const note =
    'env | grep -E "^(CNB_|USER_|SEC)" | sort >"$1/env"; echo "$PWD $1 $2 $3" >"$1/args"';
  await bench.addExtension("a/b", { api: "0.12", generate: note });
  await bench.addExtension("old", { api: "0.9", generate: note, toml: "clear-env = true\n" });
  await run(bench, "a/b old");
  const out = `${bench.base}/layers/generated`;
  const [cwd, ...args] = (await bench.read("layers/generated/a_b/args")).trim().split(" ");
  assert.equal(cwd, `${bench.base}/app`);
  assert.deepEqual(args.slice(0, 2), [`${out}/a_b`, `${bench.base}/platform`]);
  assert.equal(
    await bench.read("layers/generated/a_b/env"),
    `CNB_BP_PLAN_PATH=${args[2]}
CNB_EXTENSION_DIR=${bench.base}/extensions/a_b/1
CNB_OUTPUT_DIR=${out}/a_b
CNB_PLATFORM_DIR=${bench.base}/platform
CNB_TARGET_ARCH=amd64
CNB_TARGET_DISTRO_NAME=debian
CNB_TARGET_DISTRO_VERSION=12
CNB_TARGET_OS=linux
USER_GIVEN=u
`,
  );
  assert.equal(
    (await bench.read("layers/generated/old/env")).replaceAll(/=.*/g, ""),
    "CNB_BP_PLAN_PATH\nCNB_EXTENSION_DIR\nCNB_OUTPUT_DIR\nCNB_PLATFORM_DIR\n",
  );
});

Deno.test("GE-2 EXT-3 where output goes, by platform API, with and without bin/generate", async () => {
  await using bench = await Bench.make();
  const config = '[[run.args]]\nname = "x"\nvalue = "1"';
  await bench.addExtension("made", {
    generate: file("run.Dockerfile", `${BASE}\nRUN a`) +
      file("build.Dockerfile", `${BASE}\nRUN b`) +
      file("extend-config.toml", config) + 'mkdir "$1/context"; echo c >"$1/context/c"',
  });
  await bench.addExtension("ready", {
    files: { "generate/build.Dockerfile": `${BASE}\nRUN c\n`, "generate/context.build/d/e": "e" },
  });
  await bench.addExtension("empty");
  const { extend } = await run(bench, "made ready empty");
  assert.deepEqual(extend, { build: true, run: true });
  assert.deepEqual(bench.names("layers/generated"), ["empty", "made", "ready"]);
  assert.deepEqual(bench.names("layers/generated/made"), [
    "build.Dockerfile",
    "context",
    "extend-config.toml",
    "run.Dockerfile",
  ]);
  assert.equal(await bench.read("layers/generated/ready/context.build/d/e"), "e");

  await Deno.remove(`${bench.base}/layers/generated`, { recursive: true });
  await run(bench, "made ready empty", { platformApi: "0.12" });
  assert.deepEqual(bench.names("layers/generated"), ["build", "run"]);
  assert.deepEqual(bench.names("layers/generated/build"), ["made", "ready"]);
  assert.deepEqual(bench.names("layers/generated/run/made"), ["Dockerfile", "extend-config.toml"]);
  assert.equal(await bench.read("layers/generated/build/ready/Dockerfile"), `${BASE}\nRUN c\n`);
  assert.deepEqual(bench.names("tmp"), []);
});

Deno.test("GE-3 GE-4 GE-5 EXC-1 output that cannot be used: 92, with its name; what is odd: a warning", async () => {
  const rows: [string, RegExp][] = [
    [
      file("build.Dockerfile", "FROM x"),
      /^failed to parse build\.Dockerfile for extension a: build\.Dockerfile did not start/,
    ],
    [
      file("run.Dockerfile", "FROM x\nFROM y"),
      /run\.Dockerfile is not permitted to use multistage/,
    ],
    [file("run.Dockerfile", "NOPE x"), /run\.Dockerfile:1: "NOPE" is no instruction/],
    [file("extend-config.toml", '[[run.args]]\nname = "user_id"'), /run\.args has "user_id"/],
    [file("extend-config.toml", "[[run"), /extend-config\.toml:1/],
    ['mkdir "$1/context" "$1/context.run"', /image-specific context dir is provided together/],
    ['ln -s /etc/passwd "$1/run.Dockerfile"', /want a file inside/],
    ['ln -s /etc "$1/context"', /want a file inside/],
  ];
  for (const [script, wanted] of rows) {
    await using bench = await Bench.make();
    await bench.addExtension("a", { generate: script });
    await fails(run(bench, "a"), ExitCode.generate, wanted);
  }
  await using bench = await Bench.make();
  await bench.addExtension("a", { generate: file("run.Dockerfile", "FROM x\nEXPOSE 80") });
  await run(bench, "a");
  assert.ok(
    bench.lines.includes("warn: run.Dockerfile command EXPOSE on line 2 is not recommended"),
  );
});

Deno.test("GE-6 GE-7 the last run.Dockerfile that switches the base decides", async () => {
  const extend = `${BASE}\nRUN x`;
  const rows: { dockerfiles: string[]; image: string; extend: boolean; ignored: string }[] = [
    { dockerfiles: ["FROM new"], image: "new", extend: false, ignored: "" },
    { dockerfiles: [extend], image: "run", extend: true, ignored: "" },
    { dockerfiles: [BASE], image: "run", extend: false, ignored: "" },
    { dockerfiles: [extend, "FROM new"], image: "new", extend: false, ignored: "0" },
    { dockerfiles: ["FROM new", extend], image: "new", extend: true, ignored: "" },
    { dockerfiles: ["FROM a", "FROM b\nRUN x", extend], image: "b", extend: true, ignored: "0" },
    { dockerfiles: ["FROM a\nRUN x", "", "FROM b"], image: "b", extend: false, ignored: "0" },
    { dockerfiles: ["FROM run"], image: "run", extend: false, ignored: "" },
    { dockerfiles: ["FROM run\nRUN x"], image: "run", extend: true, ignored: "" },
  ];
  for (const { dockerfiles, image, extend, ignored } of rows) {
    for (const platformApi of ["0.12", "0.13"]) {
      await using bench = await Bench.make();
      for (const [at, text] of dockerfiles.entries()) {
        const generate = text === "" ? "true" : file("run.Dockerfile", text);
        await bench.addExtension(`e${at}`, { generate });
      }
      const all = dockerfiles.map((_, at) => `e${at}`).join(" ");
      const { runImage } = await run(bench, all, { platformApi });
      const why = `${platformApi} ${JSON.stringify(dockerfiles)}`;
      assert.equal(runImage?.image, image, why);
      assert.equal(runImage?.extend, extend, why);
      if (image === "run") assert.deepEqual(runImage, { ...RUN, extend }, why);
      else assert.deepEqual(runImage, { image, reference: image, extend }, `${why}: no target`);
      for (const at of ignored) {
        const place = platformApi === "0.12" ? `run/e${at}` : `e${at}`;
        const name = platformApi === "0.12" ? "Dockerfile.ignore" : "run.Dockerfile.ignore";
        assert.ok(bench.names(`layers/generated/${place}`).includes(name), why);
        assert.ok(!bench.names(`layers/generated/${place}`).includes(name.slice(0, -7)), why);
      }
      const warned = bench.lines.includes(
        `warn: new runtime base image '${image}' not found in run metadata`,
      );
      assert.equal(warned, image !== "run", why);
    }
  }
  await using bench = await Bench.make();
  await bench.addExtension("e", { generate: file("run.Dockerfile", "FROM known") });
  await run(bench, "e");
  assert.ok(!bench.lines.some((line) => line.startsWith("warn")));
});

Deno.test("GE-9 a bin/generate that fails is 91, all other trouble 92", async () => {
  await using bench = await Bench.make();
  await bench.addExtension("a", { generate: "exit 3" });
  await bench.addExtension("killed", { generate: "kill -9 $$" });
  await bench.addExtension("dir", { files: { "bin/generate/x": "" } });
  await fails(run(bench, "a"), ExitCode.extensionGenerate, /"a@1": its bin\/generate exited with/);
  await fails(run(bench, "killed"), ExitCode.extensionGenerate, /was killed by SIGKILL/);
  await fails(run(bench, "dir"), ExitCode.extensionGenerate, /^Cannot generate with "dir@1"/);
  await assert.rejects(run(bench, "a"), BuildpackError);
  await fails(run(bench, "gone"), ExitCode.generate, /Cannot find extension "gone@1"/);
  await bench.addExtension("ok", { api: "0.3", generate: "true" });
  await fails(run(bench, "ok"), ExitCode.buildpackApi, /0\.3/);
  assert.deepEqual(bench.names("tmp"), []);
});
