/**
 * The executable where it must run: with nothing beside it, as anyone, on anything. Drives `dist/wherry`; and an
 * executable built the same way around `onefile_probe_testing.ts`, which looks around from inside.
 *
 * Namespaces and mounts need root; without it those tests say that they are skipped.
 */
import assert from "node:assert/strict";
import type { ProbeResult } from "./onefile_probe_testing.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const WHERRY = `${ROOT}dist/wherry`;

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function succeeds(program: string, ...args: readonly string[]): boolean {
  return new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  })
    .outputSync().success;
}

const built = exists(WHERRY);
// deno-lint-ignore no-console
if (!built) console.log("skipped: dist/wherry is missing, make it with: deno task build");
const hasNamespaces = Deno.uid() === 0 &&
  succeeds("unshare", "-m", "-p", "-f", "--mount-proc", "true");
// deno-lint-ignore no-console
if (!hasNamespaces) console.log("skipped: tests of the executable that need root and namespaces");
const hasNoexec = exists("/proc/sys/vm/memfd_noexec"); // Linux 6.3
// deno-lint-ignore no-console
if (!hasNoexec) console.log("skipped: tests of the executable that need vm.memfd_noexec");
const hasCrun = exists("/usr/bin/crun");
// deno-lint-ignore no-console
if (!hasCrun) console.log("skipped: the executable in a crun container, crun is missing");

const work = await Deno.makeTempDir({ prefix: "onefile" });
globalThis.addEventListener("unload", () => Deno.removeSync(work, { recursive: true }));
await Deno.chmod(work, 0o755);

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly clearEnv?: boolean;
}

async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  const output = await new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    ...options,
  }).output();
  const decoder = new TextDecoder();
  return {
    code: output.code,
    stdout: decoder.decode(output.stdout),
    stderr: decoder.decode(output.stderr),
  };
}

/** `sh -c script name args...`, with `$WHERRY` and `$PROBE` in reach. */
async function shell(script: string, options: RunOptions = {}): Promise<Outcome> {
  const env = { ...options.env, WHERRY, PROBE: await probeFile(), WORK: work };
  return await run("/bin/sh", ["-c", script], { ...options, env });
}

/** What every place must show: the JSON of `wherry version`, nothing on standard error. */
function assertRuns(outcome: Outcome): void {
  assert.equal(outcome.stderr, "");
  assert.equal(outcome.code, 0);
  const version = JSON.parse(outcome.stdout) as { inputs: { name: string; sha256: string }[] };
  assert(version.inputs.some((input) => input.name.startsWith("@deno/linux-")));
  for (const input of version.inputs) assert.match(input.sha256, /^[0-9a-f]{64}$/);
}

function readProbe(outcome: Outcome): ProbeResult {
  assert.equal(outcome.stderr, "");
  assert.equal(outcome.code, 0);
  return JSON.parse(outcome.stdout) as ProbeResult;
}

function assertWorks(probe: ProbeResult, except: readonly string[] = []): void {
  for (const [name, result] of Object.entries(probe.works)) {
    if (!except.includes(name)) assert.equal(result, "ok", name);
  }
}

async function build(
  args: readonly string[],
  cwd = ROOT,
  env: Record<string, string> = {},
): Promise<void> {
  const outcome = await run(Deno.execPath(), [
    "run",
    "-A",
    `${cwd}scripts/build.ts`,
    "--fast",
    ...args,
  ], {
    cwd,
    env,
  });
  assert.equal(outcome.code, 0, outcome.stderr);
}

let probeBuild: Promise<string> | undefined;

/** The executable around the probe; built when first asked for. */
function probeFile(): Promise<string> {
  probeBuild ??= (async () => {
    await build(["--entry", "tests/accept/onefile_probe_testing.ts", "--out", `${work}/probe`]);
    return `${work}/probe/wherry`;
  })();
  return probeBuild;
}

function test(name: string, body: () => Promise<void>): void {
  Deno.test({ name: `one file: ${name}`, ignore: !built, fn: body });
}

function rootTest(name: string, body: () => Promise<void>, possible = true): void {
  Deno.test({ name: `one file: ${name}`, ignore: !built || !hasNamespaces || !possible, fn: body });
}

const AS_USER = "setpriv --reuid 1000 --regid 1000 --clear-groups";
const VERSION = ["version", "-o", "json"];

// ---- where it starts ----

