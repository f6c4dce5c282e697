/** `wherry build --builder` and `detect --builder`, as command lines. */
import { doesNotMatch, equal, match, notEqual } from "node:assert/strict";
import { builderShell, buildpackFiles, canMakeBuilder } from "./builder_testing.ts";

const options = { ignore: !canMakeBuilder };
const BUILD = ["--builder", "oci:builder", "--path", "app", "--run-image", "oci:base:1"];

Deno.test({
  name: "build --builder: unpacked once, entered as the CNB user, the same image as anywhere else",
  ...options,
  async fn() {
    await using shell = await builderShell();
    const first = await shell.wherry("build", "app", ...BUILD);
    equal(first.code, 0, first.err);
    match(first.err, /^Unpacked oci:builder in \d+\.\d s$/m);
    match(first.err, /^isolation: namespaces, the image's own root \(.*\) as 1000:1000; /m);
    match(
      first.err,
      /greeter as 1000:1000 in \/workspace, HOME \/home\/cnb, os ID=busybox/,
    );
    const second = await shell.wherry("build", "app", ...BUILD);
    equal(second.code, 0, second.err);
    equal(second.err.includes("Unpacked"), false, "nothing is unpacked twice");
    equal(second.out, first.out);
    match(second.err, /Reusing layer 'test\/greeter:greeting'/);
    const inPlace = await shell.wherry(
      ...["build", "app", "--path", "app", "--run-image", "oci:base:1", "-b", "greeter"],
      ...["--uid", "1000", "--gid", "1000"],
    );
    equal(inPlace.code, 0, inPlace.err);
    equal(inPlace.out, first.out, "the same digest in every mode");
    if (Deno.uid() !== 0) return;
    for (const more of [[], ["-b", "greeter"]]) {
      const chroot = await shell.wherry("build", "app", ...BUILD, "--isolation", "chroot", ...more);
      equal(chroot.code, 0, chroot.err);
      match(
        chroot.err,
        /^isolation: chroot, the image's own root \(.*\) as 1000:1000; there is no \/proc/m,
      );
      match(chroot.err, /greeter as 1000:1000 in \/workspace, HOME \/tmp\/home, os ID=busybox/);
      equal(chroot.out, first.out);
    }
    const again = await shell.wherry("build", "app", ...BUILD);
    equal(again.out, first.out, "nothing of a build stays in the tree");
  },
});

Deno.test({
  name: "detect --builder: its order, its buildpacks, its distribution",
  ...options,
  async fn() {
    await using shell = await builderShell();
    const passed = await shell.wherry("detect", "--builder", "oci:builder", "--path", "app");
    equal(passed.code, 0, passed.err);
    match(passed.out, /Takes part:\n {2}test\/greeter@1\.0\.0/);
    await Deno.remove(`${shell.dir}/app/app.txt`);
    equal((await shell.wherry("detect", "--builder", "oci:builder", "--path", "app")).code, 20);
  },
});

Deno.test({
  name:
    "BP-3 buildpacks with a builder: in front, behind, from it, by id, as a package and as a file",
  ...options,
  async fn() {
    await using shell = await builderShell();
    const other = (name: string) =>
      buildpackFiles(name, `test/${name}`, { build: `echo this is ${name}` });
    await shell.write({ ...other("one"), ...other("two") });
    await shell.ok("buildpack", "package", "oci:pkg", "--path", "two", "--target", "linux/amd64");
    await shell.ok(
      "buildpack",
      "package",
      "two.cnb",
      "--path",
      "two",
      "--format",
      "file",
      "--target",
      "linux/amd64",
    );
    const ran = async (...flags: readonly string[]) => {
      const { code, err, out } = await shell.wherry(
        "build",
        "app",
        ...BUILD,
        ...flags,
        "-o",
        "json",
      );
      equal(code, 0, err);
      return JSON.parse(out).buildpacks.map(({ id }: { id: string }) => id.slice(5)).join(" ");
    };
    equal(await ran("--pre-buildpack", "one", "--post-buildpack", "two"), "one greeter two");
    equal(await ran("-b", "one", "-b", "from=builder"), "one greeter");
    equal(await ran("-b", "test/greeter@1.0.0", "-b", "one"), "greeter one");
    equal(await ran("-b", "from=builder:test/greeter", "-b", "two.cnb"), "greeter two");
    equal(await ran("-b", "urn:cnb:builder:test/greeter@1.0.0"), "greeter");
    await Deno.rename(`${shell.dir}/two.cnb`, `${shell.dir}/two.tar`);
    equal(await ran("-b", "./two.tar"), "two", "a package whatever its name is");
    // A word that is nothing here is looked up where ids of packages are.
    await shell.ok("buildpack", "package", "local/two:1", "--path", "two");
    await shell.write({
      "index/3/tw/test_two":
        '{"ns":"test","name":"two","version":"1.0.0","yanked":false,"addr":"local/two:1"}\n',
    });
    for (const word of ["test/two", "test/two@1.0.0", "urn:cnb:registry:test/two"]) {
      equal(await ran("-b", word, "-r", "index"), "two", word);
    }
    await shell.ok("buildpack", "yank", "test/two@1.0.0", "-r", "index");
    const yanked = ["-b", "test/two@1.0.0", "-r", "index"];
    match((await shell.wherry("build", "app", ...BUILD, ...yanked)).err, /: it was yanked\)$/m);
    const absent = await shell.wherry("build", "app", ...BUILD, "-b", "urn:cnb:builder:test/none");
    equal(absent.code, 3);
    match(absent.err, /the builder has test\/greeter@1\.0\.0/);
  },
});

