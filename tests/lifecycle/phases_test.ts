/**
 * Phases in this process, against our own server: what each platform API changes in an image, what phases say, and
 * what they leave behind. The process pretends to be user 1000; buildpacks run as whoever runs the tests.
 */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { parseToml } from "../../lifecycle/file/toml.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { buildAll, scene } from "./scene_testing.ts";

const WITH_BOM = `cat > "$1/launch.toml" <<'END'
[[processes]]
type = "web"
command = "run"
args = ["a"]
[[bom]]
name = "thing"
END
printf '[[bom]]\\nname = "tool"\\n' > "$1/build.toml"
mkdir -p "$1/l" && printf '[types]\\nlaunch = true\\n' > "$1/l.toml"`;

Deno.test("MDT-2 LB-1 LB-3 CF-5 BU-9 RPT-1 what each platform API makes of one build", async () => {
  for (const minor of [7, 8, 9, 10, 11, 12, 15]) {
    await using at = await scene(`0.${minor}`, "exit 0", WITH_BOM);
    await buildAll(at);
    const { config } = (await at.image("app"))!;
    const label = (name: string) => JSON.parse(labelOf(config, `io.buildpacks.${name}`)!);
    const since = (first: number) => minor >= first;
    const why = `platform API 0.${minor}`;

    const metadata = label("lifecycle.metadata");
    strictEqual(metadata.runImage.image !== undefined, since(12), `${why}: LB-1 run image's name`);
    deepStrictEqual(metadata.stack.runImage.mirrors, ["mirror.example/run:base"], why);
    strictEqual(metadata.sbom !== undefined, since(9), `${why}: the BOM file makes an SBOM layer`);
    const build = label("build.metadata");
    deepStrictEqual(build.processes[0].command, since(10) ? ["run"] : "run", why);
    strictEqual(build.bom?.[0].name, since(9) ? undefined : "thing", why);

    const history = config.history!.map(({ created_by }) => created_by);
    strictEqual(history.length, config.rootfs.diff_ids.length);
    strictEqual(history.at(-1), since(12) ? "Buildpacks Process Types" : undefined, why);
    strictEqual(history[0], since(12) ? "first" : undefined, why);

    const read = async (path: string) =>
      parseToml(await Deno.readTextFile(`${at.root}/layers/${path}`), path);
    const launch = (await read("config/metadata.toml")) as { bom?: unknown; processes: never[] };
    strictEqual(launch.bom === undefined, since(9), why);
    const report = (await read("report.toml")) as { build?: { bom: { name: string }[] } };
    const names = report.build?.bom.map(({ name }) => name);
    deepStrictEqual(names, since(9) ? undefined : ["tool"], why);
    const analyzed = (await read("analyzed.toml")) as { "run-image": Record<string, unknown> };
    strictEqual("image" in analyzed["run-image"], since(12), `${why}: ANT-1`);
    strictEqual("target" in analyzed["run-image"], since(12), `${why}: ANT-1`);
  }
});

Deno.test("DT-24 DT-26 LOG-5 nobody detects: the lines people grep for, and 20", async () => {
  await using at = await scene("0.13", "echo not mine; exit 100");
  strictEqual((await at.phase("analyze", [`${at.host}/app`])).code, 0);
  const { code, text } = await at.phase("detect", []);
  strictEqual(code, 20);
  strictEqual(
    text,
    `======== Output: some/bp@1 ========
not mine
======== Results ========
fail: some/bp@1
ERROR: No buildpack groups passed detection.
ERROR: Please check that you are running against the correct path.
ERROR: failed to detect: no buildpacks participating
`,
  );
  await using errored = await scene("0.13", "exit 7");
  strictEqual((await errored.phase("analyze", [`${errored.host}/app`])).code, 0);
  const second = await errored.phase("detect", []);
  strictEqual(second.code, 21);
  match(second.text, /^err: {2}some\/bp@1 \(7\)$/m);
  match(
    second.text,
    /^ERROR: failed to detect: buildpack\(s\) failed with err: some\/bp@1 had an /m,
  );
});

Deno.test("LOG-4 LOG-7 LOG-8 what phases say, at info and at debug", async () => {
  const build =
    `mkdir -p "$1/c" && printf '[types]\\ncache = true\\nlaunch = true\\n' > "$1/c.toml"`;
  await using at = await scene("0.13", "exit 0", build);
  await buildAll(at);
  const said = await buildAll(at, ["-log-level=debug"]);
  for (
    const line of [
      /^Restoring metadata for "some\/bp:c" from app image$/m,
      /^Restoring data for "some\/bp:c" from cache$/m,
      /^Restoring data for SBOM from previous image$/m,
      /^Reusing layers from image '127\.0\.0\.1:\d+\/app@sha256:[0-9a-f]{64}'$/m,
      /^Reusing layer 'some\/bp:c'$/m,
      /^Reused 1\/1 app layer\(s\)$/m,
      /^Adding label 'io\.buildpacks\.lifecycle\.metadata'$/m,
      /^no default process type$/m,
      /^Saving 127\.0\.0\.1:\d+\/app\.\.\.$/m,
      /^\*\*\* Images \(sha256:[0-9a-f]{64}\):$/m,
      /^Reusing cache layer 'some\/bp:c'$/m,
      /^Timer: Exporter started at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/m,
      /^Timer: Exporter ran for [\d.]+s and ended at /m,
    ]
  ) {
    match(said, line);
  }
});

