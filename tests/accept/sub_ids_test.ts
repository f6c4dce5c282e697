/** `--sub-ids`: a plain user's build has many users, and makes what real root makes. */
import assert from "node:assert/strict";
import { canMakeBase, writeBase, writeBuildBase } from "./base_image_testing.ts";
import { installed, makeScene, startProcess, WHERRY } from "./wherry_testing.ts";

const TARGET = '[[targets]]\nos = "linux"\n';
const FILES = {
  "app/file": "x",
  "ext/extension.toml": 'api = "0.10"\n[extension]\nid = "users"\nversion = "1"\n',
  "ext/bin/detect": "#!/bin/sh\n",
  "ext/bin/generate": `#!/bin/sh\ncat >"$CNB_OUTPUT_DIR/run.Dockerfile" <<'END'
ARG base_image
FROM \${base_image}
USER root
RUN busybox mkdir -m 700 /srv && echo secret >/srv/a && busybox chmod 600 /srv/a && busybox chown -R 33:34 /srv
USER 33
RUN echo mine >>/srv/a && busybox mkdir -m 700 /srv/own
ARG user_id
USER \${user_id}
END
[ -f "$CNB_PLATFORM_DIR/env/WITH_BUILDER" ] || exit 0
cat >"$CNB_OUTPUT_DIR/build.Dockerfile" <<'END'
ARG base_image
FROM \${base_image}
USER root
RUN busybox mkdir /srv && echo x >/srv/a && busybox chown 33:34 /srv/a
ARG user_id
USER \${user_id}
END\n`,
  "bp/buildpack.toml": `api = "0.10"\n[buildpack]\nid = "bp"\nversion = "1"\n${TARGET}`,
  "bp/bin/detect": "#!/bin/sh\n",
  "bp/bin/build": `#!/bin/sh
[ "$(id -u)" = 1000 ] || exit 1
if [ -n "$WITH_BUILDER" ]; then [ "$(busybox stat -c %u:%g /srv/a)" = 33:34 ] || exit 2; fi
[ -z "$NAP" ] || { trap '' TERM INT; echo napping; sleep 1000; }
`,
  "builder.toml": '[build]\nimage = "oci:base:build"\n[[run.images]]\nimage = "x.example/run"\n' +
    '[[buildpacks]]\nuri = "bp"\n[[order]]\n[[order.group]]\nid = "bp"\n',
  // What a machine with a plain user has.
  "etc/passwd": "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
  "etc/subuid": "ann:200000:65536\n",
  "etc/subgid": "ann:300000:65536\n",
};

/** As uid 1000, in a machine of those files. */
const AS_ANN =
  `for name in passwd subuid subgid; do mount --bind "$1/$name" "/etc/$name" || exit 99; done
shift; exec setpriv --reuid 1000 --regid 1000 --clear-groups -- "$@"`;

Deno.test({
  name:
    "XT-4 build --sub-ids: files of several users, the image that real root makes, nothing left",
  ignore: Deno.uid() !== 0 || !canMakeBase() || !installed("newuidmap"),
  async fn() {
    await using scene = await makeScene();
    await scene.write(FILES);
    await writeBase(`${scene.dir}/base`, 1);
    await writeBuildBase(`${scene.dir}/base`);
    await scene.ok(["builder", "create", "oci:builder", "--config", "builder.toml"]);
    for (const name of ["subuid", "subgid"]) {
      await Deno.writeTextFile(`/etc/${name}`, "", { append: true }); // a place to mount on
    }
    await Deno.mkdir(`${scene.dir}/own`);
    await Deno.chown(`${scene.dir}/own`, 1000, 1000);
    const start = (...args: readonly string[]) =>
      startProcess("unshare", [
        ...["--mount", "--propagation", "private", "sh", "-c", AS_ANN, "sh", `${scene.dir}/etc`],
        ...[WHERRY, ...args],
      ], {
        cwd: scene.dir,
        env: { HOME: `${scene.dir}/own`, WHERRY_STORE: `${scene.dir}/own/store` },
      });
    const ann = (...args: readonly string[]) => start(...args).ended;
    const words = [
      ...["--path", "app", "--buildpack", "bp", "--extension", "ext", "--run-image", "oci:base:1"],
      ...["-o", "json"],
    ];
    const root = await scene.json(["build", "image", ...words.slice(0, -2)]);

    const alone = await ann("build", "image", ...words);
    assert.equal(alone.code, 102, alone.stderr);
    assert.match(alone.stderr, /only one user can be had here.*--sub-ids/);

    const many = await ann("build", "image", ...words, "--sub-ids");
    assert.equal(many.code, 0, many.stderr);
    assert.equal(JSON.parse(many.stdout).digest, root.digest);
    assert.doesNotMatch(many.stderr, /no meaning/);
    const idle = await scene.run(["build", "image", "--path", "nowhere", "--sub-ids"]);
    assert.match(idle.stderr, /--sub-ids has no meaning here: root has all ids/);

    const inside = [...words, "--builder", "oci:builder", "--env", "WITH_BUILDER=1"];
    const both = await ann("build", "both", ...inside, "--sub-ids");
    assert.equal(both.code, 0, both.stderr);
    assert.match(both.stderr, /===> EXTENDING \(BUILD\)/);

    const failing = await ann("build", "image", ...words, "--sub-ids", "--path", "nowhere");
    assert.equal(failing.code, 3, failing.stderr);
    assert.match((await ann("doctor")).stdout, /with ids of \/etc\/subuid +yes: build --sub-ids/);
    for (const [signal, code] of [["SIGINT", 130], ["SIGKILL", 137]] as const) {
      const running = start("build", "image", ...words, "--sub-ids", "--env", "NAP=1");
      await running.until(/napping/);
      running.kill(signal);
      assert.equal((await running.ended).code, code);
      while (isRunning(scene.dir)) await new Promise((resolve) => setTimeout(resolve, 1));
      assert.deepEqual([...Deno.readDirSync(`${scene.dir}/own/store/work`)], [], signal);
    }
    // What is left of a killed one belongs to users that Ann may not be.
    const work = `${scene.dir}/own/store/work`;
    assert.deepEqual([...Deno.readDirSync(work)], []);
    await Deno.mkdir(`${work}/wherry-build-killed/layers/x`, { recursive: true });
    await Deno.writeTextFile(`${work}/wherry-build-killed/.lock`, "");
    for (const path of ["/.lock", "", "/layers"]) {
      await Deno.chown(`${work}/wherry-build-killed${path}`, 1000, 1000);
    }
    await Deno.chown(`${work}/wherry-build-killed/layers`, 200_032, 300_032);
    const next = await ann("build", "other", "--path", "app", "-b", "bp", "--run-image", "scratch");
    assert.equal(next.code, 0, next.stderr);
    assert.deepEqual([...Deno.readDirSync(work)], []);

    await Deno.writeTextFile(`${scene.dir}/etc/subuid`, "");
    const none = await ann("build", "image", ...words, "--sub-ids");
    assert.equal(none.code, 3, none.stderr);
    assert.match(
      none.stderr,
      /^ERROR: Cannot use --sub-ids: \/etc\/subuid lends ann no 65536 ids/m,
    );
  },
});

/** Whether a process has `text` in its command line. */
function isRunning(text: string): boolean {
  return [...Deno.readDirSync("/proc")].some(({ name }) => {
    try {
      return /^\d+$/.test(name) && Deno.readTextFileSync(`/proc/${name}/cmdline`).includes(text);
    } catch {
      return false; // it has ended
    }
  });
}
