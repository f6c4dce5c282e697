/** In-place as each kind of caller: what comes back, and what is left. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import {
  type Caller,
  compiledHelper,
  drive,
  isRoot,
  type Job,
  placeFor,
  type Report,
  skipped,
} from "./helper_testing.ts";
import type { InPlaceOptions } from "./in_place.ts";
import { parseProbe } from "./probe.ts";
import { probeMachine } from "./probe_machine.ts";
import { removeTrees } from "./trees.ts";

const PATH = "/usr/local/bin:/usr/bin:/bin";

/** Runs `script` in a fresh place of `caller`; `look` sees the place before it is removed. */
async function inPlace(
  caller: Caller,
  script: string,
  change: Partial<InPlaceOptions> & { abortAt?: string } = {},
  look: (place: string, report: Report) => void | Promise<void> = () => {},
): Promise<Report> {
  const place = await placeFor(caller);
  const helper = await compiledHelper();
  const { abortAt, ...options } = change;
  try {
    await Deno.mkdir(`${place}/layers`);
    await Deno.mkdir(`${place}/scratch`);
    if (isRoot && caller.endsWith("user")) {
      for (const name of ["layers", "scratch"]) await Deno.chown(`${place}/${name}`, 1000, 1000);
    }
    const job: Job = {
      script,
      options: {
        helper,
        scratchDir: `${place}/scratch`,
        dirs: [{ inside: "/layers", outside: `${place}/layers`, access: "rw" }],
        uid: 1000,
        gid: 1000,
        path: PATH,
        ...options,
      },
      ...(abortAt === undefined ? {} : { abortAt }),
    };
    const report = await drive(caller, job);
    deepStrictEqual([...Deno.readDirSync(`${place}/scratch`)], [], "the scratch directory is gone");
    await look(place, report);
    return report;
  } finally {
    await removeTrees(helper, [place]);
  }
}

/** The callers that can be tried on this machine, each with the mode it should get. */
async function callers(): Promise<[Caller, "view" | "direct"][]> {
  if (!isRoot) {
    skipped("callers other than this user: needs root");
    return [["user", "view"], ["locked user", "direct"]];
  }
  const probe = await probeMachine(await compiledHelper());
  if (probe.rootns.stage !== "ok") {
    skipped(`views: ${probe.rootns.stage} fails here`);
    return [["root", "direct"], ["locked user", "direct"]];
  }
  return [
    ...[["root", "view"], ["user", "view"]] satisfies [Caller, "view"][],
    ...[["masked root", "view"], ["masked user", "view"]] satisfies [Caller, "view"][],
    ["locked user", "direct"],
  ];
}

Deno.test("in place: as root, as a user, in a locked pod", async () => {
  for (const [caller, mode] of await callers()) {
    const script = 'id -u; pwd; echo made > made; echo "$HOME $1"; mktemp >/dev/null && exit 3';
    await inPlace(caller, script, {}, async (place, report) => {
      deepStrictEqual([report.error, report.outcome?.code], [undefined, 3], report.output);
      strictEqual(report.plan?.mode, mode, caller);
      const first = mode === "view" ? "/layers" : `${place}/layers`;
      const [uid, cwd, words] = report.output.split("\n");
      deepStrictEqual([uid, cwd], ["1000", first]);
      strictEqual(words, `${report.plan.home} ${first}`);
      ok(report.outcome!.maxRssKb! > 100);
      strictEqual(await Deno.readTextFile(`${place}/layers/made`), "made\n");
    });
  }
});

Deno.test("in place: the line says what was chosen and what is open", async () => {
  for (const [caller, mode] of await callers()) {
    const { describe } = await inPlace(caller, "true");
    ok(!describe!.includes("\n"));
    match(describe!, /no_new_privs, seccomp/);
    match(describe!, /as 1000:1000; /);
    match(
      describe!,
      mode === "view"
        ? /own view .*not a VM/
        : /own tree .*no view.*refused.*layers keeps that path instead of \/layers; .*sockets .*open/,
    );
  }
});