test("runs here, and /proc/self/exe is the file", async () => {
  assertRuns(await run(WHERRY, VERSION));
  const probe = readProbe(await shell('"$PROBE" a b'));
  assert.deepEqual(probe.args, ["a", "b"]);
  assert.equal(probe.execPath, await probeFile());
  assert.equal(probe.isExecutable, true);
  assertWorks(probe);
});

rootTest("runs as uid 1000", async () => {
  assertRuns(await shell(`cd / && exec ${AS_USER} "$WHERRY" version -o json`));
  const probe = readProbe(await shell(`cd / && exec ${AS_USER} "$PROBE"`));
  assert.equal(probe.uid, 1000);
  assertWorks(probe);
});

test("runs without HOME, PATH or any other variable", async () => {
  assertRuns(await run(WHERRY, VERSION, { clearEnv: true }));
  const probe = readProbe(await run(await probeFile(), [], { clearEnv: true }));
  assert.deepEqual(probe.environment, {});
  assert.deepEqual(probe.startEnvironment, {});
  assertWorks(probe);
});

test("runs through a symlink and a chain of them", async () => {
  await Deno.symlink(WHERRY, `${work}/link`);
  await Deno.symlink("link", `${work}/link2`);
  assertRuns(await run(`${work}/link2`, VERSION));
});

test("runs from /dev/shm", async () => {
  const copy = await Deno.makeTempFile({ dir: "/dev/shm" });
  try {
    await Deno.copyFile(WHERRY, copy);
    await Deno.chmod(copy, 0o755);
    assertRuns(await run(copy, VERSION));
  } finally {
    await Deno.remove(copy);
  }
});

test("runs without address space randomisation", async () => {
  assertRuns(await run("setarch", ["-R", WHERRY, ...VERSION]));
});

test("runs with a low soft limit of open files, and a hard one of 256", async () => {
  assertRuns(await shell('ulimit -Sn 64; exec "$WHERRY" version -o json'));
  assertWorks(readProbe(await shell('ulimit -n 256; exec "$PROBE"')));
});

test("says what is wrong when the hard limit of open files is too low", async () => {
  const outcome = await shell('ulimit -n 200; exec "$WHERRY" version');
  assert.equal(outcome.code, 127);
  assert.match(
    outcome.stderr,
    /^wherry: stub: the hard limit of open files \(ulimit -Hn\) is 200, wanted at least \d+\n$/,
  );
});

test("says what is wrong when the address space is limited", async () => {
  const outcome = await shell('ulimit -v 20000000; exec "$WHERRY" version');
  assert.equal(outcome.code, 127);
  assert.match(
    outcome.stderr,
    /^wherry: stub: the limit of address space \(ulimit -v\) is 20000000 KiB, wanted unlimited or at least \d+\n$/,
  );
  assertWorks(readProbe(await shell('ulimit -v 83886080; exec "$PROBE"')));
});

rootTest("runs with all capabilities dropped and no_new_privs", async () => {
  const drop = "setpriv --no-new-privs --bounding-set=-all --inh-caps=-all";
  assertRuns(await shell(`exec ${drop} "$WHERRY" version -o json`));
  const both = `exec ${drop} --reuid 1000 --regid 1000 --clear-groups`;
  assertWorks(readProbe(await shell(`cd / && ${both} "$PROBE"`)));
});

/** A root with only /proc and /dev/null, read-only; runs `command` in it. */
async function inEmptyRoot(command: string, fill = ""): Promise<Outcome> {
  return await shell(`
    set -e
    root=$(mktemp -d "$WORK/rootXXXXXX") && chmod 755 "$root" && export root
    exec unshare -m -p -f sh -ec '
      mount -t tmpfs -o mode=755 none "$root"
      mkdir "$root/proc" "$root/dev"
      : >"$root/dev/null"; : >"$root/wherry"; : >"$root/probe"
      mount -t proc none "$root/proc"
      mount --bind /dev/null "$root/dev/null"
      mount --bind "$WHERRY" "$root/wherry"
      mount --bind "$PROBE" "$root/probe"
      ${fill}
      mount -o remount,ro "$root"
      ${command}'`);
}

const CHROOT = 'exec unshare --root="$root" --wd=/';

rootTest("runs in an empty, read-only root with only /proc and /dev/null, as root", async () => {
  assertRuns(await inEmptyRoot(`${CHROOT} /wherry version -o json`));
  assertWorks(readProbe(await inEmptyRoot(`${CHROOT} /probe`)));
});