Deno.test("AN-3 2.3 a registry that is not there: 32, and what could not be reached", async () => {
  await using at = await scene("0.13");
  const gone = "127.0.0.1:1/app";
  const words = [`-run-image=${at.host}/run:base`, gone];
  const { code, text } = await at.phase("analyze", words);
  strictEqual(code, 32);
  match(
    text,
    /^ERROR: failed to initialize analyzer: validating registry read access: failed to ensure registry read access to 127\.0\.0\.1:1\/app: /m,
  );
});

Deno.test("ANT-2 RE-5 VER-4 files that are gone or broken, by phase", async () => {
  await using at = await scene("0.13");
  const { root, host } = at;
  strictEqual((await at.phase("build", [])).code, 1, "no group.toml");
  strictEqual((await at.phase("restore", [])).code, 42, "no group.toml");
  strictEqual((await at.phase("export", [`${host}/app`])).code, 3, "no analyzed.toml");
  strictEqual((await at.phase("analyze", [`${host}/app`])).code, 0);
  strictEqual((await at.phase("export", [`${host}/app`])).code, 62, "no group.toml");
  const group = (api: string) => `[[group]]\nid = "some/bp"\nversion = "1"\n${api}\n`;
  for (const api of ['api = "0.99"', "", 'api = ""']) {
    await Deno.writeTextFile(`${root}/layers/group.toml`, group(api));
    for (
      const [name, words] of [["build", []], ["restore", []], ["export", [`${host}/app`]]] as const
    ) {
      strictEqual((await at.phase(name, words)).code, 12, `${name} ${api}`);
    }
  }
  await Deno.writeTextFile(`${root}/layers/group.toml`, group('api = "0.7"'));
  await Deno.writeTextFile(`${root}/layers/analyzed.toml`, "not [toml");
  const { code, text } = await at.phase("restore", []);
  strictEqual(code, 0);
  match(text, /^Warning: Not using analyzed data, usable file not found: Cannot parse /m);
});

Deno.test("SIG-1 a phase that is stopped leaves the tag untouched and no temporary files", async () => {
  await using at = await scene("0.13", "exit 0", "sleep 60");
  for (const name of ["analyze", "detect"] as const) {
    strictEqual((await at.phase(name, name === "analyze" ? [`${at.host}/app`] : [])).code, 0);
  }
  const stop = new AbortController();
  const reason = new Error("stopped");
  const building = at.phase("build", [], {}, stop.signal);
  stop.abort(reason);
  strictEqual(await building.catch((error) => error), reason);
  strictEqual(await at.image("app"), undefined);
});

Deno.test("OL-1 OL-3 OL-4 images as layouts: no registry is asked, each name is a place of its own", async () => {
  await using at = await scene("0.12");
  const { root } = at;
  const { saveRunImage } = await import("../oracle/run_image.ts");
  const base = `${root}/layouts/registry.example/run/base`;
  await Deno.mkdir(base, { recursive: true });
  await saveRunImage(base);
  const env = {
    CNB_EXPERIMENTAL_MODE: "quiet",
    CNB_USE_LAYOUT: "1",
    CNB_LAYOUT_DIR: `${root}/layouts`,
  };
  const names = ["registry.example/app", "registry.example/app:two", "app"];
  const words = names.slice(1, 2).map((name) => `-tag=${name}`);
  const analyzed = await at.phase(
    "analyze",
    ["-run-image=registry.example/run:base", ...words, names[0]!],
    env,
  );
  strictEqual(analyzed.code, 0, analyzed.text);
  for (const name of ["detect", "restore", "build"] as const) {
    const { code, text } = await at.phase(name, [], env);
    strictEqual(code, 0, text);
  }
  const launcher = `-launcher=${root}/launcher`;
  const { code, text } = await at.phase("export", [launcher, ...names.slice(0, 2)], env);
  strictEqual(code, 0, text);
  const digests = await Promise.all(["latest", "two"].map(async (tag) => {
    const index = await Deno.readTextFile(`${root}/layouts/registry.example/app/${tag}/index.json`);
    const { manifests } = JSON.parse(index);
    strictEqual(manifests.length, 1);
    strictEqual(manifests[0].annotations["org.opencontainers.image.ref.name"], tag);
    return manifests[0].digest;
  }));
  strictEqual(digests[0], digests[1]);
  const found = await Deno.readTextFile(`${root}/layers/analyzed.toml`);
  match(found, /reference = "\/.*\/layouts\/registry\.example\/run\/base@sha256:[0-9a-f]{64}"/);
});

