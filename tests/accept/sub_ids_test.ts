/** `--sub-ids`: a plain user's build has many users, and makes what real root makes. */
import assert from "node:assert/strict";
import { canMakeBase, writeBase } from "./base_image_testing.ts";
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
END\n`,
  "bp/buildpack.toml": `api = "0.10"\n[buildpack]\nid = "bp"\nversion = "1"\n${TARGET}`,
  "bp/bin/detect": "#!/bin/sh\n",
  "bp/bin/build": '#!/bin/sh\n[ "$(id -u)" = 1000 ]\n',
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
    for (const name of ["subuid", "subgid"]) {
      await Deno.writeTextFile(`/etc/${name}`, "", { append: true }); // a place to mount on
    }
    await Deno.mkdir(`${scene.dir}/own`);
    await Deno.chown(`${scene.dir}/own`, 1000, 1000);
    const ann = async (...args: readonly string[]) =>
      await startProcess("unshare", [
        ...["--mount", "--propagation", "private", "sh", "-c", AS_ANN, "sh", `${scene.dir}/etc`],
        ...[WHERRY, ...args],
      ], {
        cwd: scene.dir,
        env: { HOME: `${scene.dir}/own`, WHERRY_STORE: `${scene.dir}/own/store` },
      }).ended;
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

    const failing = await ann("build", "image", ...words, "--sub-ids", "--path", "nowhere");
    assert.equal(failing.code, 3, failing.stderr);
    assert.match((await ann("doctor")).stdout, /with ids of \/etc\/subuid +yes: build --sub-ids/);
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
