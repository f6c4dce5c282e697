/** The same launches by our launcher and by the Go lifecycle's: what the process sees is the same. */
import assert from "node:assert/strict";
import { goLauncher } from "./go_launcher_testing.ts";
import { type Launch, type Launched, Scene } from "./scene_testing.ts";

const go = await goLauncher();

/** One scene with something of everything. */
async function richScene(buildpack: string): Promise<Scene> {
  const scene = await Scene.make();
  const id = "some/bp";
  const process = (type: string, more: Record<string, unknown>) => ({
    type,
    "buildpack-id": id,
    ...more,
  });
  await scene.metadata({
    processes: [
      process("direct", { command: ["./probe"], args: ["a1", "$A"], direct: true }),
      process("array", { command: ["./probe", "c1"], args: ["a1"], direct: true }),
      process("string", { command: "./probe", args: ["a1"], direct: true }),
      process("shell", { command: ["./probe"], args: ["$A", "a b", "'q'", "$(echo x)"] }),
      process("script", { command: ['./probe $A "$FROM_PROFILE"'] }),
      process("shell.array", { command: ["./probe", "$A"], args: ["z"] }),
      process("dir", { command: [scene.probe], direct: true, "working-dir": "sub" }),
      process("shelldir", { command: ["../probe"], args: ["x"], "working-dir": "sub" }),
      process("missing", { command: ["no-such-program"], direct: true }),
      process("none", { direct: true }),
      process("nothing", {}),
      process("test", { command: [scene.probe], direct: true, "exec-env": ["test"] }),
      process("any", { command: [scene.probe], direct: true, "exec-env": ["x", "*"] }),
      { type: "orphan", command: ["./probe"], args: ["x"], "buildpack-id": "gone" },
      { type: "own", command: ["./probe"], args: ["x"] },
    ],
    buildpacks: [{ id: "other", api: "0.9" }, { id, api: buildpack }, { id: "absent", api: "0.7" }],
  });
  await scene.mkdir("app/sub");
  await scene.write("app/.profile", 'export FROM_PROFILE="$FROM_PROFILE app"\n');
  for (const layer of ["other/x", "some_bp/a", "some_bp/b", "some_bp/B"]) {
    await scene.mkdir(`layers/${layer}/bin`);
    await scene.mkdir(`layers/${layer}/lib`);
    const at = `layers/${layer}`;
    await scene.write(`${at}/env/APPENDED.append`, layer);
    await scene.write(`${at}/env/APPENDED.delim`, ",");
    await scene.write(`${at}/env/PREPENDED.prepend`, `${layer}\n`);
    await scene.write(`${at}/env/PLAIN`, layer);
    await scene.write(`${at}/env/A.default`, `${layer}  default`);
    await scene.write(`${at}/env/DOTTED.`, layer);
    await scene.write(`${at}/env/UNKNOWN.suffix`, layer);
    await scene.write(`${at}/env/BYTES`, new Uint8Array([0xff, 0x80, 0x0a]));
    await scene.write(`${at}/env/sub/NO`, "no");
    await scene.write(`${at}/env.launch/LAUNCH.append`, `${layer} `);
    await scene.write(`${at}/env.launch/direct/LAUNCH.append`, "typed ");
    await scene.write(`${at}/env.build/BUILD`, "no");
    await scene.write(`${at}/profile.d/p`, `export FROM_PROFILE="$FROM_PROFILE ${layer}"\n`);
    await scene.write(`${at}/profile.d/shell/p`, 'export FROM_PROFILE="$FROM_PROFILE typed"\n');
    await scene.script(
      `${at}/exec.d/1`,
      `printf 'EXECD = "%s ${layer}"\\nCWD = """%s"""\\n' "$EXECD" "$(pwd)" >&3`,
    );
    await scene.script(`${at}/exec.d/direct/1`, `echo "EXECD = '$EXECD typed'" >&3`);
  }
  return scene;
}

const ENVIRONMENTS: readonly Record<string, string | undefined>[] = [
  { A: "set $B", B: "b", PATH: "/cnb/process:/usr/bin:/cnb/lifecycle:/bin", CNB_USER_ID: "1000" },
  { A: "", APPENDED: "before", PREPENDED: "before", DOTTED: "before", CNB_PROCESS_TYPE: "x" },
  { CNB_EXEC_ENV: "test", CNB_DEPRECATION_MODE: "error", LD_LIBRARY_PATH: "" },
];

const TYPES = [
  ...["direct", "array", "string", "shell", "script", "shell.array", "dir", "shelldir", "missing"],
  ...["none", "nothing", "test", "any", "orphan", "own", "unknown"],
];

const LAUNCHES: readonly Launch[] = [
  ...TYPES.flatMap((type) =>
    ENVIRONMENTS.flatMap((env) => [{ type, env }, { type, env, args: ["u1", "$A", ""] }])
  ),
  { args: ["--"] },
  { args: ["--", "./probe", "x"] },
  { args: ["./probe", "$A"], env: { A: "a  b" } },
  { args: ["echo $A | cat"], env: { A: "a" } },
  { args: ["--version"] },
  { args: ["--", "probe"], env: { PATH: "." } },
  { args: ["--", "probe"], env: { PATH: "" } },
  { args: ["--", "probe"], env: { PATH: undefined } },
  { args: ["--", ""] },
  { args: ["exit 9"] },
  { platform: "0.6" },
  { env: { CNB_PLATFORM_API: undefined } },
  { env: { CNB_PLATFORM_API: "v0.9" }, args: ["--", "./probe"] },
  { env: { CNB_LAYERS_DIR: "/nowhere" } },
  { env: { CNB_APP_DIR: "/nowhere" }, type: "direct" },
];

/** What both must agree on. The order of variables is random in Go; messages differ in detail. */
function outcome({ seen, code, signal, stdout }: Launched): unknown {
  if (seen === undefined) {
    return { code, signal, said: stdout.replace(/^(ERROR|Warning): .*\n/gm, "") };
  }
  return { code, cwd: seen.cwd, argv: seen.argv, variables: seen.variables.toSorted() };
}

/** Platform and buildpack APIs: the corners of 15.2, on both sides of each of its limits. */
const PAIRS = [
  ["0.7", "0.7"],
  ["0.9", "0.9"],
  ["0.10", "0.8"],
  ["0.10", "0.9"],
  ["0.15", "0.12"],
] as const;

for (const [platform, buildpack] of PAIRS) {
  Deno.test({
    name: `platform ${platform}, buildpack ${buildpack}: ${LAUNCHES.length} launches as the Go ` +
      `launcher's${"why" in go ? ` (skipped: ${go.why})` : ""}`,
    ignore: "why" in go,
    fn: async () => {
      if ("why" in go) return;
      await using scene = await richScene(buildpack);
      let started = 0;
      for (const each of LAUNCHES) {
        const launch: Launch = { platform, ...each, env: { CNB_NO_COLOR: "true", ...each.env } };
        const [ours, theirs]: [Launched, Launched] = await Promise.all([
          scene.launch(launch),
          scene.launch({ ...launch, program: go.file }),
        ]);
        assert.deepEqual(
          outcome(ours),
          outcome(theirs),
          `${JSON.stringify(launch)}\n${ours.stderr}\n${theirs.stdout}`,
        );
        if (ours.seen !== undefined) started++;
      }
      assert.ok(started > LAUNCHES.length / 2, `only ${started} of them started the probe`);
    },
  });
}
