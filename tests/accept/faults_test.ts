/** What goes wrong while a builder is entered: told in one line, and nothing is left running, mounted or half stored. */
import assert from "node:assert/strict";
import { canMakeBase, CNB_ID, writeBase, writeBuildBase } from "./base_image_testing.ts";
import {
  assertOneError,
  makeScene,
  type Running,
  type Scene,
  startProcess,
  WHERRY,
} from "./wherry_testing.ts";

const FAULTS: Readonly<Record<string, string>> = {
  none: "true",
  daemon: "mknod node c 1 3 && exit 1; setsid sleep $NAP & echo started",
  deaf: "trap '' TERM INT HUP; echo napping; sleep $NAP; sleep $NAP",
  closed: "mkdir d; echo x >d/f; chmod 000 d/f; chmod 500 d .",
  odd: `echo x >"$(printf 'a\\377b')"`,
};

const FILES: Readonly<Record<string, string>> = {
  "app/file": "x",
  "bp/buildpack.toml":
    'api = "0.10"\n[buildpack]\nid = "bp"\nversion = "1"\n[[targets]]\nos = "linux"\n',
  "bp/bin/detect": "#!/bin/sh\n",
  "bp/bin/build": `#!/bin/sh
mkdir "$CNB_LAYERS_DIR/l" && printf '[types]\\nlaunch = true\\n' >"$CNB_LAYERS_DIR/l.toml"
cd "$CNB_LAYERS_DIR/l"
case $FAULT in
${Object.entries(FAULTS).map(([name, script]) => `${name}) ${script};;`).join("\n")}
esac
exit 0
`,
  "ext/extension.toml": 'api = "0.10"\n[extension]\nid = "ext"\nversion = "1"\n',
  "ext/bin/detect": "#!/bin/sh\n",
  "ext/bin/generate": `#!/bin/sh
cat >"$CNB_OUTPUT_DIR/build.Dockerfile" <<END
ARG base_image
FROM \\\${base_image}
USER root
RUN echo made >/etc/made; trap '' TERM INT; setsid sleep $(cat "$CNB_PLATFORM_DIR/env/NAP") & echo napping; sleep 99999
USER 1000
END
`,
  "builder.toml":
    '[build]\nimage = "oci:base:build"\n[[run.images]]\nimage = "x.example/run"\n[[buildpacks]]\nuri = "bp"\n' +
    '[[order]]\n[[order.group]]\nid = "bp"\n',
};

/** Processes of a test, by what is in their command lines. */
function processes(...texts: readonly string[]): readonly string[] {
  return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
    try {
      const line = /^\d+$/.test(name) ? Deno.readTextFileSync(`/proc/${name}/cmdline`) : "";
      return texts.some((text) => line.includes(text)) ? [line] : [];
    } catch {
      return []; // it has ended
    }
  });
}

async function names(dir: string): Promise<readonly string[]> {
  return (await Array.fromAsync(Deno.readDir(dir), ({ name }) => name).catch(() => [])).sort();
}

/** Who builds, and how. */
interface Caller {
  readonly store: string;
  start(words: readonly string[], fault: string, nap: string): Running;
}

async function callers(scene: Scene): Promise<readonly (Caller & { readonly name: string })[]> {
  await Deno.mkdir(`${scene.dir}/user`);
  await Deno.chown(`${scene.dir}/user`, CNB_ID, CNB_ID);
  const words = (more: readonly string[], fault: string, nap: string) => [
    ...["build", "image", "--path", "app", "--builder", "oci:builder", "--run-image", "oci:base:1"],
    ...["--env", `FAULT=${fault}`, "--env", `NAP=${nap}`, ...more],
  ];
  const user = `${scene.dir}/user/store`;
  return [
    {
      name: "a user's namespaces",
      store: user,
      start: (more, fault, nap) =>
        scene.start(words([...more, "--isolation", "namespaces"], fault, nap), {
          ...{ uid: CNB_ID, store: user, env: { HOME: `${scene.dir}/user` } },
        }),
    },
    {
      name: "chroot",
      store: scene.store,
      start: (more, fault, nap) =>
        scene.start(words([...more, "--isolation", "chroot"], fault, nap)),
    },
  ];
}

Deno.test({
  name:
    "faults in a builder: daemons, deaf commands, odd trees, kills, a full disk: one line, and nothing is left",
  ignore: Deno.uid() !== 0 || !canMakeBase(),
  async fn() {
    await using scene = await makeScene();
    await scene.write(FILES);
    await writeBuildBase(`${scene.dir}/base`, { tools: true });
    await writeBase(`${scene.dir}/base`, 1);
    await scene.ok(["builder", "create", "oci:builder", "--config", "builder.toml"]);
    const nap = `9${Deno.pid}.25`;
    for (const { name, store, start } of await callers(scene)) {
      const left = async () => {
        while (processes(nap, scene.dir).length > 0) {
          await new Promise((done) => setTimeout(done, 1));
        }
        assert(!Deno.readTextFileSync("/proc/mounts").includes(scene.dir), `${name}: mounts`);
        return [...await names(`${store}/work`), ...await names(`${store}/ingest`)];
      };
      const daemon = await start([], "daemon", nap).ended;
      assert.equal(daemon.code, 0, daemon.stderr);
      assert.match(daemon.stderr, /mknod: node: .*\n.*started/);
      assert.deepEqual(await left(), [], name);

      const odd = await start([], "odd", nap).ended;
      assertOneError(odd, 62, /Cannot pack "a\ufffdb" in .*: its name is not UTF-8/);
      assert.deepEqual(await left(), [], name);

      const deaf = start([], "deaf", nap);
      await deaf.until(/napping/);
      deaf.kill("SIGTERM");
      assertOneError(await deaf.ended, 143, /Stopped by SIGTERM/);
      assert.deepEqual(await left(), [], name);

      const killed = start(["--extension", "ext"], "none", nap);
      await killed.until(/napping/);
      killed.kill("SIGKILL");
      assert.equal((await killed.ended).code, 137);
      assert.equal((await left()).length, 1, "its work directory");

      const closed = await start([], "closed", nap).ended; // the next one clears that away
      if (store === scene.store) assert.equal(closed.code, 0, closed.stderr);
      else assertOneError(closed, 62, /Cannot pack .*\/l\/d\/f: its mode keeps this user out/);
      assert.deepEqual(await left(), [], name);
    }

    const script = 'mount -t tmpfs -o size=40m none "$1" && shift && exec "$@"';
    await Deno.mkdir(`${scene.dir}/small`);
    const full = await startProcess("unshare", [
      ...["--mount", "--propagation", "private", "sh", "-c", `${script}; `, "sh"],
      ...[
        `${scene.dir}/small`,
        "sh",
        "-c",
        '"$@"; code=$?; ls small/store/unpacked >&2; exit $code',
        "sh",
      ],
      ...[WHERRY, "detect", "--path", "app", "--builder", "oci:builder"],
    ], { cwd: scene.dir, env: { HOME: scene.home, WHERRY_STORE: `${scene.dir}/small/store` } })
      .ended;
    assert.equal(full.code, 1, full.stderr);
    assert.match(
      full.stderr,
      /^ERROR: Cannot unpack an image in .*: .*: No space left on device\n[^\n]*\.lock\n$/m,
    );
  },
});
