/** Control groups as a session or a container is given them: a limit that holds, and what was used in the report. */
import assert from "node:assert/strict";
import { assertOneError, makeScene, startProcess, WHERRY } from "./wherry_testing.ts";

const FILES = {
  "app/file": "x",
  "bp/buildpack.toml":
    'api = "0.10"\n[buildpack]\nid = "bp"\nversion = "1"\n[[targets]]\nos = "linux"\n',
  "bp/bin/detect": "#!/bin/sh\n",
  // `tail` keeps all of a line without an end. What is started waits for a line that never comes.
  "bp/bin/build": `#!/bin/sh
head -c \${BYTES}000000 /dev/zero | tail -n 1 >/dev/null || exit 7
[ -n "$BOMB" ] || exit 0
mkfifo "$CNB_LAYERS_DIR/fifo" && exec 3<>"$CNB_LAYERS_DIR/fifo"
while :; do read -r line <&3 & done
`,
};

const ROOT = "/sys/fs/cgroup";

/** A group that hands out memory, with one below for us; `undefined`, and a word why, where the machine has none to give. */
async function delegated(): Promise<(AsyncDisposable & { readonly inside: string }) | undefined> {
  const group = `${ROOT}/wherry-test-${Deno.pid}`;
  const given = (await Deno.readTextFile(`${ROOT}/cgroup.controllers`).catch(() => "")).split(
    /\s+/,
  );
  if (Deno.uid() !== 0 || !given.includes("memory")) {
    // deno-lint-ignore no-console
    console.log("skipped: limits in control groups: this machine hands out no memory in version 2");
    return undefined;
  }
  const inside = `${group}/session`;
  try {
    await Deno.writeTextFile(`${ROOT}/cgroup.subtree_control`, "+memory +pids").catch(() => {});
    await Deno.mkdir(inside, { recursive: true });
    await Deno.writeTextFile(`${group}/cgroup.subtree_control`, "+memory");
    await Deno.writeTextFile(`${group}/cgroup.subtree_control`, "+pids").catch(() => {});
  } catch (error) {
    // deno-lint-ignore no-console
    console.log(`skipped: limits in control groups: ${(error as Error).message}`);
    return undefined;
  }
  return {
    inside,
    async [Symbol.asyncDispose]() {
      await Deno.remove(inside);
      await Deno.remove(group);
    },
  };
}

Deno.test("build --memory in a delegated control group: a hog and a fork bomb are ended and named, the most that was used is in the report", async () => {
  await using group = await delegated();
  if (group === undefined) return;
  await using scene = await makeScene();
  await scene.write(FILES);
  const build = (bytes: number, memory = "64MiB", bomb = "") =>
    startProcess("sh", [
      ...["-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', group.inside, WHERRY, "build", "image"],
      ...["--path", "app", "-b", "bp", "--run-image", "scratch", "--memory", memory, "-o", "json"],
      ...["--env", `BYTES=${bytes}`, "--env", `BOMB=${bomb}`],
    ], { cwd: scene.dir, env: { HOME: scene.home, WHERRY_STORE: scene.store } }).ended;
  const hog = await build(200);
  assertOneError(hog, 51, /its bin\/build was killed by SIGKILL$/);
  assert.match(
    hog.stderr,
    /^Warning: A process of the buildpacks was killed: it needed more memory/m,
  );
  const modest = await build(20);
  assert.equal(modest.code, 0, modest.stderr);
  const { memory_peak: peak } = JSON.parse(modest.stdout);
  assert(peak === undefined || (peak > 20_000_000 && peak <= 64 << 20), `${peak}`); // of kernels from 5.19 on
  if (Deno.env.get("WHERRY_IN_VM") === "yes") { // elsewhere a group above may have a lower limit
    const forks = await build(1, "3GiB", "yes");
    assertOneError(forks, 51, /its bin\/build exited with status 2$/);
    assert.match(forks.stderr, /^Warning: Buildpacks wanted more than \d+ processes at a time$/m);
    assert.match(forks.stderr, /[Cc]annot fork/);
  }
  assert.deepEqual(
    [...Deno.readDirSync(`${group.inside}/..`)].filter(({ name }) => /^wherry-/.test(name)),
    [],
  );
});