rootTest(
  "runs in an empty, read-only root with nothing set, as uid 1000, with no_new_privs",
  async () => {
    const enter =
      'exec env -i setpriv --no-new-privs unshare --root="$root" --wd=/ -G 1000 -S 1000';
    assertRuns(await inEmptyRoot(`${enter} /wherry version -o json`));
    const probe = readProbe(await inEmptyRoot(`${enter} /probe`));
    assert.equal(probe.uid, 1000);
    assertWorks(probe);
  },
);

rootTest("runs in a root with only busybox and musl", async () => {
  const busybox = ["/bin/busybox", "/usr/bin/busybox"].find(exists);
  assert(busybox, "wanted Debian's package busybox-static");
  const musl = exists("/lib/ld-musl-x86_64.so.1");
  const fill = `mkdir "$root/bin" "$root/lib"; cp ${busybox} "$root/bin/busybox";
    ln -s busybox "$root/bin/sh"; ln -s busybox "$root/bin/ls";
    ${musl ? 'cp -L /lib/ld-musl-x86_64.so.1 "$root/lib/"' : ""}`;
  assertRuns(await inEmptyRoot(`${CHROOT} /bin/sh -c "/wherry version -o json"`, fill));
  assertWorks(readProbe(await inEmptyRoot(`${CHROOT} /bin/sh -c /probe`, fill)));
});

rootTest("says what is wrong when /proc is missing", async () => {
  const outcome = await inEmptyRoot('umount "$root/proc"; ' + CHROOT + " /wherry version");
  assert.equal(outcome.code, 127);
  assert.match(
    outcome.stderr,
    /^wherry: stub: Cannot open \/proc\/self\/exe \(is \/proc mounted\?\): errno 2\n$/,
  );
});

const STRICT_MEMFD =
  'exec unshare -p -f --mount-proc sh -ec \'echo 2 >/proc/sys/vm/memfd_noexec; exec "$0" "$@"\'';

rootTest(
  "runs where memory files must not be executable, and the helper moves to a nameless file",
  async () => {
    assertRuns(await shell(`${STRICT_MEMFD} "$WHERRY" version -o json`));
    assertWorks(readProbe(await shell(`${STRICT_MEMFD} "$PROBE"`)));
  },
  hasNoexec,
);

rootTest(
  "runs where memory files must not be executable and nothing is writable, without the helper",
  async () => {
    const strict = "echo 2 >/proc/sys/vm/memfd_noexec;";
    assertRuns(await inEmptyRoot(`${strict} ${CHROOT} /wherry version -o json`));
    const probe = readProbe(await inEmptyRoot(`${strict} ${CHROOT} /probe`));
    assertWorks(probe, ["helper"]);
    assert.match(
      probe.works["helper"] ?? "",
      /Cannot start the sandbox helper: the kernel refuses executable memory/,
    );
  },
  hasNoexec,
);

/** The profile that podman and docker run containers with, for a process without capabilities; empty where it is not installed. */
async function defaultSeccomp(): Promise<Record<string, unknown>> {
  const path = "/usr/share/containers/seccomp.json";
  if (!exists(path)) return {};
  const profile = JSON.parse(await Deno.readTextFile(path)) as {
    defaultAction: string;
    defaultErrnoRet?: number;
    syscalls: {
      names: string[];
      action: string;
      args?: unknown[];
      errnoRet?: number;
      includes?: { caps?: string[]; arches?: string[] };
    }[];
  };
  const syscalls = profile.syscalls
    .filter(({ includes }) => !includes?.caps && (includes?.arches?.includes("amd64") ?? true))
    .map(({ names, action, args, errnoRet }) => ({
      names,
      action,
      args: args ?? [],
      ...(errnoRet === undefined ? {} : { errnoRet }),
    }));
  const { defaultAction, defaultErrnoRet } = profile;
  return {
    seccomp: { defaultAction, defaultErrnoRet, architectures: ["SCMP_ARCH_X86_64"], syscalls },
  };
}

