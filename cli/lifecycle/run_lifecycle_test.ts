/** Phases in this process: what they refuse, with which words and code. */
// What it opens stays open: that is no test's fault, so it is here before the first.
import "../../registry/oci/native_sha256.ts";
import assert from "node:assert/strict";
import type { Io } from "../io.ts";
import type { PhaseName } from "./inputs_table.ts";
import { homeOf } from "./privileges.ts";
import { phaseOfBinary, runPhase, runSubcommand } from "./run_lifecycle.ts";

/** A process whose output is kept. */
function process(
  env: Readonly<Record<string, string>>,
  user = { uid: 1000, gid: 1000 },
): { readonly io: Io; readonly out: () => string; readonly err: () => string } {
  const text = { out: "", err: "" };
  const sink = (name: "out" | "err") => ({
    write: (chunk: string | Uint8Array) => {
      text[name] += typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk);
    },
    isTerminal: false,
    columns: () => 80,
  });
  const io: Io = {
    args: [],
    env: { CNB_NO_COLOR: "true", ...env },
    cwd: "/",
    user,
    stdout: sink("out"),
    stderr: sink("err"),
    signal: new AbortController().signal,
  };
  return { io, out: () => text.out, err: () => text.err };
}

async function refused(
  phase: PhaseName,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
  user?: { readonly uid: number; readonly gid: number },
): Promise<string> {
  const { io, out } = process({ CNB_PLATFORM_API: "0.13", CNB_RUN_PATH: "/nowhere", ...env }, user);
  const code = await runPhase(io, phase, words);
  const last = out().trimEnd().split("\n").at(-1) ?? "";
  // deno-lint-ignore no-control-regex -- colours: before -no-color is known they are on
  return `${code} ${last.replaceAll(/\x1b\[[0-9;]*m/g, "")}`;
}

Deno.test("CLI-1 the phase is in the name: its last part, without what follows the last dot", () => {
  assert.equal(phaseOfBinary("/cnb/lifecycle/analyzer"), "analyze");
  assert.equal(phaseOfBinary("creator.exe"), "create");
  for (const name of ["wherry", "lifecycle", "analyzers", "/analyzer/wherry", ""]) {
    assert.equal(phaseOfBinary(name), undefined);
  }
});

Deno.test("VER-3 the platform API comes first: unset, malformed, unknown end with 11", async () => {
  const rows: [string, string][] = [
    [
      "",
      "11 ERROR: failed to get platform API version; please set 'CNB_PLATFORM_API' to specify the desired platform API version",
    ],
    ["x", "11 ERROR: failed to parse platform API 'x'"],
    [
      "0.6",
      "11 ERROR: failed to set platform API: platform API version '0.6' is incompatible with the lifecycle",
    ],
  ];
  for (const [version, want] of rows) {
    const words = ["-no-such-flag"];
    assert.equal(await refused("analyze", words, { CNB_PLATFORM_API: version }), want);
  }
});

Deno.test("VAL-1..VAL-7 LOG-5 bad arguments end with 3, in the Go lifecycle's words", async () => {
  const two = ["registry.example/a", "registry.example/b"];
  const rows: [PhaseName, readonly string[], string][] = [
    ["analyze", [], "parse arguments: received 0 arguments, but expected 1"],
    ["analyze", two, "parse arguments: received 2 arguments, but expected 1"],
    ["create", [], "parse arguments: received 0 arguments, but expected 1"],
    ["detect", ["x"], "parse arguments: received unexpected arguments"],
    ["build", ["x"], "parse arguments: received unexpected arguments"],
    ["restore", ["x"], "parse arguments: received unexpected arguments"],
    ["export", [], "parse arguments: at least one image argument is required"],
    ["analyze", [""], "resolve inputs: image argument is required"],
    [
      "analyze",
      ["registry.example/a"],
      "resolve inputs: -run-image is required when there is no run metadata available",
    ],
    [
      "analyze",
      ["-run-image=registry.example/r", "-tag=other.example/b", "registry.example/a"],
      "resolve inputs: writing to multiple registries is unsupported",
    ],
    ["export", ["-run-image=r", "registry.example/a"], "resolve inputs: -run-image is unsupported"],
    ["export", ["-image=r", "registry.example/a"], "resolve inputs: -image is unsupported"],
    [
      "export",
      ["-analyzed=/nowhere", "registry.example/a"],
      "resolve inputs: run image not found in analyzed metadata",
    ],
    [
      "create",
      ["-run-image=registry.example/r", "-image=registry.example/r", "registry.example/a"],
      "resolve inputs: supply only one of -run-image or (deprecated) -image",
    ],
  ];
  for (const [phase, words, want] of rows) {
    assert.equal(await refused(phase, words), `3 ERROR: failed to ${want}`, words.join(" "));
  }
  assert.match(
    await refused("analyze", ["-run-image=registry.example/r", "registry.example/UPPER"]),
    /^3 ERROR: failed to resolve inputs: Cannot read image name "registry\.example\/UPPER"/,
  );
});

