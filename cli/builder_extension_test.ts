/** Image extensions in a builder, and named beside one. */
import { deepEqual, doesNotMatch, equal, match } from "node:assert/strict";
import { builderShell, buildpackFiles, canMakeBuilder } from "./builder_testing.ts";

const files = (dir: string, id: string, text: string, kind = "run") => ({
  [`${dir}/extension.toml`]: `api = "0.10"\n[extension]\nid = "${id}"\nversion = "1.0.0"\n`,
  [`${dir}/bin/detect`]: "#!/bin/sh\n",
  [`${dir}/bin/generate`]:
    `#!/bin/sh\ncat >"$CNB_OUTPUT_DIR/${kind}.Dockerfile" <<'END'\nARG base_image\nFROM \${base_image}\n${text}\nEND\n`,
});

Deno.test({
  name: "XT-9 BI-2 build --builder: its extensions extend the run image, others take their place",
  ignore: !canMakeBuilder,
  async fn() {
    await using shell = await builderShell(
      {
        ...files("ext", "test/own", "ENV BY=builder"),
        ...files("other", "test/other", 'ENV BY=user\nRUN echo "through $https_proxy"'),
      },
      `[[extensions]]
uri = "ext"
[[order-extensions]]
[[order-extensions.group]]
id = "test/own"
version = "1.0.0"
`,
      { HTTPS_PROXY: "http://p.test:1" },
    );
    const words = ["--builder", "oci:builder", "--path", "app", "--run-image", "oci:base:1"];
    const build = async (name: string, ...more: readonly string[]) => {
      const { code, err } = await shell.wherry("build", name, ...words, ...more);
      equal(code, 0, err);
      match(err, /===> EXTENDING \(RUN\)/);
      return err;
    };
    match(await build("one"), /^test\/own +1\.0\.0$/m);
    const said = await build("two", "--extension", "other");
    match(said, /^test\/other +1\.0\.0$/m);
    match(said, /^through http:\/\/p\.test:1$/m);
    doesNotMatch(await shell.ok("inspect", "store:two", "-o", "json"), /p\.test/);
    match(await build("three", "--extension", "test/own@1.0.0"), /^test\/own +1\.0\.0$/m);
    match(await build("three", "--extension", "from=builder:test/own"), /^test\/own +1\.0\.0$/m);
    await shell.ok("extension", "package", "other.cnb", "--path", "other");
    await shell.ok("extension", "package", "local/other:1", "--path", "other");
    for (const one of ["other.cnb", "docker://local/other:1", "local/other:1"]) {
      match(await build("packed", "--extension", one), /^test\/other +1\.0\.0$/m);
    }
    if (Deno.uid() !== 0) return;
    match(await build("four", "--isolation", "chroot"), /^test\/own +1\.0\.0$/m);
    match(
      await build("five", "--isolation", "chroot", "--extension", "other.cnb"),
      /^test\/other/m,
    );
  },
});

const TOOL = `USER root
RUN busybox mkdir -p /opt/bin && printf '#!/bin/sh\\necho tool of %s in %s\\n' "$(id -u)" "$(busybox stat -c %u /etc/passwd)" >/opt/bin/tool && busybox chmod 755 /opt/bin/tool && busybox rm /bin/hostname
COPY app.txt /opt/copied
ARG user_id
USER \${user_id}
ENV PATH=/opt/bin:$PATH`;

/** Says what of the extension is there. */
const PROBE = buildpackFiles("bp", "test/probe", {
  build: "tool || echo no tool\n" +
    "echo probe as $(id -u), hostname $(test -L /bin/hostname -o -e /bin/hostname && echo there || echo gone), " +
    "copied $(cat /opt/copied || echo nothing), PATH $PATH",
});

const CONFIG = `[[extensions]]
uri = "ext"
[[extensions]]
uri = "other"
[[order-extensions]]
[[order-extensions.group]]
id = "test/own"
version = "1.0.0"
`;

Deno.test({
  name: "XT-8 GE-3 build --builder: extensions extend a copy of its root, which is gone afterwards",
  ignore: !canMakeBuilder,
  async fn() {
    const own = {
      ...files("ext", "test/own", TOOL, "build"),
      ...files("other", "test/other", "ENV BY=user"),
    };
    await using shell = await builderShell({ ...own, ...PROBE }, CONFIG);
    const words = ["--builder", "oci:builder", "--path", "app", "--run-image", "oci:base:1"];
    const ways = Deno.uid() === 0 ? ["namespaces", "chroot"] : ["namespaces"];
    const digests = new Set<string>();
    for (const way of ways) {
      const build = async (name: string, ...more: readonly string[]) => {
        const { code, err, out } = await shell.wherry(
          ...["build", name, ...words, "--isolation", way, ...more],
        );
        equal(code, 0, err);
        return { err, out };
      };
      const plain = await build(`plain-${way}`, "--extension", "other");
      match(plain.err, /no tool\n.*probe as 1000, hostname there, copied nothing/s);
      const first = await build(`one-${way}`, "--clear-cache");
      match(first.err, /===> EXTENDING \(BUILD\)\nRUN busybox mkdir/);
      match(first.err, /^.*tool of 0 in 0$/m);
      match(
        first.err,
        /probe as 1000, hostname gone, copied hello, PATH \/opt\/bin:\/usr\/local\/bin/,
      );
      // The same from cached layers.
      const second = await build(`one-${way}`);
      match(second.err, /Using cached layer of RUN busybox mkdir/);
      match(second.err, /tool of 0 in 0\n.*probe as 1000, hostname gone, copied hello/s);
      equal(second.out, first.out);
      digests.add(first.out.split("@")[1]!);
      const after = await build(`plain-${way}`, "--extension", "other");
      match(after.err, /no tool\n.*probe as 1000, hostname there, copied nothing/s);
      equal(after.out, plain.out, "nothing of it stays in the builder");
    }
    equal(digests.size, 1, "the same image in every way");
    const left = await Array.fromAsync(Deno.readDir(`${shell.dir}/store/work`), (one) => one.name);
    deepEqual(left, [], "nor beside it");
  },
});

Deno.test({
  name: "XT-8 ENV-1 build --builder: where only the config is extended, nothing is copied",
  ignore: !canMakeBuilder,
  async fn() {
    const own = {
      ...files("ext", "test/own", "ENV PATH=/opt/own:$PATH", "build"),
      ...files("other", "test/other", "RUN exit 3", "build"),
    };
    await using shell = await builderShell({ ...own, ...PROBE }, CONFIG);
    const words = ["--builder", "oci:builder", "--path", "app", "--run-image", "oci:base:1"];
    const { code, err } = await shell.wherry("build", "one", ...words);
    equal(code, 0, err);
    match(err, /probe as 1000, .* PATH \/opt\/own:\/usr\/local\/bin/);
    const failed = await shell.wherry("build", "one", ...words, "--extension", "other");
    equal(failed.code, 102, failed.err);
    match(failed.err, /Cannot extend the build image \(.*build\.Dockerfile:\d+, RUN\): .*status 3/);
    const left = await Array.fromAsync(Deno.readDir(`${shell.dir}/store/work`), (one) => one.name);
    deepEqual(left, []);
  },
});
