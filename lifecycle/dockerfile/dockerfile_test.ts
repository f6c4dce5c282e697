import assert from "node:assert/strict";
import { FileError } from "../error.ts";
import { checkBuildDockerfile, checkRunDockerfile } from "./check.ts";
import { parseDockerfile } from "./parse.ts";
import { expandWord, splitWords } from "./words.ts";

const parse = (text: string) => parseDockerfile(text, "Dockerfile");
const steps = (text: string) => parse(`FROM x\n${text}`).stages[0]!.steps;
const act = (text: string) => steps(text)[0]!.act;

function refused(text: string, wanted: RegExp): void {
  assert.throws(
    () => parse(text),
    (error) => error instanceof FileError && wanted.test(error.message),
    `${JSON.stringify(text)} must be refused with ${wanted}`,
  );
}

Deno.test("XT-4 lines: continuations, comments in them, directives, case, BOM, CRLF", () => {
  const text = "\ufeff# escape=\\\n# a comment\r\narg base_image\nFROM ${base_image} as b\r\n" +
    "run a && \\\n  # why\n\n  b \\  \n  c\nENV A=1 \\\n    B='x y'\n";
  const { metaArgs, stages } = parse(text);
  assert.deepEqual(metaArgs, [{ name: "base_image" }]);
  assert.equal(stages[0]!.image, "${base_image}");
  assert.deepEqual(stages[0]!.steps.map(({ text, line }) => [line, text]), [
    [5, "RUN a &&   b   c"],
    [10, "ENV A=1     B='x y'"],
  ]);
  const backtick = parse("# escape=`\nFROM x\nRUN a `\n b\\\n");
  assert.deepEqual(backtick.stages[0]!.steps[0]!.act, {
    name: "RUN",
    command: { form: "shell", script: "a  b\\" },
  });
  refused("# escape=x\nFROM x", /Dockerfile:1: the escape is "x"/);
});

Deno.test("XT-4 instructions: exec and shell form, flags, pairs old and new", () => {
  assert.deepEqual(act('RUN ["a", "b c"]'), {
    name: "RUN",
    command: { form: "exec", words: ["a", "b c"] },
  });
  assert.deepEqual(act("RUN ['a']"), { name: "RUN", command: { form: "shell", script: "['a']" } });
  assert.deepEqual(act("COPY --chown=1:2 --chmod=755 a b /c/"), {
    name: "COPY",
    sources: ["a", "b"],
    heredocs: [],
    target: "/c/",
    chown: "1:2",
    chmod: "755",
  });
  assert.deepEqual(act('ENV A=1 B="x y" C=a\\ b'), {
    name: "ENV",
    pairs: [{ name: "A", value: "1" }, { name: "B", value: '"x y"' }, {
      name: "C",
      value: "a\\ b",
    }],
  });
  assert.deepEqual(act("LABEL a b c"), { name: "LABEL", pairs: [{ name: "a", value: "b c" }] });
  assert.deepEqual(act("ARG a b=2"), {
    name: "ARG",
    args: [{ name: "a" }, { name: "b", value: "2" }],
  });
  assert.deepEqual(act('SHELL ["/bin/bash", "-c"]'), { name: "SHELL", words: ["/bin/bash", "-c"] });
});

Deno.test("XT-4 here-documents: a script, an input, a file", () => {
  const script = "RUN <<EOF\necho a\n  echo b\nEOF\nRUN true\n";
  assert.deepEqual(steps(script).map(({ act }) => act.name === "RUN" && act.command), [
    { form: "shell", script: "echo a\n  echo b\n" },
    { form: "shell", script: "true" },
  ]);
  const input = act("RUN cat <<-'X' > /f\n\ta\n\tX\n");
  assert.ok(input.name === "RUN" && input.command.form === "shell");
  assert.equal(input.command.script, "cat <<-'X' > /f\na\nX\n");
  const copy = act("COPY <<A <<'B' c /d/\n1\nA\n$2\nB\n");
  assert.ok(copy.name === "COPY");
  assert.deepEqual(copy.sources, ["c"]);
  assert.deepEqual(copy.heredocs, [
    { name: "A", content: "1\n", expand: true },
    { name: "B", content: "$2\n", expand: false },
  ]);
  refused("FROM x\nRUN <<EOF\na\n", /:2: here-document "EOF" has no end/);
});