Deno.test("in place: a view without PIDs of its own says so, and leaves nothing running", async () => {
  for (const [caller] of await callers()) {
    if (!caller.startsWith("masked")) continue;
    const script =
      "exec 2>&1; setsid sleep 1000 & kill -0 1 || echo kept apart; ls /proc | grep -c '^[0-9]'";
    const { describe, output } = await inPlace(caller, script);
    match(describe!, /mounting \/proc is refused \(EPERM\), so other processes are visible/);
    if (caller === "masked root") match(describe!, /own what root owns/);
    match(output, /not permitted\s+kept apart\n\d\d+\n$/); // many processes, none of which can be signalled
  }
});

Deno.test("in place: a mode that was asked for is not weakened", async () => {
  const view = await inPlace("locked user", "true", { mode: "view" });
  match(view.error!, /Cannot run buildpacks in place: no view of its own: .* refused \(EPERM\)/);
  const network = await inPlace("locked user", "true", { network: "none" });
  match(network.error!, /network "none"/);
  const direct = await inPlace("user", "true", { mode: "direct" });
  strictEqual(direct.plan?.mode, "direct");
});

Deno.test("in place: builds as root only when that was allowed", async () => {
  if (!isRoot) return skipped("needs root");
  const refused = await inPlace("locked root", "true");
  match(refused.error!, /would run as root/);
  const allowed = await inPlace(
    "locked root",
    "exec 2>&1; id -u; cat /etc/shadow; echo > /layers/x",
    {
      allowRootBuild: true,
    },
  );
  match(allowed.describe!, /builds run as root/);
  match(allowed.output, /^0\n.*\/etc\/shadow: Permission denied/);
});

Deno.test("in place: root on the machine's own tree drops to the build user", async () => {
  if (!isRoot) return skipped("needs root");
  const script = "id -u; id -G; touch x; echo fine >/dev/stderr";
  await inPlace("root", script, { mode: "direct" }, (place, report) => {
    strictEqual(report.output.split("\n").sort().join(" "), " 1000 1000 fine"); // two pipes: in any order
    strictEqual(Deno.statSync(`${place}/layers/x`).uid, 1000);
  });
});

Deno.test("in place: no network when none was asked for", async () => {
  for (const [caller, mode] of await callers()) {
    if (mode !== "view") continue;
    const { output } = await inPlace(caller, "tail -n +3 /proc/net/dev | cut -d: -f1", {
      network: "none",
    });
    match(output, /^\s*lo\n$/);
  }
});

Deno.test("in place: abort is TERM, grace, KILL, and nothing is left", async () => {
  const ending = async (caller: Caller) => {
    const began = performance.now();
    const script = "trap '' TERM; setsid sleep 1000 & echo ready; while :; do sleep 1; done";
    const { error } = await inPlace(caller, script, { abortAt: "ready" });
    strictEqual(error, "Error: enough"); // the driver ends only when the pipes are closed
    ok(performance.now() - began < 500_000); // of the 1000 s that it wants
    const polite = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    const second = await inPlace(caller, polite, { abortAt: "ready" });
    strictEqual(second.error, "Error: enough");
    match(second.output, /^ready\n(Terminated\n)?bye\n$/); // the whole process group is told
  };
  await Promise.all((await callers()).map(([caller]) => ending(caller)));
});

Deno.test("in place: a program that cannot be started is an error, not an exit code", async () => {
  const { prepareInPlace } = await import("./in_place.ts");
  const place = await placeFor("root");
  const output: string[] = [];
  {
    await using sandbox = await prepareInPlace({
      helper: await compiledHelper(),
      scratchDir: place,
      dirs: [{ inside: "/layers", outside: place, access: "ro" }],
      ...{ uid: 1000, gid: 1000, path: PATH },
    });
    const run = (program: string, env: Record<string, string> = {}) =>
      sandbox.run({
        ...{ program, args: [], cwd: "/", env, signal: new AbortController().signal },
        onOutput: (chunk, stream) => output.push(stream + new TextDecoder().decode(chunk)),
      }).catch((error) => `${error.name} ${error.code}: ${error.message}`);
    strictEqual(
      await run("/no/such"),
      'StartError 127: Cannot run "/no/such": No such file or directory',
    );
    strictEqual(
      await run("/etc/passwd"),
      'StartError 126: Cannot run "/etc/passwd": Permission denied',
    );
    strictEqual(
      await run("/" + "n".repeat(300)),
      `StartError 126: Cannot run "/${"n".repeat(300)}": Filename too long`,
    );
    match(String(await run("/bin/true", { A: "x\0y" })), /^StartError 125: Cannot start/);
    match(String(await run("/bin/true", { A: "x".repeat(1 << 20) })), /^StartError 125: Cannot/);
    deepStrictEqual(output, []);
  }
  await Deno.remove(place);
});

