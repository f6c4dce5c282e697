import assert from "node:assert/strict";
import {
  type GoFlag,
  GoFlagError,
  GoHelpWanted,
  goUsage,
  parseGoBool,
  parseGoDuration,
  parseGoFlags,
  parseGoInt,
} from "./go_flags.ts";

const FLAGS: readonly GoFlag[] = [
  { name: "layers", kind: "string", usage: "path" },
  { name: "daemon", kind: "bool", usage: "switch" },
  { name: "uid", kind: "int", usage: "number" },
  { name: "tag", kind: "list", usage: "several" },
  { name: "kaniko-cache-ttl", kind: "duration", usage: "time" },
];

const read = (...words: string[]) => {
  const { values, rest } = parseGoFlags(FLAGS, words);
  return [Object.fromEntries(values), rest];
};

Deno.test("CLI-3 one dash or two, with = or without, until the first word that is no flag", () => {
  const rows: [string[], unknown, string[]][] = [
    [["-layers", "/l", "image"], { layers: "/l" }, ["image"]],
    [["--layers=/l", "image", "-daemon"], { layers: "/l" }, ["image", "-daemon"]],
    [["-daemon", "image"], { daemon: true }, ["image"]],
    [["-daemon=false", "-daemon=T"], { daemon: true }, []],
    [["-layers", "-daemon"], { layers: "-daemon" }, []],
    [["-layers=", "a=b"], { layers: "" }, ["a=b"]],
    [["-layers=a=b"], { layers: "a=b" }, []],
    [["--", "-daemon"], {}, ["-daemon"]],
    [["-", "-daemon"], {}, ["-", "-daemon"]],
    [["-tag", "a", "-tag=b"], { tag: ["a", "b"] }, []],
    [["-uid", "0x10"], { uid: 16 }, []],
    [["-kaniko-cache-ttl=1h30m"], { "kaniko-cache-ttl": 5_400_000 }, []],
  ];
  for (const [words, values, rest] of rows) {
    assert.deepEqual(read(...words), [values, rest], words.join(" "));
  }
});

Deno.test("CLI-3 what Go's flag package refuses, in its words, with exit code 2", () => {
  const rows: [string[], string][] = [
    [["-nope"], "flag provided but not defined: -nope"],
    [["--nope=1"], "flag provided but not defined: -nope"],
    [["-layers"], "flag needs an argument: -layers"],
    [["---layers"], "bad flag syntax: ---layers"],
    [["-=x"], "bad flag syntax: -=x"],
    [["-daemon=maybe"], 'invalid boolean value "maybe" for -daemon: parse error'],
    [["-uid=one"], 'invalid value "one" for flag -uid: parse error'],
    [["-kaniko-cache-ttl=1"], 'invalid value "1" for flag -kaniko-cache-ttl: parse error'],
  ];
  for (const [words, message] of rows) {
    assert.throws(
      () => read(...words),
      (error) => error instanceof GoFlagError && error.exitCode === 2 && error.message === message,
      words.join(" "),
    );
  }
  for (const word of ["-h", "-help", "--help"]) {
    assert.throws(() => read(word), (error) => error instanceof GoHelpWanted);
  }
  assert.match(goUsage("lifecycle", FLAGS), /^Usage of lifecycle:\n {2}-daemon\n {4}\tswitch\n/);
});

Deno.test("IN-0 switches, numbers and times as Go reads them", () => {
  for (const text of ["1", "t", "T", "TRUE", "true", "True"]) assert.equal(parseGoBool(text), true);
  for (const text of ["0", "f", "F", "FALSE", "false", "False"]) {
    assert.equal(parseGoBool(text), false);
  }
  for (const text of ["", "yes", "tRUE", "2"]) assert.equal(parseGoBool(text), undefined);
  const numbers: [string, number | undefined][] = [
    ["1000", 1000],
    ["-5", -5],
    ["017", 15],
    ["0b11", 3],
    ["1_000", 1000],
    ["", undefined],
    ["1.5", undefined],
    ["99999999999999999", undefined],
  ];
  for (const [text, want] of numbers) assert.equal(parseGoInt(text), want, text);
  const times: [string, number | undefined][] = [
    ["336h", 1_209_600_000],
    ["1.5s", 1500],
    ["-1m", -60_000],
    ["0", 0],
    ["5", undefined],
    ["h", undefined],
    ["", undefined],
  ];
  for (const [text, want] of times) assert.equal(parseGoDuration(text), want, text);
});