rootTest("runs in a scratch container: read-only, uid 1000, no capabilities, seccomp", async () => {
  const bundle = `${work}/bundle`;
  await Deno.mkdir(`${bundle}/root`, { recursive: true });
  await Deno.copyFile(await probeFile(), `${bundle}/root/probe`);
  const namespaces = ["pid", "ipc", "uts", "mount", "network"].map((type) => ({ type }));
  await Deno.writeTextFile(
    `${bundle}/config.json`,
    JSON.stringify({
      ociVersion: "1.0.2",
      root: { path: "root", readonly: true },
      process: {
        user: { uid: 1000, gid: 1000 },
        args: ["/probe"],
        env: [],
        cwd: "/",
        capabilities: {},
        noNewPrivileges: true,
      },
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
      ],
      linux: { namespaces, ...await defaultSeccomp() },
    }),
  );
  // crun looks at /sys/fs/cgroup even when told to leave control groups alone, and refuses some layouts.
  const outcome = await shell(`cd "$WORK/bundle" && exec unshare -m sh -ec '
    mount -t tmpfs none /sys/fs/cgroup
    exec crun --root "$WORK/crun" --cgroup-manager=disabled run "onefile-$$"'`);
  const probe = readProbe(outcome);
  assert.equal(probe.uid, 1000);
  // no network interface is up in there
  assertWorks(probe, ["http"]);
}, hasCrun);

test("runs under qemu-user, which is not the kernel's own loader", async () => {
  assert(exists("/usr/bin/qemu-x86_64-static"), "wanted Debian's package qemu-user-static");
  assertRuns(await run("/usr/bin/qemu-x86_64-static", [WHERRY, ...VERSION]));
});

test("is assembled for arm64 too and starts under qemu-user", async () => {
  assert(exists("/usr/bin/qemu-aarch64-static"), "wanted Debian's package qemu-user-static");
  await build(["--arch", "arm64", "--out", `${work}/arm64`]);
  const file = `${work}/arm64/wherry-arm64`;
  assertRuns(await run("/usr/bin/qemu-aarch64-static", [file, ...VERSION]));
  const help = await run("/usr/bin/qemu-aarch64-static", [file, "--help"]);
  assert.match(help.stdout, /^Usage: wherry /);
  await Deno.remove(file);
});

// ---- what steers it, and what must not ----

test("arguments reach wherry, whatever they look like to Deno", async () => {
  for (
    const args of [
      ["--help", "x"],
      ["-A", "--v8-flags=--help"],
      ["--", "--inspect"],
      ["-"],
      ["", "a b", "'\"$x\n", "ä"],
      ["--version", "--ext=ts", "run", "eval"],
    ]
  ) {
    assert.deepEqual(readProbe(await run(await probeFile(), args)).args, args);
  }
});

test("the name it was called by is told", async () => {
  assert.equal(readProbe(await run(await probeFile(), [])).calledAs, await probeFile());
  await Deno.symlink(await probeFile(), `${work}/analyzer`);
  assert.equal(readProbe(await run(`${work}/analyzer`, [])).calledAs, `${work}/analyzer`);
});

const STEERING = {
  LD_PRELOAD: "/nonexistent.so",
  LD_LIBRARY_PATH: "/lib/x86_64-linux-gnu",
  LD_DEBUG: "all",
  DENO_V8_FLAGS: "--nonsense",
  DENO_DIR: "/mine",
  DENO_LOG: "debug",
  DENO_CERT: "/nonexistent",
  DENO_TLS_CA_STORE: "nonsense",
  DENO_NO_PROMPT: "",
  OTEL_DENO: "true",
  OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1",
  RUST_LOG: "debug",
  NODE_OPTIONS: "--nonsense",
  NODE_V8_COVERAGE: "/nonexistent",
  GLIBC_TUNABLES: "glibc.malloc.check=3",
  NPM_CONFIG_REGISTRY: "::bad",
};

test("variables that steer the loader, Deno and Node do not steer wherry, and children see them", async () => {
  assertRuns(await run(WHERRY, VERSION, { clearEnv: true, env: STEERING }));
  const probe = readProbe(await run(await probeFile(), [], { clearEnv: true, env: STEERING }));
  assertWorks(probe);
  assert.deepEqual({ ...probe.startEnvironment }, STEERING);
  assert.equal(probe.environment["LD_LIBRARY_PATH"], STEERING.LD_LIBRARY_PATH);
  assert.equal(probe.environment["DENO_V8_FLAGS"], undefined);
});

test("WHERRY__ variables from outside are not believed", async () => {
  const env = { WHERRY__ARGV0: "analyzer", WHERRY__HIDDEN_PATH: "/evil", WHERRY__X: "y" };
  const probe = readProbe(await run(await probeFile(), [], { clearEnv: true, env }));
  assert.equal(probe.calledAs, await probeFile());
  assert.deepEqual(probe.environment, {});
});

