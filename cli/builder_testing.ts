/** For tests: a builder of busybox and bash with two small buildpacks, made by `builder create`. */
import { compileC } from "../scripts/compile_c.ts";
import { canMakeBase, writeBase, writeBuildBase } from "../tests/accept/base_image_testing.ts";
import { makeShell, type Shell } from "./shell_testing.ts";

/** Whether a builder can be made here; says so on the test's output when not. */
export const canMakeBuilder: boolean = canMakeBase();

const LIFECYCLE = {
  "lifecycle/lifecycle.toml":
    '[lifecycle]\nversion = "9.9.9"\n[apis.buildpack]\ndeprecated = []\nsupported = ["0.10"]\n' +
    '[apis.platform]\ndeprecated = []\nsupported = ["0.12"]\n',
  "lifecycle/lifecycle/lifecycle": "#!/bin/sh\n",
};

/** Files of a buildpack in the directory `dir`. */
export function buildpackFiles(
  dir: string,
  id: string,
  scripts: { readonly detect?: string; readonly build?: string },
): Record<string, string> {
  return {
    [`${dir}/buildpack.toml`]:
      `api = "0.10"\n[buildpack]\nid = "${id}"\nversion = "1.0.0"\n[[targets]]\nos = "linux"\n`,
    [`${dir}/bin/detect`]: `#!/bin/sh\n${scripts.detect ?? ""}\n`,
    [`${dir}/bin/build`]: `#!/bin/sh\nset -e\n${scripts.build ?? ""}\n`,
  };
}

/** Writes a layer with a file, and a process; prints who it is. */
const GREETER = buildpackFiles("greeter", "test/greeter", {
  detect: "test -e app.txt || exit 100",
  build:
    `echo "greeter as $(id -u):$(id -g) in $(pwd), HOME $HOME, os $(cat /etc/os-release | head -1)"
mkdir -p "$1/greeting" && cat app.txt >"$1/greeting/text"
printf '[types]\\nlaunch = true\\ncache = true\\n' >"$1/greeting.toml"
printf '[[processes]]\\ntype = "web"\\ncommand = ["cat", "/layers/test_greeter/greeting/text"]\\ndefault = true\\n' >"$1/launch.toml"`,
});

/**
 * A shell with `oci:base:build`, `oci:base:1` (the run image), an app in `app`, and the builder `oci:builder`
 * made of them and `greeter`. `more` are files; those of `bp/` become a second buildpack, `test/probe`, that runs last.
 */
export async function builderShell(
  more: Readonly<Record<string, string>> = {},
  config = "",
  env: Readonly<Record<string, string>> = {},
): Promise<Shell> {
  const arch = Deno.build.arch === "aarch64" ? "arm64" : "amd64";
  await Promise.all([compileC("helper", arch), compileC("launcher", arch)]);
  const shell = await makeShell(env);
  await writeBuildBase(`${shell.dir}/base`);
  await writeBase(`${shell.dir}/base`, 1);
  const second = "bp/buildpack.toml" in more;
  await shell.write({
    ...LIFECYCLE,
    ...GREETER,
    "app/app.txt": "hello\n",
    "builder.toml": `
[build]
image = "oci:base:build"
[run]
[[run.images]]
image = "oci.example/run:1"
[[buildpacks]]
uri = "greeter"
${second ? '[[buildpacks]]\nuri = "bp"\n' : ""}
[[order]]
[[order.group]]
id = "test/greeter"
version = "1.0.0"
${second ? '[[order.group]]\nid = "test/probe"\nversion = "1.0.0"\n' : ""}
[lifecycle]
uri = "lifecycle"
${config}`,
    ...more,
  });
  await shell.ok("builder", "create", "oci:builder", "--config", "builder.toml");
  return shell;
}
