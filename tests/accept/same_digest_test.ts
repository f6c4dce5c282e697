/** The same input gives the same digest: whoever builds, wherever, whenever. */
import assert from "node:assert/strict";
import { canMakeBase, writeBase } from "./base_image_testing.ts";
import { copyDir, EXAMPLES, makeScene, type RunOptions, tool } from "./wherry_testing.ts";

const isRoot = Deno.uid() === 0;

Deno.test({
  name: "root and uid 1000, other directories, time zones, umasks and locales: one digest",
  ignore: !isRoot || !canMakeBase(),
  async fn() {
    await using scene = await makeScene();
    await writeBase(`${scene.dir}/base`, 1);
    const digests = new Map<string, Set<string>>();
    const cases: readonly (readonly [string, RunOptions])[] = [
      ["root", {}],
      ["umask 077", { umask: "077", env: { TZ: "Pacific/Kiritimati", LC_ALL: "C" } }],
      ["uid 1000", { uid: 1000, env: { TZ: "America/St_Johns", LC_ALL: "tr_TR.UTF-8" } }],
      ["uid 1000, umask 077", { uid: 1000, umask: "077", env: { LANG: "de_DE", LC_ALL: "" } }],
      ["uid 4321, umask 000", { uid: 4321, umask: "000", env: { TZ: ":bad" } }],
    ];
    for (const [at, [why, options]] of cases.entries()) {
      const dir = `${scene.dir}/${"deep/er/".repeat(at)}case ${at}`;
      await Deno.mkdir(dir, { recursive: true });
      for (const app of ["hello", "bash-app", "kinds"]) {
        await copyDir(`${EXAMPLES}/${app}`, `${dir}/${app}`);
      }
      await copyDir(`${EXAMPLES}/buildpacks`, `${dir}/buildpacks`);
      const uid = options.uid ?? 0;
      await tool("chown", ["-R", `${uid}:${uid}`, dir]);
      await tool("find", [dir, "-exec", "touch", "-h", "-d", `200${at}-01-01`, "{}", "+"]);
      const build = async (app: string, buildpack: string, run: string) => {
        const { digest } = await scene.json([
          ...["build", app, "--path", `${dir}/${app}`, "-b", `${dir}/buildpacks/${buildpack}`],
          ...["--run-image", run],
        ], { ...options, cwd: dir, store: `${dir}/store` });
        const seen = digests.get(app) ?? new Set();
        digests.set(app, seen.add(digest));
        assert.equal(seen.size, 1, `${app} as ${why} became another image`);
      };
      await build("hello", "hello", "scratch");
      await build("bash-app", "procfile", `oci:${scene.dir}/base:1`);
      await build("kinds", "kinds", "scratch");
    }
  },
});

Deno.test("--creation-time and SOURCE_DATE_EPOCH set the time of the image and of nothing else", async () => {
  await using scene = await makeScene();
  const created = async (args: readonly string[], env: Record<string, string> = {}) => {
    await scene.ok([
      ...["build", "kinds", "--path", `${EXAMPLES}/kinds`, "-b", `${EXAMPLES}/buildpacks/kinds`],
      ...["--run-image", "scratch", ...args],
    ], { env });
    const { local_info } = await scene.json<
      { local_info: { created: string; layers: { diff_id: string }[] } }
    >(["inspect", "store:kinds"]);
    return local_info;
  };
  const plain = await created([]);
  assert.equal(plain.created, "1980-01-01T00:00:01Z");
  const flag = await created(["--creation-time", "1700000000"], { SOURCE_DATE_EPOCH: "5" });
  assert.equal(flag.created, "2023-11-14T22:13:20Z");
  assert.deepEqual(flag.layers, plain.layers);
  const epoch = await created([], { SOURCE_DATE_EPOCH: "1600000000" });
  assert.equal(epoch.created, "2020-09-13T12:26:40Z");
  const bad = await scene.run(["build", "x", "--creation-time", "yesterday"]);
  assert.equal(bad.code, 3);
  assert.match(bad.stderr, /^ERROR: Cannot use --creation-time "yesterday": want .*\n$/);
});