test("a long environment arrives whole", async () => {
  const env = Object.fromEntries(
    Array.from({ length: 3000 }, (_, n) => [`${n % 2 ? "LD_" : "V"}${n}`, "x".repeat(200)]),
  );
  const probe = readProbe(await run(await probeFile(), [], { clearEnv: true, env }));
  assert.deepEqual({ ...probe.startEnvironment }, env);
});

test("files in the current directory that steer Deno do not steer wherry", async () => {
  const cwd = await Deno.makeTempDir({ dir: work });
  for (
    const name of ["deno.json", "package.json", "deno.lock", "tsconfig.json", ".npmrc", ".env"]
  ) {
    await Deno.writeFile(`${cwd}/${name}`, Uint8Array.of(0x7b, 0xff, 0xfe, 0x5b));
  }
  assertRuns(await run(WHERRY, VERSION, { cwd }));
  assertWorks(readProbe(await run(await probeFile(), [], { cwd })));
});

test("a broken .npmrc in HOME does not steer wherry, and HOME arrives", async () => {
  const home = await Deno.makeTempDir({ dir: work });
  await Deno.writeFile(`${home}/.npmrc`, Uint8Array.of(0xff, 0xfe, 0x5b));
  const env = { HOME: home };
  assertRuns(await run(WHERRY, VERSION, { clearEnv: true, env }));
  const probe = readProbe(await run(await probeFile(), [], { clearEnv: true, env }));
  assert.deepEqual(probe.environment, env);
  assert.deepEqual(probe.startEnvironment, env);
});

test("says what is wrong when the current directory is gone", async () => {
  const outcome = await shell(
    'mkdir "$WORK/gone" && cd "$WORK/gone" && rmdir "$WORK/gone" && exec "$WHERRY" version',
  );
  assert.equal(outcome.code, 127);
  assert.equal(
    outcome.stderr,
    "wherry: stub: Cannot read the current directory (was it removed?): errno 2\n",
  );
});

test("children inherit none of our descriptors", async () => {
  const probe = readProbe(await shell('exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; exec "$PROBE"'));
  const ours = probe.childDescriptors.split(" ").map(Number).filter((fd) => fd >= 240 && fd < 249);
  assert.deepEqual(ours, []);
});