Deno.test({
  name: "build --builder: volumes, bindings, variables, workspace, ids, no network",
  ...options,
  async fn() {
    await using shell = await builderShell(
      buildpackFiles("bp", "test/probe", {
        build:
          `echo "ro: $(cat /opt/certs/ca.pem)"; { echo x >/opt/certs/new; } 2>/dev/null || echo "ro kept"
echo written >/mnt/out/result
echo "binding: $(cat "$CNB_PLATFORM_DIR/bindings/db/password") in $(pwd) as $(id -u):$(id -g)"
echo "env: $COLOUR $(cat /platform/env/COLOUR)"
echo "proxy: $http_proxy $HTTP_PROXY $no_proxy $NO_PROXY"
echo "trusted: $(cat /platform/bindings/wherry-ca-certificates/type) $(cat /platform/bindings/wherry-ca-certificates/*.pem)"`,
      }),
      "",
      { HTTP_PROXY: "http://proxy.test:1", no_proxy: "x.test" },
    );
    const pem = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n";
    await shell.write({
      "ca.crt": pem,
      "certs/ca.pem": "CA",
      "db/password": "secret",
      "out/.keep": "",
    });
    await Deno.chmod(`${shell.dir}/out`, 0o777); // it keeps its owner: for real root builds are somebody else
    const { code, err } = await shell.wherry(
      ...["build", "app", ...BUILD, "--volume", "certs:/opt/certs", "--volume", "out:/mnt/out:rw"],
      ...[
        "--binding",
        "db=db",
        "--env",
        "COLOUR=red",
        "--workspace",
        "/src",
        "--uid",
        "1234",
        "--gid",
        "77",
      ],
      ...["--network", "none", "--ca-cert", "ca.crt"],
    );
    equal(code, 0, err);
    match(err, /^proxy: http:\/\/proxy\.test:1 http:\/\/proxy\.test:1 x\.test x\.test$/m);
    match(err, /^trusted: ca-certificates -----BEGIN CERTIFICATE-----$/m);
    match(err, /ro: CA\nro kept\nbinding: secret in \/src as 1234:77\nenv: red red\n/);
    equal(await Deno.readTextFile(`${shell.dir}/out/result`), "written\n");
  },
});

Deno.test({
  name: "build --builder: an OCI archive, a docker archive, a plain file name; what is no builder",
  ...options,
  async fn() {
    await using shell = await builderShell();
    await shell.ok("copy", "oci:builder", "oci-archive:b.tar");
    await shell.ok("copy", "oci:builder", "docker-archive:d.tar");
    for (const name of ["oci-archive:b.tar", "b.tar", "docker-archive:d.tar", "d.tar"]) {
      const { code, err } = await shell.wherry("detect", "--builder", name, "--path", "app");
      equal(code, 0, `${name}: ${err}`);
    }
    const none = await shell.wherry("detect", "--builder", "oci:base:1", "--path", "app");
    notEqual(none.code, 0);
    match(none.err, /Cannot use oci:base:1 as build image: CNB_USER_ID is not set/);
    doesNotMatch(none.err, /Unpack/);
    const other = await shell.wherry(
      ...["detect", "--builder", "oci:builder", "--path", "app", "--buildpack", "no/such@9"],
    );
    match(other.err, /^ERROR: Cannot find buildpack "no\/such@9": .* and no package$/m);
    const gone = await shell.wherry(
      "detect",
      "--builder",
      "gone.tar",
      "--pull-policy",
      "never",
      "--path",
      "app",
    );
    match(gone.err, /^ERROR: Cannot find "gone\.tar": no such file\n$/);
    const inPlace = await shell.wherry(
      "detect",
      "--builder",
      "oci:builder",
      "--isolation",
      "in-place",
    );
    match(inPlace.err, /Cannot use --isolation in-place with --builder/);
  },
});

