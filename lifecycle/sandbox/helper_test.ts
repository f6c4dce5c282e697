/** The helper by itself: exit codes, signals, time limits, and that nothing is left behind. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { tempDir } from "../../registry/temp_testing.ts";
import { compiledHelper, isRoot, skipped } from "./helper_testing.ts";
import { parseProbe } from "./probe.ts";

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
}

/** Runs the helper to the end of its output, which nothing it left may hold open. */
async function helper(args: string[], env: Record<string, string> = {}): Promise<Result> {
  const began = performance.now();
  const { code, stdout, stderr } = await new Deno.Command(await compiledHelper(), {
    args,
    env: { PATH: "/usr/bin:/bin", ...env },
    clearEnv: true,
  }).output();
  const text = new TextDecoder();
  return {
    code,
    stdout: text.decode(stdout),
    stderr: text.decode(stderr),
    seconds: (performance.now() - began) / 1000,
  };
}

const sh = (script: string, ...options: string[]) =>
  helper(["run", ...options, "--", "/bin/sh", "-c", script]);

/** Options for a view with the system and nothing else, as whoever runs the tests. */
function view(stage: string): string[] {
  const words = ["--view", stage, "--pidns", "--uid", "1000", "--gid", "1000"];
  if (!isRoot) words.push("--userns");
  words.push("--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc");
  for (const name of ["bin", "lib", "lib64"]) {
    try {
      words.push("--link", Deno.readLinkSync(`/${name}`), `/${name}`);
    } catch {
      // This system has no such link.
    }
  }
  return words;
}

async function hasViews(): Promise<boolean> {
  const probe = parseProbe((await helper(["probe"])).stdout);
  const found = isRoot ? probe.rootns : probe.userns;
  if (found.stage !== "ok") skipped(`no namespaces here (${found.stage})`);
  return found.stage === "ok";
}

/** Runs `test` on the machine's tree and in a view, where there can be one. */
async function everywhere(test: (options: string[]) => Promise<void>): Promise<void> {
  await test([]);
  if (!await hasViews()) return;
  const stage = await Deno.makeTempDir();
  try {
    await test(view(stage));
  } finally {
    await Deno.remove(stage);
  }
}

Deno.test("every exit code comes back as it is", async () => {
  for (let code = 0; code < 256; code++) strictEqual((await sh(`exit ${code}`)).code, code);
});

Deno.test("death by signal n is exit code 128 + n", async () => {
  for (const signal of [1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15, 31]) {
    await everywhere(async (options) => {
      strictEqual((await sh(`kill -${signal} $$`, ...options)).code, 128 + signal);
    });
  }
});

Deno.test("a program that is not there is 127, one that cannot be executed 126", async () => {
  const absent = await helper(["run", "--", "/nowhere/at/all"]);
  strictEqual(absent.code, 127);
  match(absent.stderr, /Cannot run "\/nowhere\/at\/all": No such file or directory/);
  strictEqual((await helper(["run", "--", "/etc/passwd"])).code, 126);
  strictEqual((await helper(["run", "--", "/etc"])).code, 126);
  const script = await Deno.makeTempFile();
  await Deno.writeTextFile(script, "#!/nowhere/sh\n");
  await Deno.chmod(script, 0o755);
  const started = await helper(["run", "--", script]);
  strictEqual(started.code, 126);
  match(started.stderr, /Cannot run ".*": its interpreter \\"\/nowhere\/sh\\" is not here\n/);
  await Deno.writeTextFile(script, "#! /bin/sh\r\n");
  const { stderr } = await helper(["run", "--", script]);
  match(stderr, /"\/bin\/sh\\" is not here \(its line ends with a carriage return\)\n/);
  await Deno.remove(script);
});

Deno.test("what the helper itself cannot do is 125 and one line", async () => {
  const rows: string[][] = [
    ["run", "--cwd", "/nowhere", "--", "/bin/true"],
    ["run", "--view", "/nowhere", "--", "/bin/true"],
    ["run", "--uid", "x", "--", "/bin/true"],
    ["run", "--frobnicate", "--", "/bin/true"],
    ["run", "--"],
    ["run"],
    ["frobnicate"],
  ];
  for (const row of rows) {
    const { code, stderr } = await helper(row);
    strictEqual(code, 125, row.join(" "));
    match(stderr, /^wherry: sandbox: Cannot [^\n]+\n$/, row.join(" "));
  }
});

