/** `--keep-sandbox`: what a failing build leaves. */
import { deepEqual, equal, match } from "node:assert/strict";
import { builderShell, buildpackFiles, canMakeBuilder } from "./builder_testing.ts";

Deno.test({
  name: "build --keep-sandbox: app and layers of a failing build stay, and only of a failing one",
  ignore: !canMakeBuilder,
  async fn() {
    await using shell = await builderShell();
    await shell.write(buildpackFiles("broken", "test/broken", {
      build: 'test -e fine && exit 0; mkdir "$1/half"; echo done >"$1/half/way"; exit 3',
    }));
    const build = (...flags: readonly string[]) =>
      shell.wherry(
        ...[
          "build",
          "app",
          "--builder",
          "oci:builder",
          "--path",
          "app",
          "--run-image",
          "oci:base:1",
        ],
        ...["-b", "from=builder", "-b", "broken", ...flags],
      );
    const works = async () =>
      (await Array.fromAsync(Deno.readDir(`${shell.dir}/store/work`))).map(({ name }) => name);
    equal((await build()).code, 51);
    deepEqual(await works(), []);
    const { code, err } = await build("--keep-sandbox");
    equal(code, 51, err);
    const [, kept] = /Kept (\S+): app, layers and platform/.exec(err) ?? [];
    equal(await Deno.readTextFile(`${kept}/layers/test_broken/half/way`), "done\n");
    match(err, /the builder's files are in \S+\/unpacked\/\S+\/root/);
    await shell.write({ "app/fine": "" });
    equal((await build("--keep-sandbox")).code, 0);
    deepEqual(await works(), [kept!.split("/").at(-1)], "and the next build leaves it alone");
  },
});
