/** `build --buildpack DIR` of a composite whose parts are packages. */
import { deepEqual, equal, match } from "node:assert/strict";
import { builderShell, buildpackFiles, canMakeBuilder } from "./builder_testing.ts";
import { bench } from "./command_testing.ts";

Deno.test({
  name:
    "build --buildpack: a composite directory whose parts are a directory, a package file, images and a name of a registry index",
  ignore: !canMakeBuilder,
  async fn() {
    await using registry = await bench();
    await using shell = await builderShell();
    const { host } = registry;
    const there = ["--insecure-registry", host];
    const names = ["dir", "tgz", "file", "scheme", "image", "urn"];
    for (const name of names) {
      await shell.write(
        buildpackFiles(`parts/${name}`, `parts/${name}`, { build: `echo "<${name}>"` }),
      );
    }
    const pack = (name: string, path: string, ...flags: readonly string[]) =>
      shell.ok("buildpack", "package", name, "--path", path, ...flags);
    const tar = ["-czf", `${shell.dir}/parts/tgz.tgz`, "-C", `${shell.dir}/parts/tgz`, "."];
    equal((await new Deno.Command("tar", { args: tar }).output()).code, 0);
    await pack("parts/file.cnb", "parts/file", "--format", "file");
    for (const name of ["scheme", "image", "urn"]) {
      await pack(`${host}/parts/${name}:1`, `parts/${name}`, "--publish", ...there);
    }
    await shell.write({
      "index/3/ur/parts_urn": JSON.stringify({
        ns: "parts",
        name: "urn",
        version: "1.0.0",
        yanked: false,
        addr: `${host}/parts/urn:1`,
      }) + "\n",
      "all/buildpack.toml":
        `api = "0.10"\n[buildpack]\nid = "test/all"\nversion = "1.0.0"\n[[order]]\n${
          names.map((name) => `[[order.group]]\nid = "parts/${name}"\nversion = "1.0.0"\n`).join("")
        }`,
      "all/package.toml": [
        '[buildpack]\nuri = "."',
        ...[
          "../parts/dir",
          "../parts/tgz.tgz",
          "../parts/file.cnb",
          `docker://${host}/parts/scheme:1`,
          `${host}/parts/image:1`,
          "urn:cnb:registry:parts/urn@1.0.0",
        ].map((uri) => `[[dependencies]]\nuri = "${uri}"`),
      ].join("\n"),
    });
    const words = ["build", "app", "--builder", "oci:builder", "--path", "app", "-b", "all"];
    const more = ["--run-image", "oci:base:1", ...there, "--isolation"];
    const index = ["--buildpack-registry", "index"];
    const { code, err } = await shell.wherry(...words, ...more, "auto", ...index);
    equal(code, 0, err);
    deepEqual(err.match(/^<\w+>$/gm), names.map((name) => `<${name}>`));

    const lost = await shell.wherry(...words, ...more, "auto");
    equal(lost.code, 3);
    match(lost.err, /Cannot look up urn:cnb:registry:parts\/urn@1\.0\.0: want a registry index/);
  },
});
