/** Image extensions in a builder, and named beside one. */
import { equal, match } from "node:assert/strict";
import { builderShell, canMakeBuilder } from "./builder_testing.ts";

const files = (dir: string, id: string, text: string) => ({
  [`${dir}/extension.toml`]: `api = "0.10"\n[extension]\nid = "${id}"\nversion = "1.0.0"\n`,
  [`${dir}/bin/detect`]: "#!/bin/sh\n",
  [`${dir}/bin/generate`]:
    `#!/bin/sh\ncat >"$CNB_OUTPUT_DIR/run.Dockerfile" <<'END'\nARG base_image\nFROM \${base_image}\n${text}\nEND\n`,
});

Deno.test({
  name: "XT-9 BI-2 build --builder: its extensions extend the run image, others take their place",
  ignore: !canMakeBuilder,
  async fn() {
    await using shell = await builderShell(
      {
        ...files("ext", "test/own", "ENV BY=builder"),
        ...files("other", "test/other", "ENV BY=user"),
      },
      `[[extensions]]
uri = "ext"
[[order-extensions]]
[[order-extensions.group]]
id = "test/own"
version = "1.0.0"
`,
    );
    const words = ["--builder", "oci:builder", "--path", "app", "--run-image", "oci:base:1"];
    const build = async (name: string, ...more: readonly string[]) => {
      const { code, err } = await shell.wherry("build", name, ...words, ...more);
      equal(code, 0, err);
      match(err, /===> EXTENDING \(RUN\)/);
      return err;
    };
    match(await build("one"), /^test\/own +1\.0\.0$/m);
    match(await build("two", "--extension", "other"), /^test\/other +1\.0\.0$/m);
    match(await build("three", "--extension", "test/own@1.0.0"), /^test\/own +1\.0\.0$/m);
    if (Deno.uid() !== 0) return;
    match(await build("four", "--isolation", "chroot"), /^test\/own +1\.0\.0$/m);
    match(await build("five", "--isolation", "chroot", "--extension", "other"), /^test\/other/m);
  },
});