Deno.test("status lines tell how it ended", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const status = `${dir}/status`;
  await sh("kill -9 $$", "--status", status);
  const lines = (await Deno.readTextFile(status)).trim().split("\n");
  strictEqual(lines[0], '{"event":"exec"}');
  match(lines[1]!, /^\{"exit":137,"signal":9,"timeout":false,"maxrss_kb":[1-9]\d*\}$/);
  await Deno.remove(status);
  await helper(["run", "--status", status, "--", '/no"thing\n']);
  match(
    await Deno.readTextFile(status),
    /\{"fail":127,"act":"run","thing":"\/no\\"thing\\u000a","errno":2/,
  );
});

Deno.test("the environment is exactly the one given", async () => {
  const { stdout } = await helper(["run", "--", "/usr/bin/env"], { A: "1", "b.c": "x y" });
  deepStrictEqual(stdout.trim().split("\n").sort(), ["A=1", "PATH=/usr/bin:/bin", "b.c=x y"]);
});

Deno.test("no descriptor but the three is inherited, and input is empty", async () => {
  const { stdout } = await new Deno.Command("/bin/sh", {
    args: [
      "-c",
      'exec 7</etc/passwd 9</etc/group; exec "$0" run -- /bin/sh -c "ls /proc/self/fd; cat"',
      await compiledHelper(),
    ],
  }).output();
  strictEqual(new TextDecoder().decode(stdout), "0\n1\n2\n3\n"); // 3 is the directory ls reads
});