rootTest(
  "another process of the same user can read neither our environment nor our memory",
  async () => {
    const child = new Deno.Command("setpriv", {
      args: ["--reuid", "1000", "--regid", "1000", "--clear-groups", await probeFile(), "hold"],
      cwd: "/",
      env: { TOKEN: "secret" },
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    try {
      await reader.read();
      // An ordinary program's environment is readable: the refusals below are ours.
      const ordinary = await shell(
        `cd / && exec ${AS_USER} sh -c 'sleep 60 & cat /proc/$!/environ; kill $!'`,
      );
      assert.match(ordinary.stdout, /PATH=/);
      // `ps` shows what the user typed, not how Deno was started.
      const line = await Deno.readTextFile(`/proc/${child.pid}/cmdline`);
      assert.equal(line, `${await probeFile()}\0hold\0`);
      for (const file of ["environ", "mem", "exe", "cwd/.", "fd/0", "fd/248", "maps"]) {
        const look = `cat /proc/${child.pid}/${file}`;
        const outcome = await shell(`cd / && exec ${AS_USER} ${look}`);
        assert.notEqual(outcome.code, 0, look);
        assert.equal(outcome.stdout, "", look);
        assert.match(outcome.stderr, /Permission denied/, look);
      }
    } finally {
      await child.stdin.close();
      while (!(await reader.read()).done); // to its end: the child still has something to say
      await child.status;
    }
  },
);

test("goes on when its file is unlinked, as a restore over the root file system may do", async () => {
  const copy = `${work}/unlinked`;
  await Deno.copyFile(await probeFile(), copy);
  const child = new Deno.Command(copy, { args: ["hold"], stdin: "piped", stdout: "piped" }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  assert.equal((await reader.read()).value, "ready\n");
  await Deno.remove(copy);
  await child.stdin.close();
  assert(Number((await reader.read()).value) > 5);
  await reader.cancel();
  assert.equal((await child.status).code, 0);
});

rootTest("runs where /proc shows only processes, and only one's own", async () => {
  const proc = 'umount "$root/proc"; mount -t proc -o subset=pid,hidepid=2 none "$root/proc";';
  const enter = 'exec unshare --root="$root" --wd=/ -G 1000 -S 1000';
  assertWorks(readProbe(await inEmptyRoot(`${proc} ${enter} /probe`)));
});

// ---- what it is ----

test("WHERRY_UNPACK writes Deno back unchanged, and the parts run from there", async () => {
  const folder = `${work}/it's unpacked`;
  const unpacked = await run(WHERRY, [], { env: { WHERRY_UNPACK: folder } });
  assert.equal(unpacked.stderr, "");
  assert.equal(unpacked.code, 0);
  const version = await shell(`${unpacked.stdout.trim()} version -o json`);
  assertRuns(version);
  const inputs = JSON.parse(version.stdout).inputs as { name: string; sha256: string }[];
  const deno = await crypto.subtle.digest("SHA-256", await Deno.readFile(`${folder}/deno`));
  assert.equal(
    new Uint8Array(deno).toHex(),
    inputs.find((input) => input.name.startsWith("@deno/"))?.sha256,
  );
});

test("is at most 105 MB, and 40 MB as .zst, which unpacks to the same bytes", async () => {
  assert((await Deno.stat(WHERRY)).size <= 105_000_000);
  if (!exists(`${WHERRY}.zst`)) {
    throw new Error("dist/wherry.zst is missing, make it with: deno task build");
  }
  assert((await Deno.stat(`${WHERRY}.zst`)).size <= 40_000_000);
  const outcome = await shell('zstd -dcq "$WHERRY.zst" | cmp - "$WHERRY"');
  assert.equal(outcome.stdout + outcome.stderr, "");
  assert.equal(outcome.code, 0);
});

test("two builds from different checkouts and environments are the same bytes", async () => {
  // Two copies, so that nobody who edits the checkout meanwhile makes them differ.
  const [one, other] = [`${work}/one/`, `${work}/another/checkout/`];
  const what = "cli lifecycle registry scripts node_modules deno.json deno.lock LICENSE";
  const copied = await shell(
    `set -e; mkdir -p "${one}" "${other}"; cd "${ROOT}"; cp -a ${what} "${one}"; cp -a "${one}." "${other}"`,
  );
  assert.equal(copied.code, 0, copied.stderr);
  await build(["--out", `${work}/a`], one);
  const elsewhere = { TZ: "Asia/Tokyo", LC_ALL: "C", LANG: "de_DE" };
  const ci = { NO_COLOR: "1", CI: "true", TERM: "dumb" };
  await build(["--out", `${work}/b`], other, { ...elsewhere, ...ci, FORCE_COLOR: "" });
  const outcome = await shell('cmp "$WORK/a/wherry" "$WORK/b/wherry"');
  assert.equal(outcome.stdout + outcome.stderr, "");
  assert.equal(outcome.code, 0);
});

test("notices name every part", async () => {
  const { stdout, code } = await run(WHERRY, ["licenses"]);
  assert.equal(code, 0);
  for (
    const text of [
      "Apache License",
      "MIT License",
      "GNU LESSER GENERAL PUBLIC LICENSE",
      "libgcc_s.so.1",
      "npm zod",
    ]
  ) {
    assert(stdout.includes(text), text);
  }
});

/** Milliseconds of processor time, best of several interleaved runs: others on this machine only ever add. */
async function best(commands: readonly string[], rounds: number): Promise<number[]> {
  const times = commands.map(() => Infinity);
  for (let round = 0; round < rounds; round++) {
    for (const [index, command] of commands.entries()) {
      const script = `exec 3>&1; { time ${command} >/dev/null; } 2>&3`;
      const env = { TIMEFORMAT: "%U %S" };
      const { code, stdout } = await run("/bin/bash", ["-ec", script], { env });
      assert.equal(code, 0, stdout);
      const [user = NaN, system = NaN] = stdout.split(" ").map(Number);
      times[index] = Math.min(times[index] ?? Infinity, (user + system) * 1000);
    }
  }
  return times;
}

test("version takes at most 2.5 times a bare deno run of an empty file, --help at most 4 times", async () => {
  const empty = `${work}/empty.js`;
  await Deno.writeTextFile(empty, "");
  const commands = [`${Deno.execPath()} run ${empty}`, `${WHERRY} version`, `${WHERRY} --help`];
  let seen: number[] = [];
  for (let attempt = 0; attempt < 6; attempt++) {
    const times = await best(commands, 5);
    seen = times.map((time, index) => Math.min(time, seen[index] ?? Infinity));
    const [bare = 0, version = 0, help = 0] = seen;
    if (version <= 2.5 * bare && help <= 4 * bare) return;
  }
  assert.fail(
    `milliseconds for deno run, version, --help: ${seen.map((ms) => ms.toFixed(1)).join(", ")}`,
  );
});