Deno.test("XT-4 what is no Dockerfile, or cannot be carried out, is refused with its line", () => {
  refused("RUN a", /Dockerfile:1: RUN in front of the first FROM/);
  refused("FROM x\nFOO a", /Dockerfile:2: "FOO" is no instruction/);
  refused("FROM x\nCOPY a", /COPY wants sources and a target/);
  refused("FROM x\nENV A=1 B", /ENV B has no =/);
  refused("FROM x\nUSER", /USER has no arguments/);
  refused("FROM x\nRUN --mount=type=cache,target=/x a", /--mount=\S+ is not supported/);
  refused("FROM x\nCOPY --from=y a b", /--from=y is not supported/);
  refused("FROM x\nCOPY --foo=y a b", /COPY does not know --foo=y/);
  refused("FROM x y z", /FROM wants one image/);
});

Deno.test("XT-4 words and variables, as a shell has them", () => {
  assert.deepEqual(splitWords(`a "b c" 'd e'f g\\ h`, "\\"), ["a", '"b c"', "'d e'f", "g\\ h"]);
  const set: Record<string, string> = { a: "1", empty: "" };
  const look = (name: string) => Object.hasOwn(set, name) ? set[name] : undefined;
  const rows: [string, string][] = [
    ["$a-${a}", "1-1"],
    ["$b|${b}", "|"],
    ["${b:-x$a}", "x1"],
    ["${empty:-x}${empty-y}", "x"],
    ["${a:+yes}${empty:+no}${empty+set}", "yesset"],
    ["${a:?why}", "1"],
    ["'$a' \"$a\"", "$a 1"],
    ["\\$a", "$a"],
    ['"a\\n\\"b"', 'a\\n"b'],
    ["a\\ b", "a b"],
    ["$", "$"],
    ["${b:-{x}", "{x"],
    ["x$a.y", "x1.y"],
  ];
  for (const [text, wanted] of rows) assert.equal(expandWord(text, look, "\\"), wanted, text);
  assert.equal(expandWord(`"$a" '$a'`, look, "\\", { keepQuotes: true }), `"1" '1'`);
  for (const bad of ["${a", "${a#x}", "${b:?want b}", "'a", '"a', "${}"]) {
    assert.throws(() => expandWord(bad, look, "\\"), SyntaxError, bad);
  }
});

Deno.test("GE-3 GE-5 what a build.Dockerfile must be", () => {
  const check = (text: string) => checkBuildDockerfile(parse(text), "build.Dockerfile");
  const rows: [string, RegExp][] = [
    ["", /did not start with required ARG command/],
    ["FROM ${base_image}", /did not start with required ARG command/],
    ["ARG other\nFROM ${base_image}", /did not start with required ARG command/],
    ["ARG base_image\nARG more\nFROM ${base_image}", /did not start with required ARG command/],
    ["ARG base_image x\nFROM ${base_image}", /did not start with required ARG command/],
    ["ARG base_image", /should have at least one stage/],
    ["ARG base_image\nFROM $base_image", /did not contain required FROM \$\{base_image\} command/],
    ["ARG base_image\nFROM other", /did not contain required FROM \$\{base_image\} command/],
    ["ARG base_image\nFROM ${base_image}\nFROM x", /is not permitted to use multistage build/],
  ];
  for (const [text, wanted] of rows) assert.throws(() => check(text), wanted, text);
  assert.deepEqual(check("ARG base_image=x\nFROM ${base_image}\nRUN a\nUSER b"), []);
  assert.deepEqual(check("ARG base_image\nFROM ${base_image}\nEXPOSE 1\nCMD x"), [
    "build.Dockerfile command EXPOSE on line 3 is not recommended",
    "build.Dockerfile command CMD on line 4 is not recommended",
  ]);
});

Deno.test("GE-4 GE-5 what a run.Dockerfile does", () => {
  const check = (text: string) => checkRunDockerfile(parse(text), "run.Dockerfile");
  const rows: [string, string, boolean][] = [
    ["FROM new", "new", false],
    ["ARG base_image\nFROM ${base_image}", "", false],
    ["ARG base_image\nFROM ${base_image}\nRUN x", "", true],
    ["FROM new\nENV A=1", "new", true],
    ["FROM new@sha256:x AS y", "new@sha256:x", false],
  ];
  for (const [text, base, extend] of rows) {
    assert.deepEqual(check(text), { base, extend, warnings: [] }, text);
  }
  assert.deepEqual(check("FROM x\nVOLUME /v").warnings, [
    "run.Dockerfile command VOLUME on line 2 is not recommended",
  ]);
  assert.throws(() => check("FROM a\nFROM b"), /is not permitted to use multistage build/);
  assert.throws(() => check("ARG a"), /should have at least one stage/);
});