Deno.test({
  name:
    "build --builder: nothing but the store: builder and run image in it, and a hint where the registry was asked",
  ...options,
  async fn() {
    await using shell = await builderShell();
    await shell.ok("copy", "oci:base:1", "store:oci.example/run:1");
    await shell.ok("copy", "oci:builder", "store:oci.example/builder:1");
    const build = [
      "build",
      "app",
      "--builder",
      "oci.example/builder:1",
      "--path",
      "app",
      "--offline",
    ];
    for (const policy of ["if-not-present", "never"]) {
      const made = await shell.wherry(...build, "--pull-policy", policy);
      equal(made.code, 0, made.err);
    }
    const asked = await shell.wherry(...build);
    notEqual(asked.code, 0);
    match(
      asked.err,
      /^ERROR: .*\(the store has oci\.example\/builder:1: --pull-policy if-not-present takes it\)$/m,
    );
    const run = await shell.wherry(
      "build",
      "app",
      "--builder",
      "oci:builder",
      "--path",
      "app",
      "--offline",
    );
    equal(run.code, 3);
    match(
      run.err,
      /^ERROR: .*\(the store has oci\.example\/run:1: --pull-policy if-not-present takes it\)$/m,
    );
    const never = ["--pull-policy", "never", "--run-image", "oci.example/gone:1"];
    const gone = await shell.wherry(...build, ...never);
    equal(gone.code, 3);
    match(gone.err, /^ERROR: .*gone:1": it is not in the store, and --pull-policy is never/m);
  },
});

Deno.test({
  name: "build --builder: what was made here under a name without a host is found without a policy",
  ...options,
  async fn() {
    await using shell = await builderShell();
    const config = await Deno.readTextFile(`${shell.dir}/builder.toml`);
    await shell.write({ "mine.toml": config.replaceAll("oci.example/run:1", "run:1") });
    await shell.ok("copy", "oci:base:1", "store:run:1");
    await shell.ok("builder", "create", "my/builder", "--config", "mine.toml");
    const build = ["build", "app", "--builder", "my/builder", "--path", "app", "--offline"];
    const made = await shell.wherry(...build);
    equal(made.code, 0, made.err);
    match(
      made.err,
      /^my\/builder:latest is the store's \(Cannot read my\/builder:latest: .*offline/m,
    );
    match(made.err, /^run:1 is the store's \(/m);
    for (const words of [["rebase", "app"], ["bundle", "create", "b.tar", "--app", "app"]]) {
      const again = await shell.wherry(...words, "--offline");
      equal(again.code, 0, again.err);
      match(again.err, /^run:1 is the store's \(/m);
    }
    const asked = await shell.wherry(...build, "--pull-policy", "always");
    equal(asked.code, 1);
    match(
      asked.err,
      /^ERROR: .*offline.* \(the store has my\/builder:latest: --pull-policy if-not-present takes it\)$/m,
    );
    await shell.write({ "broken.tar": "no bundle" });
    const broken = await shell.wherry(...build, "--from", "broken.tar");
    notEqual(broken.code, 0);
    match(broken.err, /^ERROR: Cannot [^\n]*broken\.tar[^\n]*$/m);
    equal(broken.err.includes("the store has"), false, broken.err);
  },
});

Deno.test({
  name: "builder create: a run image has to be a name, for images keep it",
  ...options,
  async fn() {
    await using shell = await builderShell();
    const config = await Deno.readTextFile(`${shell.dir}/builder.toml`);
    await shell.write({ "other.toml": config.replace("oci.example/run:1", "oci:base:1") });
    const refused = await shell.wherry("builder", "create", "oci:other", "--config", "other.toml");
    equal(refused.code, 3);
    match(
      refused.err,
      /^ERROR: Cannot use run image "oci:base:1" of .*other\.toml: want the name of an image/m,
    );
  },
});