Deno.test("LOG-5 BPL-1 why a build plan cannot be read is in the one ERROR line", async () => {
  await using at = await scene("0.13", "echo 'not toml' > \"$2\"");
  strictEqual((await at.phase("analyze", [`${at.host}/app`])).code, 0);
  const { code, text } = await at.phase("detect", []);
  strictEqual(code, 21);
  match(text, /^ERROR: failed to detect: .*some\/bp@1 had an error: Cannot parse .*plan\.toml:1/m);
});

Deno.test("ORD-1 a slip of the pen in order.toml is warned of, what Go ignores is no error", async () => {
  await using at = await scene("0.13");
  const group = 'id = "some/bp"\nversion = "1"\noptionl = true\n';
  const order = `[[order]]\n[[order.group]]\n${group}[[order.grup]]\nid = "other"\n[odd]\n`;
  await Deno.writeTextFile(`${at.root}/order.toml`, order);
  strictEqual((await at.phase("analyze", [`${at.host}/app`])).code, 0);
  const { code, text } = await at.phase("detect", []);
  strictEqual(code, 0, text);
  deepStrictEqual(text.replaceAll(at.root, "").match(/^Warning: .*$/mg), [
    "Warning: /order.toml:5: unknown key order[0].group[0].optionl, want optional",
    "Warning: /order.toml:6: unknown key order[0].grup, want group",
    "Warning: /order.toml:8: unknown key odd, want order or order-extensions",
  ]);
});

Deno.test("OL-2 OL-5 layouts: run, previous, output and cache in them, also those of other tools", async () => {
  const build =
    `mkdir -p "$1/l" "$1/c"; echo x > "$1/l/f"; printf '[types]\\nlaunch = true\\n' > "$1/l.toml"
ls "$1"; printf '[types]\\nbuild = true\\ncache = true\\n' > "$1/c.toml"`;
  await using at = await scene("0.12", "exit 0", build);
  const { root } = at;
  const { saveRunImage } = await import("../oracle/run_image.ts");
  await Deno.mkdir(`${root}/layouts/index.docker.io/some/run/base`, { recursive: true });
  await saveRunImage(`${root}/layouts/index.docker.io/some/run/base`);
  const env = {
    CNB_EXPERIMENTAL_MODE: "silent",
    CNB_USE_LAYOUT: "true",
    CNB_LAYOUT_DIR: `${root}/layouts`,
    CNB_RUN_IMAGE: "some/run:base",
    CNB_CACHE_DIR: `${root}/cache`,
  };
  const run = async () => {
    let said = "";
    await Deno.remove(`${root}/layers`, { recursive: true });
    await Deno.mkdir(`${root}/layers`);
    for (const name of ["analyze", "detect", "restore", "build", "export"] as const) {
      const image = name === "analyze" || name === "export" ? ["some/app:1"] : [];
      const flags = name === "export" ? [`-launcher=${root}/launcher`] : [];
      const { code, text } = await at.phase(name, [...flags, ...image], env);
      strictEqual(code, 0, `${name}: ${text}`);
      said += text;
    }
    return said;
  };
  await run();
  const dir = `${root}/layouts/index.docker.io/some/app/1`;
  deepStrictEqual(JSON.parse(await Deno.readTextFile(`${dir}/oci-layout`)), {
    imageLayoutVersion: "1.0.0",
  });
  const index = JSON.parse(await Deno.readTextFile(`${dir}/index.json`));
  deepStrictEqual(index.manifests.map((one: { annotations: unknown }) => one.annotations), [{
    "org.opencontainers.image.ref.name": "1",
  }]);
  const manifest = JSON.parse(
    await Deno.readTextFile(`${dir}/blobs/${index.manifests[0].digest.replace(":", "/")}`),
  );
  for (const { digest, size } of [manifest.config, ...manifest.layers]) {
    strictEqual((await Deno.stat(`${dir}/blobs/${digest.replace(":", "/")}`)).size, size);
  }
  const again = await run();
  match(again, /^Reusing layer 'some\/bp:l'$/m);
  match(again, /^Restoring data for "some\/bp:c" from cache$/m);
  deepStrictEqual(JSON.parse(await Deno.readTextFile(`${dir}/index.json`)), index);
  // Where skopeo is, it finds the same image.
  const skopeo = await new Deno.Command("skopeo", { args: ["inspect", `oci:${dir}:1`] }).output()
    .catch(() => undefined);
  if (skopeo === undefined) return;
  strictEqual(
    JSON.parse(new TextDecoder().decode(skopeo.stdout)).Digest,
    index.manifests[0].digest,
  );
});
