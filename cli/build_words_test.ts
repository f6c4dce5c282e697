/** Flags of `wherry build --builder` that cannot be meant are told before the builder is touched. */
import { equal, match } from "node:assert/strict";
import { builderShell, canMakeBuilder } from "./builder_testing.ts";

const REF = `"bad`;

Deno.test({
  name: "build --builder judges every flag before it unpacks anything; nothing is left",
  ignore: !canMakeBuilder,
  async fn() {
    await using shell = await builderShell({
      "odd/project.toml": '[_]\nschema-version = "9"\n',
    });
    const build = ["build", "app", "--builder", "oci:builder", "--run-image", "oci:base:1"];
    const app = ["--path", "app"];
    for (
      const [words, message] of [
        [["--path", "none"], /Cannot read app "\S+\/none": no such file or directory/],
        [["--path", "odd"], /odd\/project.toml: schema-version is "9", want one of/],
        [[...app, "--descriptor", "none"], /Cannot read descriptor \S+\/none: no such file/],
        [[...app, "--cache", "type=x"], /Cannot use --cache "type=x": type is "x", want build/],
        [[...app, "--cache", "format=bind"], /Cannot use --cache "format=bind": want type=build/],
        [[...app, "--cache", "format=bind;source=app/app.txt"], /app\/app.txt is not a directory/],
        [[...app, "--cache", "format=image;name=UP"], /Cannot read image name "UP"/],
        [[...app, "--cache-image", "x", "--clear-cache"], /Cannot use --clear-cache with cache im/],
        [[...app, "--cache-image", "app"], /app/],
        [[...app, "--cache", "type=build,format=bind"], /--cache \S+: want ";" between its parts/],
        [[...app, "--cache", "foramt=bind"], /--cache \S+: "foramt" is none of type, format/],
        [[...app, "--cache", ""], /--cache "": want type=build and/],
        [
          [...app, "--cache", "format=volume;name=a", "--cache-image", "registry.example/b"],
          /Cannot use two build caches: want one of/,
        ],
        [[...app, "--volume", "none:/x"], /Cannot use --volume "none:\/x": none is not there/],
        [[...app, "--volume", "app:/layers/x"], /--volume "app:\/layers\/x": it would cover/],
        [[...app, "--binding", "x"], /Cannot use --binding "x": want NAME=DIR/],
        [[...app, "--binding", "x=none"], /Cannot use --binding "x=none": none is not a directory/],
        [[...app, "--env", "=x"], /Cannot use --env/],
        [[...app, "--env-file", "none"], /Cannot read --env-file "none": no such file/],
        [[...app, "--previous-image", REF], /Cannot read image name/],
        [[...app, "--run-image", REF], /Cannot read image name/],
        [[...app, "--tag", REF], /Cannot read image name/],
        [[...app, "--creation-time", "x"], /Cannot use --creation-time "x"/],
        [[...app, "--report-output-dir", "app/app.txt"], /--report-output-dir .*not a directory/],
        [[...app, "--sbom-output-dir", "app/app.txt"], /--sbom-output-dir .*not a directory/],
        [
          [...app, "--network", "x"],
          /Cannot use --network "x": want host or none \(see: wherry build/,
        ],
        [[...app, "--memory", "x"], /--memory/],
        [[...app, "--uid", "x"], /Cannot use --uid "x": want a number/],
        [[...app, "--gid", "x"], /Cannot use --gid "x": want a number/],
        [[...app, "--uid", "0"], /Cannot use user 0: buildpacks do not run as root; want another/],
        [[...app, "--buildpack", ""], /Cannot use --buildpack "": want a name \(see: wherry build/],
        [[...app, "--tag", ","], /Cannot use --tag ",": want a name/],
        [[...app, "--workspace", "x"], /Cannot use --workspace "x"/],
        [
          [...app, "--workspace", "/layers/x"],
          /Cannot use --workspace .*: it would cover \/layers/,
        ],
        [[...app, "--workspace", "/a/../.."], /Cannot use --workspace .*: it would cover \/$/m],
        [[...app, "--buildpack", "no.tgz"], /Cannot find buildpack "no.tgz": no such file/],
        [[...app, "--extension", "no.cnb"], /Cannot find extension "no.cnb": no such file/],
        [[...app, "--isolation", "x"], /Cannot use --isolation "x": want auto, namespaces, takeo/],
        [[...app, "--exec-env", "a b"], /--exec-env/],
        [[...app, "--default-process", "a/b"], /--default-process/],
        [[...app, "--buildpack", "./none"], /Cannot find buildpack ".\/none": no such file or dir/],
        [[...app, "--pre-buildpack", "./none"], /Cannot find buildpack ".\/none": no such file/],
        [[...app, "--extension", "./none"], /Cannot find extension ".\/none": no such file or dir/],
        [[...app, "--order", "none"], /Cannot read order \S+\/none: no such file/],
        [[...app, "--buildpacks", "none"], /Cannot use --buildpacks "none": it is not a directory/],
        [
          [...app, "-r", "none"],
          /Cannot use --buildpack-registry "none": no such directory or file/,
        ],
        [[...app, "--from", "none"], /\/none: no such file/],
      ] as const
    ) {
      const { code, out, err } = await shell.wherry(...build, ...words);
      match(err, message);
      match(err, /^ERROR: [^\n]*\n$/, words.join(" "));
      equal(out, "");
      equal(code, words[1] === "odd" ? 1 : 3, err);
    }
    for (
      const [builder, message] of [
        ["no.tar", 'Cannot find "no.tar": no such file'],
        ["./no", 'Cannot find "./no": no such file'],
        [
          "./builder",
          'Cannot use "./builder": it is a directory (of an OCI layout? want oci:./builder)',
        ],
      ] as const
    ) {
      const { code, err } = await shell.wherry("build", "app", ...app, "--builder", builder);
      equal(err, `ERROR: ${message}\n`);
      equal(code, 3);
    }
    const left = await Deno.stat(`${shell.dir}/store/unpacked`).catch(() => undefined);
    equal(left, undefined);
  },
});
