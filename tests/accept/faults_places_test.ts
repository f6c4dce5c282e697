/**
 * Buildpacks that behave badly, in every place where builds run, beside other processes that can be seen: one clear line, and
 * nothing is left running, mounted or half stored. In a builder's own container always; everywhere with `deno task matrix`.
 */
import assert from "node:assert/strict";
import { canMakeBase, writeBase, writeBuildBase } from "./base_image_testing.ts";
import { canRun } from "./container_testing.ts";
import { inShare, type Way, waysInto } from "./matrix_testing.ts";
import { assertOneError, makeScene, type Outcome, type Scene, tool } from "./wherry_testing.ts";

/** What it does in a layer's directory; the exit code; and what is said. Undefined: as if it had done nothing. */
const FAULTS: readonly {
  readonly does: string;
  readonly code?: number;
  readonly says?: RegExp;
  /** Of the line that ends it. */
  readonly error?: RegExp;
}[] = [
  { does: "setsid sleep $NAP & echo started", says: /^started$/m },
  { does: "mknod disk b 8 0", code: 51, says: /^mknod: disk: Operation not permitted$/m },
  { does: "mknod mem c 1 1 || true", says: /^mknod: mem: Operation not permitted$/m },
  { does: 'echo x >"$(printf %0300d 0)"', code: 51, says: /File name too long$/m },
  {
    does: `echo x >"$(printf 'caf\\351')"`,
    code: 62,
    error: /Cannot pack "caf\ufffd" in .*\/l: its name is not UTF-8/,
  },
  { does: "mkdir -p d/e; echo x >d/e/f; chmod 400 d/e/f; chmod 500 d/e d ." },
];

/** Nobody but root could read it: where the build user's files are another's, the image has it. */
const CLOSED = "mkdir d; echo x >d/f; chmod 000 d/f; chmod 500 d .";

/** Daemons that hear no signal, and a command that hears none. */
const DEAF = "trap '' TERM INT HUP; (setsid sleep $NAP &); setsid sleep $NAP & echo napping; " +
  "sleep $NAP; sleep $NAP";

const FILES: Readonly<Record<string, string>> = {
  "share/apps/app/file": "x",
  "bp/buildpack.toml":
    'api = "0.10"\n[buildpack]\nid = "bp"\nversion = "1"\n[[targets]]\nos = "linux"\n',
  "bp/bin/detect": "#!/bin/sh\n",
  "bp/bin/build": `#!/bin/sh
set -e
mkdir "$CNB_LAYERS_DIR/l" && printf '[types]\\nlaunch = true\\n' >"$CNB_LAYERS_DIR/l.toml"
cd "$CNB_LAYERS_DIR/l"
eval "$FAULT"
`,
};

/** Numbers of processes with one of the texts in their command lines. */
function processes(...texts: readonly string[]): readonly number[] {
  return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
    try {
      const line = /^\d+$/.test(name) ? Deno.readTextFileSync(`/proc/${name}/cmdline`) : "";
      return texts.some((text) => line.includes(text)) ? [Number(name)] : [];
    } catch {
      return []; // it has ended
    }
  });
}

async function names(dir: string): Promise<readonly string[]> {
  return await Array.fromAsync(Deno.readDir(dir), ({ name }) => name).catch(() => []);
}

/** A file system of its own, which nobody else sees filled. */
async function smallDisk(dir: string, size: string): Promise<AsyncDisposable> {
  const { uid, gid, mode } = await Deno.stat(dir);
  const owner = `uid=${uid},gid=${gid},mode=${(mode! & 0o7777).toString(8)}`;
  await tool("mount", ["-t", "tmpfs", "-o", `size=${size},${owner}`, "none", dir]);
  return { [Symbol.asyncDispose]: async () => void await tool("umount", [dir]) };
}

