/** `wherry run`: images started without an engine. */
import { deepEqual, equal, match } from "node:assert/strict";
import { startOf } from "../lifecycle/platform/run_image.ts";
import type { ImageConfig } from "../registry/oci/config.ts";
import { builderShell, canMakeBuilder } from "./builder_testing.ts";

const options = { ignore: !canMakeBuilder };

Deno.test("run: what an engine would start, of the image and of the user's words", () => {
  const config = {
    config: { Entrypoint: ["/e"], Cmd: ["c", "d"], Env: ["A=1", "PATH=/p"], WorkingDir: "/w" },
  } as unknown as ImageConfig;
  const words = (more: Partial<Parameters<typeof startOf>[0]>) =>
    startOf({ config, env: {}, ...more }).words;
  deepEqual(words({}), ["/e", "c", "d"]);
  deepEqual(words({ args: ["x"] }), ["/e", "x"]);
  deepEqual(words({ entrypoint: "/f" }), ["/f"], "the arguments belong to the entrypoint");
  deepEqual(words({ entrypoint: "/f", args: ["x"] }), ["/f", "x"]);
  const { env, cwd } = startOf({ config, env: { A: "2", B: "3" } });
  deepEqual(env, { PATH: "/p", A: "2", B: "3" });
  equal(cwd, "/w");
});

Deno.test({
  name:
    "run: the default process, another one, arguments, user, directory, exit code, what it writes",
  ...options,
  async fn() {
    await using shell = await builderShell();
    await shell.ok(
      ...["build", "app", "--builder", "oci:builder", "--path", "app", "--run-image", "oci:base:1"],
    );
    equal(await shell.ok("run", "app"), "hello\n", "the web process through our launcher");
    await shell.ok("tag", "app", "registry.test/app:1");
    const kept = await shell.wherry("run", "registry.test/app:1");
    match(kept.err, /^registry\.test\/app:1 is the store's; want --pull-policy always to ask/m);
    const asked = ["run", "registry.test/app:1", "--pull-policy", "if-not-present"];
    equal((await shell.wherry(...asked)).err, "");
    const other = await shell.wherry(
      ...["run", "registry.test/app:1", "--offline", "--platform", "linux/s390x"],
    );
    match(other.err, /^ERROR: .*; the store has none for linux\/s390x$/m);
    const sh = async (script: string, ...flags: readonly string[]) =>
      await shell.wherry("run", "oci:base:1", ...flags, "--", "sh", "-c", script);
    const about = await sh(
      "id -u; id -g; pwd; echo $HOME $COLOUR $FROM_RUN_IMAGE; echo oops >&2; exit 7",
      "-e",
      "COLOUR=red",
    );
    equal(about.out, "1000\n1000\n/\n/home/cnb red yes\n");
    match(about.err, /^oops$/m);
    equal(about.code, 7);
    match(
      (await sh("echo x >/home/cnb/x && echo y >/tmp/y && ls /home/cnb /tmp")).out,
      /x\n.*\ny\n/s,
    );
    match((await sh("ls /home/cnb; pwd; id -u", "-w", "/etc", "-u", "root")).out, /^\/etc\n0\n$/);
    equal((await sh("kill -TERM $$")).code, 143);
    await shell.write({ "data/file": "from outside" });
    match(
      (await sh("cat /data/file; echo x >/data/file", "--volume", "data:/data")).out,
      /from outside/,
    );
    equal(await Deno.readTextFile(`${shell.dir}/data/file`), "from outside");
    const process = await shell.wherry("run", "app", "--entrypoint", "/cnb/process/wbe");
    equal(process.err, 'ERROR: Cannot run "/cnb/process/wbe": the image has the processes web\n');
    equal(process.code, 3);
    const ports = await shell.wherry("run", "app", "-p", "8080:8080");
    match(ports.err, /^ERROR: Cannot use --publish: the image has this machine's network/);
    const gone = await shell.wherry("run", "oci:base:1", "--", "no-such-program");
    equal(gone.code, 3);
    match(
      gone.err,
      /Cannot run "no-such-program": the image has no such program in \/usr\/local\/bin/,
    );
    const nobody = await shell.wherry("run", "oci:base:1", "-u", "nobody-here", "--", "true");
    match(nobody.err, /the image has no user "nobody-here"/);
    const none = await shell.wherry("run", "oci:base:1");
    match(none.err, /it says no program to start/);
  },
});
