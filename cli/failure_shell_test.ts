/** `build --shell`: a person looks into a failing build, on a terminal. */
import { equal, match } from "node:assert/strict";
import { builderShell, buildpackFiles, canMakeBuilder } from "./builder_testing.ts";
import { DENO_ENV, FROM_SOURCE } from "./process_testing.ts";

const hasScript = await new Deno.Command("script", { args: ["--version"] }).output()
  .then(() => true, () => false);
// deno-lint-ignore no-console -- a reader of the test's output should know
if (!hasScript) console.log("skipped: no script (package bsdutils)");

const WORDS = ["build", "app", "--builder", "oci:builder", "--path", "app", "--shell"];

/** Runs wherry on a terminal and types `lines`, each when the one before it has been answered by its pattern. */
async function onTerminal(
  dir: string,
  words: readonly string[],
  typed: readonly (readonly [RegExp, string])[],
): Promise<{ readonly code: number; readonly shown: string }> {
  const line = [...FROM_SOURCE, ...words].join(" ");
  const child = new Deno.Command("script", {
    args: ["-qec", line, "/dev/null"],
    cwd: dir,
    env: {
      HOME: `${dir}/home`,
      WHERRY_STORE: `${dir}/store`,
      TERM: "xterm",
      SECRET: "no",
      ...DENO_ENV,
    },
    stdin: "piped",
    stdout: "piped",
    signal: AbortSignal.timeout(240_000), // what waits for an answer that never comes
  }).spawn();
  const writer = child.stdin.getWriter();
  const [decoder, encoder] = [new TextDecoder(), new TextEncoder()];
  const rest = [...typed];
  let [shown, seen] = ["", 0];
  for await (const chunk of child.stdout) {
    shown += decoder.decode(chunk, { stream: true });
    for (let next; (next = rest[0]) && next[0].test(shown.slice(seen)); rest.shift()) {
      seen = shown.length;
      await writer.write(encoder.encode(next[1]));
    }
  }
  await writer.close();
  equal(rest.length, 0, `${rest[0]?.[0]} was never shown: ${shown}`);
  return { code: (await child.status).code, shown };
}

Deno.test({
  name:
    "build --shell: where a build failed, its user, environment and terminal; the same exit code",
  ignore: !canMakeBuilder || !hasScript,
  async fn() {
    await using shell = await builderShell(buildpackFiles("bp", "test/probe", {
      build: 'echo "half" >"$1/way"; exit 3',
    }));
    const { code, shown } = await onTerminal(shell.dir, [...WORDS, "--run-image", "oci:base:1"], [
      [/a shell in its place/, 'echo "<$(id -u) $PWD $TERM $SECRET>"\n'],
      [
        /<1000 \/workspace xterm >/,
        'echo "<$(cat $CNB_LAYERS_DIR/way) $(test -f $CNB_BP_PLAN_PATH && echo plan)>"\n',
      ],
      [/<half plan>/, 'test -t 0 -a -t 1 -a -t 2 && echo "<terminal $((40 + 2))>"\n'],
      [/<terminal 42>/, "sh -c 'echo \"<runs $$>\"; exec sleep 1000'\n"],
      [/<runs \d+>/, "\x03"],
      [/\^C/, 'echo "<interrupted $?>"\n'],
      [/<interrupted 130>/, "exit 0\n"],
    ]);
    match(shown, /Failed: \/cnb\/buildpacks\/test_probe\/1\.0\.0\/bin\/build /);
    equal(code, 51, shown);
    match(shown, /ERROR: .*its bin\/build exited with status 3/);
  },
});

Deno.test({
  name: "build --shell: where nobody detected",
  ignore: !canMakeBuilder || !hasScript,
  async fn() {
    await using shell = await builderShell();
    await Deno.remove(`${shell.dir}/app/app.txt`);
    const { code } = await onTerminal(shell.dir, [...WORDS, "--run-image", "oci:base:1"], [
      [/a shell in its place/, 'echo "<${CNB_BUILDPACK_DIR##*/} $PWD>"\n'],
      [/<1.0.0 \/workspace>/, "exit\n"],
    ]);
    equal(code, 20);
  },
});

Deno.test({
  name: "build --shell: without a terminal it is refused before anything is done",
  ignore: !canMakeBuilder,
  async fn() {
    await using shell = await builderShell();
    const { code, err } = await shell.wherry(...WORDS);
    equal(code, 3);
    match(err, /^ERROR: Cannot use --shell: stdin is no terminal \(--keep-sandbox /m);
  },
});