/** What can be tried in one place. */
async function misbehave(scene: Scene, way: Way, nap: string): Promise<void> {
  const { mode, where } = way;
  const start = (fault: string) =>
    way.start([
      ...["build", inShare(`out/${mode}:app`), "--path", inShare("apps/app").slice(4)],
      ...["--isolation", mode, "--run-image", inShare("base:1")],
      ...["--env", `FAULT=${fault}`, "--env", `NAP=${nap}`],
      ...mode === "in-place" ? [] : ["--builder", inShare("builder:1")],
    ], { sharedProcesses: true });
  const gone = async () => {
    // The kernel takes its time to end what was killed; what was not would let this wait for ever.
    while (processes(nap, scene.dir).length > 0) await new Promise((done) => setTimeout(done, 1));
  };
  const left = async () => {
    await gone();
    for (const dir of ["work", "ingest"]) {
      assert.deepEqual(await names(`${way.store}/${dir}`), [], `${where}: ${dir}`);
    }
    if (mode === "in-place") assert.deepEqual(await names(way.layers), [], where);
  };
  const run = async (fault: string): Promise<Outcome> => {
    const outcome = await (await start(fault)).ended;
    await left();
    return outcome;
  };
  const good = await run("true");
  assert.equal(good.code, 0, `${where}: ${good.stderr}`);
  for (const { does, code = 0, says, error } of FAULTS) {
    const outcome = await run(does);
    if (code !== 0) {
      assertOneError(
        outcome,
        code,
        error ?? /Cannot build with "bp@1": its bin\/build exited with/,
      );
    }
    assert.equal(outcome.code, code, `${where}: ${does}: ${outcome.stderr}`);
    if (says !== undefined) assert.match(outcome.stderr, says, where);
  }
  const closed = await run(CLOSED);
  if (closed.code !== 0) {
    assertOneError(closed, 62, /Cannot pack .*\/l\/d\/f: its mode keeps this user out/);
  }
  assert.equal(closed.code === 0, !["namespaces", "in-place"].includes(where), where);

  const stopped = await start(DEAF);
  await stopped.until(/napping/);
  stopped.kill("SIGTERM");
  assertOneError(await stopped.ended, 143, /Stopped by SIGTERM/);
  await left();

  const killed = await start(DEAF);
  await killed.until(/napping/);
  // The one of wherry: its command line says where the image goes, and it has the buildpack's below it.
  for (const pid of processes(`out/${mode}:app`)) {
    const program = Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0")[0]!;
    if (/\/(wherry|lifecycle)$/.test(program)) Deno.kill(pid, "SIGKILL");
  }
  assert.equal((await killed.ended).code, 137, where);
  await gone();
  const after = await run("true");
  assert.equal(after.code, 0, `${where}: ${after.stderr}`);

  await Deno.mkdir(way.layers, { recursive: true });
  await using _ = await smallDisk(way.layers, "200m"); // the builder may be unpacked there, wherry in it
  const full = await run("cat /dev/zero >f");
  assertOneError(full, 51, /Cannot build with "bp@1": its bin\/build exited with/);
  assert.match(full.stderr, /No space left on device/);
  const again = await run("true");
  assert.equal(again.code, 0, `${where}: ${again.stderr}`);
}

Deno.test({
  name:
    "faults in every place: daemons, devices, names, deaf commands, full disks: one line, and nothing is left",
  ignore: !canRun || !canMakeBase(),
  async fn(test) {
    await using scene = await makeScene();
    const share = `${scene.dir}/share`;
    await scene.write(FILES);
    await writeBuildBase(`${share}/base`, { tools: true });
    await writeBase(`${share}/base`, 1);
    await scene.write({
      "builder.toml":
        `[build]\nimage = "oci:${share}/base:build"\n[[run.images]]\nimage = "x.example/run"\n` +
        '[[buildpacks]]\nuri = "bp"\n[[order]]\n[[order.group]]\nid = "bp"\n',
    });
    await scene.ok(["builder", "create", `oci:${share}/builder:1`, "--config", "builder.toml"]);
    const everywhere = Deno.env.has("WHERRY_MATRIX");
    for (const way of await waysInto(scene)) {
      if (!everywhere && way.where !== "in-place") continue;
      await test.step(way.where, () => misbehave(scene, way, `9${Deno.pid}.75`));
      assert(!Deno.readTextFileSync("/proc/self/mountinfo").includes(scene.dir), way.where);
    }
  },
});
