/** The executable in a container that holds nothing else: the builder is unpacked over it. */
import assert from "node:assert/strict";
import { builderShell, buildpackFiles, canMakeBuilder } from "../../cli/builder_testing.ts";
import type { Running } from "./wherry_testing.ts";
import { expendableRoot, takeover, takeoverTwice } from "./takeover_testing.ts";

Deno.test({
  name: "takeover: an empty container becomes the builder, builds as its user, and only once",
  ignore: Deno.uid() !== 0 || !canMakeBuilder,
  async fn() {
    await using shell = await builderShell();
    const root = await expendableRoot(shell);
    const build = async () => {
      const { code, stdout, stderr } = await takeover(root).ended;
      assert.equal(code, 0, stdout + stderr);
      return stdout + stderr;
    };
    const first = await build();
    assert.match(first, /^Unpacked oci:\/builds\/builder over this container in \d+\.\d s$/m);
    assert.match(
      first,
      /^isolation: takeover, the builder unpacked over this container .* as 1000:1000; /m,
    );
    assert.match(first, /greeter as 1000:1000 in \/workspace, HOME .*, os ID=busybox/);
    assert.equal(await Deno.readTextFile(`${root}/etc/resolv.conf`), "# ours\n");
    assert.equal((await Deno.stat(`${root}/bin/busybox`)).uid, 0);
    const second = await build();
    assert.doesNotMatch(second, /Unpacked/);
    assert.match(second, /Reusing layer 'test\/greeter:greeting'/);
  },
});

Deno.test({
  name:
    "takeover, a full disk while the builder is unpacked: one line, and with more room it goes on",
  ignore: Deno.uid() !== 0 || !canMakeBuilder,
  async fn() {
    await using shell = await builderShell();
    const { code, stderr } = await takeoverTwice(await expendableRoot(shell), "2m").ended;
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /^ERROR: Cannot unpack oci:\/builds\/builder over this container: Cannot .*: No space left on device\nfirst: 1, left in the store: \n/m,
    );
    assert.match(stderr, /^Unpacked .*[^]*greeter as 1000:1000 in \/workspace/m);
  },
});

/** Processes whose command lines have `text`. */
function processes(text: string): readonly string[] {
  return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
    try {
      const line = /^\d+$/.test(name) ? Deno.readTextFileSync(`/proc/${name}/cmdline`) : "";
      return line.includes(text) ? [line] : [];
    } catch {
      return []; // it has ended
    }
  });
}

Deno.test({
  name:
    "takeover, killed at every step, or with buildpacks that behave badly: nothing runs on, and the same container builds",
  ignore: Deno.uid() !== 0 || !canMakeBuilder,
  async fn() {
    const nap = `9${Deno.pid}.5`;
    const stop = (step: string) =>
      `test "$STOP" != ${step} || { (trap "" TERM HUP; setsid sleep ${nap}) & trap "" TERM HUP; echo "$STOP now"; sleep ${nap}; }`;
    await using shell = await builderShell(buildpackFiles("bp", "test/probe", {
      detect: stop("detect"),
      build:
        `${
          stop("build")
        }\neval "$FAULT"\nmkdir -p "$1/l" && head -c "$SIZE" /dev/urandom >"$1/l/x"\n` +
        `printf '[types]\\nlaunch = true\\n' >"$1/l.toml"`,
    }));
    const root = await expendableRoot(shell);
    const turn = () => new Promise((done) => setTimeout(done, 1));
    const gone = async () => {
      while (processes(nap).length > 0) await turn();
      assert(!Deno.readTextFileSync("/proc/self/mountinfo").includes(shell.dir), "a mount");
    };
    const names = async (dir: string) =>
      (await Array.fromAsync(Deno.readDir(`${root}/root/store/${dir}`), ({ name }) => name)
        .catch(() => [])).sort();
    const build = async () => {
      const { code, stderr } = await takeover(root, "--env", "SIZE=1").ended;
      assert.equal(code, 0, stderr);
      assert.match(stderr, /greeter as 1000:1000 in \/workspace/);
      assert.deepEqual([await names("work"), await names("ingest")], [[], []]);
      return stderr;
    };
    const kill = async (running: Running) => {
      try {
        running.kill("SIGKILL");
      } catch {
        // It has ended, which is one of the moments, too.
      }
      await running.ended;
      await gone();
    };
    const killed = async (step: string, when: RegExp) => {
      const running = takeover(root, "--env", `STOP=${step}`, "--env", "SIZE=90000000");
      await running.until(when);
      while (step !== "" && processes(nap).length < 2) await turn(); // detect's words are not passed on
      await kill(running);
    };
    const unpacking = takeover(root, "--env", "SIZE=1");
    const begun = () => Deno.lstat(`${root}/bin`).then(() => true, () => false);
    while (!await begun()) await turn();
    await kill(unpacking);
    await build();
    await killed("detect", /DETECTING/);
    assert.doesNotMatch(await build(), /^Unpacked/m);
    for (const [step, when] of [["build", /build now/], ["", /===> EXPORTING/]] as const) {
      await killed(step, when);
      await build();
    }
    const deaf = takeover(root, "--env", "STOP=build", "--env", "SIZE=1");
    await deaf.until(/build now/);
    deaf.kill("SIGTERM");
    const ended = await deaf.ended;
    assert.equal(ended.code, 143, ended.stderr);
    await gone();
    for (
      const [fault, code, says] of [
        [`setsid sleep ${nap} & echo started`, 0, /^started$/m],
        [
          'mkdir "$1/d" && mknod "$1/d/disk" b 8 0; exit 6',
          51,
          /mknod: .*: Operation not permitted/,
        ],
        ['mkdir "$1/d"; echo x >"$1/d/$(printf %0300d 0)"; exit 7', 51, /File ?name too long/],
        [`echo x >"$(printf 'caf\\351')"`, 62, /UTF-8/],
        ['mkdir -p "$1/d/e" && chmod 0 "$1/d/e" "$1/d"; exit 5', 51, /test\/probe/],
        [
          "echo x >/bin/busybox; echo x >/cnb/order.toml; exit 8",
          51,
          /Permission denied|Text file busy/,
        ],
      ] as const
    ) {
      const one = await takeover(root, "--env", "SIZE=1", "--env", `FAULT=${fault}`).ended;
      assert.equal(one.code, code, `${fault}: ${one.stderr}`);
      assert.match(one.stderr, says);
      await gone();
      await build();
    }
  },
});
