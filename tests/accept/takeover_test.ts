/** The executable in a container that holds nothing else: the builder is unpacked over it. */
import assert from "node:assert/strict";
import { builderShell, canMakeBuilder } from "../../cli/builder_testing.ts";
import { startProcess, WHERRY } from "./wherry_testing.ts";

/** Runs a program as root of `root`, with a `/proc` and a few devices, in a mount namespace that ends with it. */
const ENTER = `set -e
mount --bind "$1" "$1"
cd "$1" && shift
mkdir -p proc dev sys tmp
mount -t proc proc proc
mount -t tmpfs dev dev
for node in null zero full random urandom; do : >dev/$node; mount --bind /dev/$node dev/$node; done
exec chroot . "$@"
`;

Deno.test({
  name: "takeover: an empty container becomes the builder, builds as its user, and only once",
  ignore: Deno.uid() !== 0 || !canMakeBuilder,
  async fn() {
    await using shell = await builderShell();
    const root = `${shell.dir}/root`;
    await Deno.mkdir(`${root}/builds`, { recursive: true });
    await Deno.mkdir(`${root}/etc`);
    await Deno.writeTextFile(`${root}/etc/resolv.conf`, "# ours\n");
    await Deno.writeTextFile(`${root}/.dockerenv`, "");
    await Deno.copyFile(WHERRY, `${root}/wherry`);
    await Deno.chmod(`${root}/wherry`, 0o755);
    for (const name of ["builder", "base", "app"]) {
      await Deno.rename(`${shell.dir}/${name}`, `${root}/builds/${name}`);
    }
    const build = async () => {
      const { code, stdout, stderr } = await startProcess("unshare", [
        ...["--mount", "--propagation", "private", "sh", "-c", ENTER, "sh", root],
        ...[
          "/wherry",
          "build",
          "oci:/builds/out",
          "--store",
          "/root/store",
          "--isolation",
          "takeover",
        ],
        ...[
          "--builder",
          "oci:/builds/builder",
          "--run-image",
          "oci:/builds/base:1",
          "--path",
          "/builds/app",
        ],
      ]).ended;
      assert.equal(code, 0, stdout + stderr);
      return stdout + stderr;
    };
    const first = await build();
    assert.match(first, /^Unpacked oci:\/builds\/builder over this container in \d+\.\d s$/m);
    assert.match(
      first,
      /^isolation: takeover, the builder unpacked over this container .* as 1000:1000; /m,
    );
    assert.match(first, /greeter as 1000:1000 in \/workspace, HOME .*, os ID=busybox/);
    assert.equal(await Deno.readTextFile(`${root}/etc/resolv.conf`), "# ours\n");
    assert.equal((await Deno.stat(`${root}/bin/busybox`)).uid, 0);
    const second = await build();
    assert.doesNotMatch(second, /Unpacked/);
    assert.match(second, /Reusing layer 'test\/greeter:greeting'/);
  },
});