Deno.test("SIGPIPE and other ignored signals are back to default", async () => {
  const { stdout } = await sh("grep -E 'SigIgn|SigBlk' /proc/self/status; yes | head -n 1");
  strictEqual(stdout, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\ny\n");
});

Deno.test("no capability, no new privileges, no core, umask 022, no terminal", async () => {
  await everywhere(async (options) => {
    const { stdout } = await sh(
      "grep -E 'Cap(Inh|Prm|Eff|Amb)|NoNewPrivs|^Seccomp:' /proc/self/status; umask; ulimit -c; " +
        "cut -d' ' -f6,7 /proc/self/stat | { read s t; echo tty=$t; }; : </dev/tty",
      ...options,
    );
    const zero = "\t0000000000000000\n";
    strictEqual(
      stdout,
      `CapInh:${zero}CapPrm:${zero}CapEff:${zero}CapAmb:${zero}` +
        "NoNewPrivs:\t1\nSeccomp:\t2\n0022\n0\ntty=0\n",
    );
  });
});

Deno.test("system calls a build has no business with are refused", async () => {
  if (Deno.build.arch !== "x86_64") return skipped("numbers of x86-64");
  const rows: [number, string, string][] = [
    [165, "0,0,0,0,0", "EPERM"], // mount
    [272, "0x10000000", "EPERM"], // unshare(CLONE_NEWUSER)
    [272, "0x400", "ok"], // unshare(CLONE_FILES)
    [56, "0x10000011,0,0,0,0", "EPERM"], // clone(CLONE_NEWUSER)
    [435, "0,0", "ENOSYS"], // clone3
    [321, "0,0,0", "EPERM"], // bpf
    [250, "0,0,0,0,0", "EPERM"], // keyctl
    [425, "1,0", "EPERM"], // io_uring_setup
    [16, "0,0x5412,0", "EPERM"], // ioctl(TIOCSTI)
    [16, "0,0x5401,0", "ENOTTY"], // ioctl(TCGETS): others pass
    [0x40000027, "", "ENOSYS"], // x32 getpid
  ];
  for (const [number, args, wanted] of rows) {
    const { stdout } = await helper([
      ...["run", "--", "/usr/bin/perl", "-e"],
      `$! = 0; my $r = syscall(${[number, ...args ? [args] : []].join(",")}); ` +
      "print $r < 0 ? (grep { $!{$_} } keys %!)[0] : 'ok'",
    ]);
    // EPERM and friends may share a number with an alias; perl names one of them.
    strictEqual(stdout, wanted, `${number}(${args})`);
  }
});

Deno.test("a daemon does not outlive its program", async () => {
  await everywhere(async (options) => {
    // Output ends only when the last holder of the pipe is gone.
    const script = "setsid sleep 1000 & (setsid sh -c 'trap \"\" TERM HUP; sleep 1000' &) ; exit 7";
    const { code, seconds } = await sh(script, ...options);
    strictEqual(code, 7);
    ok(seconds < 500, `${seconds} s`); // of the 1000 that were asked for
  });
});

Deno.test("time-out: TERM, two seconds of grace, KILL", async () => {
  await everywhere(async (options) => {
    // Three seconds, since on a busy machine a shell takes its time to come to its trap.
    const [deaf, polite] = await Promise.all([
      sh("trap '' TERM; sleep 1000 & sleep 1000", ...options, "--timeout", "3"),
      sh("trap 'exit 9' TERM; sleep 1000", ...options, "--timeout", "3"),
    ]);
    strictEqual(deaf.code, 137);
    ok(deaf.seconds >= 5 && deaf.seconds < 500, `${deaf.seconds} s`);
    strictEqual(polite.code, 9);
  });
});

Deno.test("a fork bomb is bounded and ends", async () => {
  if (!isRoot) return skipped("the limit would count this user's own processes");
  await everywhere(async (options) => {
    // With ids of their own, so that the limit counts nobody else.
    const ids = options.length > 0 ? [] : ["--uid", "61234", "--gid", "61234"];
    const bomb = "b() { b | b & }; b; sleep 1000";
    const { seconds } = await sh(bomb, ...options, ...ids, "--nproc", "60", "--timeout", "1");
    ok(seconds < 500, `${seconds} s`);
  });
});

Deno.test("signals are passed on, and the exit code of a trap comes back", async () => {
  await everywhere(async (options) => {
    for (
      const signal of ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"] as const
    ) {
      const child = new Deno.Command(await compiledHelper(), {
        args: [
          ...["run", ...options, "--", "/bin/sh", "-c"],
          // A loop: a shell that is told just before it forks would wait for its child first.
          `trap 'exit 42' ${signal.slice(3)}; echo ready; while :; do sleep 0.05; done`,
        ],
        stdout: "piped",
      }).spawn();
      const reader = child.stdout.getReader();
      await reader.read();
      child.kill(signal);
      strictEqual((await child.status).code, 42, signal);
      ok((await reader.read()).done);
    }
  });
});

Deno.test("SIGKILL of who started the helper takes everything down", async () => {
  await everywhere(async (options) => {
    const parent = new Deno.Command("/bin/sh", {
      args: [
        ...["-c", '"$@"; true', "sh", await compiledHelper(), "run", ...options, "--"],
        ...["/bin/sh", "-c", "setsid sleep 1000 & trap '' TERM; echo ready; sleep 1000"],
      ],
      stdout: "piped",
    }).spawn();
    const reader = parent.stdout.getReader();
    await reader.read();
    parent.kill("SIGKILL");
    await parent.status;
    ok((await reader.read()).done, "the pipe is closed by the death of the last process");
  });
});

Deno.test("SIGKILL of the helper takes a view down", async () => {
  if (!await hasViews()) return;
  const stage = await Deno.makeTempDir();
  const child = new Deno.Command(await compiledHelper(), {
    args: [
      ...["run", ...view(stage), "--"],
      ...["/bin/sh", "-c", "setsid sleep 1000 & echo ready; sleep 1000"],
    ],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  child.kill("SIGKILL");
  await child.status;
  ok((await reader.read()).done);
  await Deno.remove(stage); // and nothing is mounted there
});

Deno.test("a wrong parent is noticed", async () => {
  strictEqual((await sh("true", "--parent", "1")).code, 125);
  strictEqual((await sh("true", "--parent", `${Deno.pid}`)).code, 0);
});

Deno.test("a view holds what is listed and nothing else", async () => {
  if (!await hasViews()) return;
  const stage = await Deno.makeTempDir();
  await using temp = await tempDir();
  const data = temp.path;
  await Deno.chmod(data, 0o755); // for the build user
  await Deno.mkdir(`${data}/secret`);
  await Deno.writeTextFile(`${data}/file`, "hidden");
  await Deno.writeTextFile(`${data}/secret/inner`, "hidden");
  const { stdout } = await sh(
    "ls / /data /data/secret; cat /data/file; touch /x /data/x /usr/x 2>&1; echo $$",
    ...[...view(stage), "--ro-bind", data, "/data", "--mask", "/data/secret"],
    ...["--mask", "/data/file", "--mask", "/data/absent"],
  );
  deepStrictEqual(
    stdout.replace(/\blib64\n|\blib\n|\bbin\n/g, "").replace(/\n\d+\n$/, "\n"),
    "/:\ndata\ndev\netc\nproc\nusr\n\n/data:\nfile\nsecret\n\n/data/secret:\n" +
      ["/x", "/data/x", "/usr/x"].map((path) =>
        `touch: cannot touch '${path}': Read-only file system\n`
      ).join(""),
  );
  await Deno.remove(stage);
});

Deno.test("a mount is never made through a link", async () => {
  if (!await hasViews()) return;
  const stage = await Deno.makeTempDir();
  const { code, stderr } = await sh(
    "true",
    ...[...view(stage), "--link", "/etc", "/trap", "--bind", stage, "/trap/x"],
  );
  strictEqual(code, 125);
  match(stderr, /Cannot open "\/trap\/x": Not a directory/);
  await Deno.remove(stage);
});

Deno.test("remove: read-only, unreadable, deep, odd names, links not followed", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  await new Deno.Command("/bin/sh", {
    args: [
      "-c",
      `cd "$0"; mkdir keep gone; echo 1 > keep/file; ln -s ../keep gone/link; mkfifo gone/fifo
       mkdir -p gone/ro/inner; touch gone/ro/inner/x "$(printf 'gone/\\377\\n')"
       touch "gone/$(printf %0255d 0)"; chmod 000 gone/ro/inner; chmod 555 gone/ro gone
       chmod 755 gone; cd gone; n=$(printf %0200d 0)
       for i in $(seq 40); do mkdir $n; cd -P $n 2>/dev/null || exit; done`,
      dir,
    ],
    stderr: "null",
  }).output();
  strictEqual((await helper(["remove", `${dir}/gone`, `${dir}/never`])).stderr, "");
  deepStrictEqual([...Deno.readDirSync(dir)].map((entry) => entry.name), ["keep"]);
  strictEqual(await Deno.readTextFile(`${dir}/keep/file`), "1\n");
});

Deno.test("chown gives a tree away without following links", async () => {
  if (!isRoot) return skipped("needs root");
  await using temp = await tempDir();
  const dir = temp.path;
  await Deno.mkdir(`${dir}/tree/inner`, { recursive: true });
  await Deno.writeTextFile(`${dir}/other`, "");
  await Deno.symlink("../other", `${dir}/tree/link`);
  strictEqual((await helper(["chown", "1234", "5678", `${dir}/tree`])).code, 0);
  const inner = await Deno.lstat(`${dir}/tree/inner`);
  deepStrictEqual([inner.uid, inner.gid], [1234, 5678]);
  strictEqual((await Deno.lstat(`${dir}/tree/link`)).uid, 1234);
  strictEqual((await Deno.lstat(`${dir}/other`)).uid, 0);
});

Deno.test("run --own gives a tree to whom the program becomes, before it begins", async () => {
  if (!isRoot) return skipped("needs root");
  await using temp = await tempDir();
  const dir = temp.path;
  await Deno.chmod(dir, 0o755);
  await Deno.mkdir(`${dir}/tree/inner`, { recursive: true });
  const who = ["--uid", "1234", "--gid", "5678", "--own", `${dir}/tree`];
  const made = `${dir}/tree/inner/made`;
  strictEqual((await helper(["run", ...who, "--", "/bin/mkdir", made])).stderr, "");
  for (const path of [`${dir}/tree`, made]) {
    const { uid, gid } = await Deno.lstat(path);
    deepStrictEqual([uid, gid], [1234, 5678]);
  }
});