Deno.test("in place: output comes with its stream, signals with their name", async () => {
  const { prepareInPlace } = await import("./in_place.ts");
  const place = await placeFor("root");
  const output = { stdout: "", stderr: "" };
  {
    await using sandbox = await prepareInPlace({
      helper: await compiledHelper(),
      scratchDir: place,
      dirs: [],
      ...{ uid: 1000, gid: 1000, path: PATH },
    });
    const signal = new AbortController().signal;
    const outcome = await sandbox.run({
      program: "/bin/sh",
      args: ["-c", 'echo out; echo err >&2; /usr/bin/env; kill -SEGV "$$"'],
      ...{ cwd: "/", env: { ONLY: "this" }, signal },
      onOutput: (chunk, stream) => output[stream] += new TextDecoder().decode(chunk),
    });
    deepStrictEqual([outcome.code, outcome.signal], [139, "SIGSEGV"]);
    match(output.stdout, /^out\n/);
    deepStrictEqual(output.stderr, "err\n");
    const set = output.stdout.split("\n").filter((line) => !/^(out|PWD=.*|)$/.test(line));
    deepStrictEqual(set.filter((line) => !line.startsWith("TMPDIR=")), ["ONLY=this"]);
    const reason = new Error("not to be passed on");
    await sandbox.run({
      program: "/bin/sh",
      args: ["-c", "echo x; sleep 1000"],
      ...{ cwd: "/", env: {}, signal },
      onOutput: () => {
        throw reason;
      },
    }).then(() => ok(false), (error) => strictEqual(error, reason));
  }
  await Deno.remove(place);
});

Deno.test("in place: read-only trees, 300-byte names and links are cleaned up", async () => {
  for (const [caller] of await callers()) {
    // One pipe: between two, lines come in any order.
    const script = `exec 2>&1; touch "$(printf %0300d 0)" || echo refused
      for d in . "$HOME"; do
        mkdir -p $d/ro/inner; touch $d/ro/inner/x; ln -s / $d/ro/root; chmod 000 $d/ro/inner
        touch "$(printf "$d/ro/\\\\377")"; chmod 555 $d/ro
      done`;
    const { output } = await inPlace(caller, script); // it looks whether the scratch is gone
    match(output, /File name too long\nrefused\n$/);
  }
});

Deno.test("in place: directories of PATH under hidden trees are there, HOME is not", async () => {
  for (const [caller, mode] of await callers()) {
    if (mode !== "view") continue;
    const home = await placeFor(caller);
    for (const name of ["bin", "private"]) {
      await Deno.mkdir(`${home}/${name}`);
      await Deno.writeTextFile(`${home}/${name}/tool`, "#!/bin/sh\necho tool\n", { mode: 0o755 });
    }
    const script = `exec 2>&1; tool; ls ${home}; touch ${home}/bin/x; ls ${home}/private`;
    const { output } = await inPlace(caller, script, { path: `${home}/bin:${home}:${PATH}`, home });
    match(output, /^tool\nbin\ntouch: .*Read-only file system\nls: .*No such file/);
    await Deno.remove(home, { recursive: true });
  }
});

Deno.test("what another helper prints is not taken for an answer", () => {
  for (const text of ["", "{}", "null", '{"kernel":1}']) {
    try {
      parseProbe(text);
      ok(false);
    } catch (error) {
      ok(error instanceof SyntaxError);
    }
  }
});