Deno.test("CLI-3 IN-0 VER-6 PRIV-1 other refusals and their codes", async () => {
  const root = { uid: 0, gid: 0 };
  assert.match(await refused("detect", [], {}, root), /^1 .*refusing to run as root$/);
  assert.match(await refused("build", [], {}, root), /^1 .*refusing to run as root$/);
  assert.match(await refused("detect", ["-log-level=loud"]), /^1 .*failed to parse log level/);
  const layout = ["-layout", "-layout-dir=/nowhere", "-run-image=r.example/r", "r.example/a"];
  assert.match(await refused("analyze", layout), /^1 .*disabled by CNB_EXPERIMENTAL_MODE=error$/);
  const daemon = ["-daemon", "-run-image=r.example/r", "r.example/a"];
  assert.match(await refused("analyze", daemon), /^1 .*-daemon is not supported/);
  assert.match(await refused("rebase", []), /^3 .*at least one image argument is required$/);
  assert.match(await refused("extend", ["-kind=x"]), /^3 ERROR: .*-kind is "x", want build or run/);
  const bad = { CNB_REGISTRY_AUTH: "not json" };
  assert.match(
    await refused("analyze", ["-run-image=r.example/r", "r.example/a"], bad),
    /^1 ERROR: failed to resolve keychain: Cannot read CNB_REGISTRY_AUTH: it is not JSON$/,
  );
  assert.match(
    await refused("analyze", ["-uid=-1", "-run-image=r.example/r", "r.example/a"]),
    /^3 ERROR: failed to resolve inputs: Cannot run as user -1: want 0 to 4294967294$/,
  );
  const { io, out, err } = process({ CNB_PLATFORM_API: "0.13" });
  assert.equal(await runPhase(io, "analyze", ["-no-such-flag"]), 2);
  assert.match(err(), /^flag provided but not defined: -no-such-flag\nUsage of lifecycle:\n/);
  assert.equal(out(), "");
});

Deno.test("IN-1 an execution environment has no slash", async () => {
  const env = { CNB_EXEC_ENV: "a/b", CNB_PLATFORM_API: "0.15" };
  assert.match(await refused("detect", [], env), /^3 .*CNB_EXEC_ENV is "a\/b": "\/" is reserved$/);
});

Deno.test("CLI-2 -version, and a sub-command that is none", async () => {
  const { io, out } = process({});
  assert.equal(await runSubcommand(io, ["-version"]), 0);
  assert.match(out(), /^\d+\.\d+\.\d+\n$/);
  assert.equal(await runSubcommand(io, []), 3);
  assert.equal(await runSubcommand(io, ["nonsense"]), 3);
  assert.match(out(), /failed to recognize phase: nonsense; valid phases: analyze, detect,/);
  const other = process({ CNB_PLATFORM_API: "0.13" });
  assert.equal(await runSubcommand(other.io, ["analyze", "-version"]), 0);
});

Deno.test("CLI-4 a word behind the image that looks like a flag is warned of", async () => {
  const { io, out } = process({ CNB_PLATFORM_API: "0.13" });
  assert.equal(await runPhase(io, "analyze", ["-no-color", "image", "-daemon"]), 3);
  assert.match(out(), /^Warning: Warning: unconsumed flag-like positional arg: \n\t-daemon\n/);
});

Deno.test("PRIV-4 HOME and USER are those of the passwd entry", () => {
  const passwd = "root:x:0:0:root:/root:/bin/bash\ncnb:x:1000:1000::/home/cnb:/bin/sh\n";
  assert.deepEqual(homeOf(passwd, 1000), { HOME: "/home/cnb", USER: "cnb" });
  assert.equal(homeOf(passwd, 1), undefined);
});
