/** Buildpacks that behave badly in a builder: a clear end, and nothing left running, mounted or half-stored. */
import { deepEqual, equal, match } from "node:assert/strict";
import { builderShell, buildpackFiles, canMakeBuilder } from "./builder_testing.ts";
import type { Shell } from "./shell_testing.ts";

interface Fault {
  readonly name: string;
  /** `bin/build`. */
  readonly build: string;
  readonly code: number;
  readonly error: RegExp;
}

/** A word that no other process of this machine has in its command line. */
const MARK = `wherry-fault-${crypto.randomUUID()}`;

const FAULTS: readonly Fault[] = [
  {
    name: "a daemon that leaves its session and holds the pipes open",
    build: `setsid sh -c 'trap "" TERM HUP; while :; do sleep 1000; done # ${MARK}' & echo started`,
    code: 0,
    error: /^started$/m,
  },
  {
    name: "trees that nobody may enter",
    build:
      `mkdir -p "$1/l/a/b" /tmp/x/y "$HOME/z" && echo x >"$1/l/a/b/c" && chmod 0 "$1/l/a/b" "$1/l/a" /tmp/x "$HOME/z"; exit 5`,
    code: 51,
    error: /test\/probe/,
  },
  {
    name: "a device node",
    build: `mkdir "$1/l" && mknod "$1/l/disk" b 8 0 && echo MADE; exit 6`,
    code: 51,
    error: /mknod: .*: Operation not permitted/,
  },
  {
    name: "a name of 300 bytes",
    build: `n=$(printf %0300d 0); mkdir "$1/l"; echo x >"$1/l/$n"; exit 7`,
    code: 51,
    error: /File ?name too long/,
  },
  {
    name: "a name that is not UTF-8, in a layer",
    build:
      `mkdir "$1/l" && echo x >"$1/l/$(printf 'caf\\351')" && printf '[types]\\nlaunch = true\\n' >"$1/l.toml"`,
    code: 62,
    error: /UTF-8/,
  },
  {
    name: "a name that is not UTF-8, in the app",
    build: `echo x >"$(printf 'caf\\351')"`,
    code: 62,
    error: /UTF-8/,
  },
  {
    name: "files of the builder, overwritten",
    build: `echo x >/bin/busybox; echo x >/cnb/order.toml; rm -rf /etc /cnb/buildpacks; exit 8`,
    code: 51,
    error: /Read-only file system|Permission denied/,
  },
];

async function running(): Promise<number> {
  let count = 0;
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    if (line.includes(MARK) && !line.includes("deno")) count++;
  }
  return count;
}

async function assertNothingLeft(shell: Shell): Promise<void> {
  equal(await running(), 0, "a process");
  deepEqual(await Array.fromAsync(Deno.readDir(`${shell.dir}/store/work`)), [], "a directory");
  const mounts = await Deno.readTextFile("/proc/self/mountinfo");
  equal(mounts.includes(shell.dir), false, "a mount");
}

const ways = Deno.uid() === 0 ? ["namespaces", "chroot"] : ["namespaces"];

for (const way of ways) {
  Deno.test({
    name: `buildpacks that behave badly in a builder: ${way}`,
    ignore: !canMakeBuilder,
    async fn(test) {
      await using shell = await builderShell(buildpackFiles("bp", "test/probe", {
        build: 'eval "$FAULT"',
      }));
      const words = [
        ...["build", "app", "--builder", "oci:builder", "--path", "app"],
        ...["--run-image", "oci:base:1", "--isolation", way],
      ];
      for (const { name, build, code, error } of FAULTS) {
        await test.step(name, async () => {
          const ended = await shell.wherry(...words, "--env", `FAULT=${build}`);
          equal(ended.code, code, ended.err);
          match(ended.err, error);
          await assertNothingLeft(shell);
          const rows = JSON.parse(await shell.ok("ls", "-o", "json"));
          deepEqual(rows.length, code === 0 ? 1 : 0, "no image");
          if (code === 0) return void await shell.ok("rm", "app");
          // The builder is as it was.
          const again = await shell.wherry(...words, "-b", "test/greeter");
          equal(again.code, 0, again.err);
          await shell.ok("rm", "app");
        });
      }
    },
  });
}
