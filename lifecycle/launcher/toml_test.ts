/** The TOML reader of the launcher, alone: through the `dump` of fuzz_toml.c, under the sanitizers. */
import assert from "node:assert/strict";
import fc from "../../registry/oci/property_testing.ts";
import { stringify, TomlDate } from "smol-toml";
import { compileFuzzToml, fuzzLauncherToml } from "../../scripts/fuzz_launcher.ts";

let reader: Promise<{ dir: string; file: string }> | undefined;

Deno.test.afterAll(async () => {
  if (reader) await Deno.remove((await reader).dir, { recursive: true });
});

function readerFile(): Promise<{ dir: string; file: string }> {
  return reader ??= (async () => {
    const dir = await Deno.makeTempDir({ prefix: "wherry-toml-" });
    await compileFuzzToml(`${dir}/fuzz_toml`);
    return { dir, file: `${dir}/fuzz_toml` };
  })();
}

/** One line for each document: JSON with null for numbers and times, or `refused LINE: WHY`. */
async function read(documents: readonly (string | Uint8Array)[]): Promise<string[]> {
  const child = new Deno.Command((await readerFile()).file, {
    args: ["dump"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = child.output();
  const writer = child.stdin.getWriter();
  for (const document of documents) {
    const bytes = typeof document === "string" ? new TextEncoder().encode(document) : document;
    const size = new Uint8Array(4);
    new DataView(size.buffer).setUint32(0, bytes.length, true);
    await writer.write(size);
    await writer.write(bytes);
  }
  await writer.close();
  const { success, stdout, stderr } = await output;
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).split("\n").slice(0, -1);
}

/** What is accepted, and what it means. */
const ACCEPTED: readonly [string, unknown][] = [
  ["", {}],
  ["\ufeffa = 'x'", { a: "x" }],
  ["# only a comment", {}],
  ["a='x'\r\nb='y'\r\n", { a: "x", b: "y" }],
  ['"" = "empty key"', { "": "empty key" }],
  ["1.2 = 'x'", { "1": { "2": "x" } }],
  ["a . 'b c' . \"d.e\" = 'x'", { a: { "b c": { "d.e": "x" } } }],
  ["a.b = 'x'\na.c = 'y'", { a: { b: "x", c: "y" } }],
  [
    String.raw`a = "\b\t\n\f\r\"\\\u00e9\U0001F600\e\x41"`,
    { a: '\b\t\n\f\r"\\\u00e9\u{1F600}\x1bA' },
  ],
  ["a = '\\n'", { a: "\\n" }],
  ['a = """\nx\n\\\n   y \\  \n\n z"""', { a: "x\ny z" }],
  ['a = """\r\nx\r\ny"""', { a: "x\r\ny" }],
  ['a = """"q""""', { a: '"q"' }],
  ["a = '''''q'''''", { a: "''q''" }],
  ['a = """"""', { a: "" }],
  ["a = [\n 'x', # one\n 'y',\n]", { a: ["x", "y"] }],
  ["a = [[], [['x']], {b = 'y'}]", { a: [[], [["x"]], { b: "y" }] }],
  ["a = {}\nb = { c.d = 'x', c.e = 'y' }", { a: {}, b: { c: { d: "x", e: "y" } } }],
  ["a = {\n b = 'x', # 1.1\n}", { a: { b: "x" } }],
  ["[a.b.c]\nd='x'\n[a]\ne='y'", { a: { b: { c: { d: "x" } }, e: "y" } }],
  ["[[a]]\nb='1'\n[a.c]\nd='2'\n[[a]]\n[[a.e]]\nf='3'", {
    a: [{ b: "1", c: { d: "2" } }, { e: [{ f: "3" }] }],
  }],
  ["[a]\nb.c='x'\n[a.b.d]\ne='y'", { a: { b: { c: "x", d: { e: "y" } } } }],
  ["a = [0, -0, +1, 1_000, 0xDEAD_beef, 0o17, 0b1]", { a: Array(7).fill(null) }],
  ["a = [9223372036854775807, -9223372036854775808]", { a: [null, null] }],
  ["a = [1.5, -0.0, 1e9, 1.5E-1_0, inf, -inf, +nan]", { a: Array(7).fill(null) }],
  ["a = [1979-05-27T07:32:00Z, 1979-05-27 07:32:00.999-07:00]", { a: [null, null] }],
  ["a = [1979-05-27T07:32, 1979-05-27, 07:32:00.5, 2024-02-29]", { a: Array(4).fill(null) }],
  ["a = true\nb = false", { a: true, b: false }],
];

Deno.test("TOML accepted: every form of key, string, table and value", async () => {
  const lines = await read(ACCEPTED.map(([document]) => document));
  ACCEPTED.forEach(([document, want], at) => {
    const line = lines[at] ?? "";
    assert.ok(!line.startsWith("refused"), `${JSON.stringify(document)}: ${line}`);
    assert.deepEqual(JSON.parse(line), want, document);
  });
});

/** What is refused, in which line. */
const REFUSED: readonly [string | Uint8Array, string][] = [
  ["a", "1: want = after a key"],
  ["= 1", "1: want a key"],
  ["a. = 1", "1: want a key"],
  ["a =", "1: want a value"],
  ["a = \n1", "1: want a value"],
  ["a = x", "1: a value that is no string, number, time, true or false"],
  ["a = 1 b = 2", "1: want the end of the line"],
  ["a = 'x'\n\na = 'y'", "3: a key that is there already"],
  ["a = 1\na.b = 2", "2: a dotted key adds to what is defined elsewhere"],
  ["a = {}\na.b = 2", "2: a dotted key adds to what is defined elsewhere"],
  ["a = {}\n[a.b]", "2: a header that goes through a value"],
  ["[a]\n[a]", "2: a table that is there already"],
  ["[a]\n[[a]]", "2: a key that is there already and no array of tables"],
  ["[[a]]\n[a]", "2: a table that is there already"],
  ["a = []\n[[a]]", "2: a key that is there already and no array of tables"],
  ["a = [{}]\n[a.b]", "2: a header that goes through a value"],
  ["a.b = 1\n[a]", "2: a table that is there already"],
  ["[a.b]\n[a]\nb.c = 1", "3: a dotted key adds to what is defined elsewhere"],
  ["[a", "1: want ] at the end of a header"],
  ["[a] b", "1: want the end of the line"],
  ["[[a]", "1: want ] at the end of a header"],
  ["[ [a]]", "1: want a key"],
  ['a = "x', "1: an unfinished string"],
  ['a = "x\ny"', "1: an unfinished string"],
  ['a = """x\n\n', "1: an unfinished string of several lines"],
  ["a = '''x", "1: an unfinished string of several lines"],
  ['a = "\\q"', "1: an unknown escape in a string"],
  ['a = "\\u12"', "1: an escape wants more hexadecimal digits"],
  ['a = "\\ud800"', "1: an escape that is no Unicode scalar value"],
  ['a = "\\UFFFFFFFF"', "1: an escape that is no Unicode scalar value"],
  ['a = "\x01"', "1: a control character in a string"],
  ["a = '\x7f'", "1: a control character in a string"],
  ["# \x00", "1: a control character in a comment"],
  ["a = 1\r", "1: want the end of the line"],
  ["a = [1 2]", "1: want , or ] in an array"],
  ["a = [,]", "1: want a value"],
  ["a = [\n1,\n", "3: want a value"],
  ["a = {b = 1 c = 2}", "1: want , or } in an inline table"],
  ["a = {b = 1, b = 2}", "1: a key that is there already"],
  ["[".repeat(3) + "a", "1: want a key"],
  ["a = " + "[".repeat(101), "1: nested too deeply"],
  [new Uint8Array([0x61, 0x0a, 0xff]), "2: bytes that are not UTF-8"],
  [new Uint8Array([0xc0, 0x80]), "1: bytes that are not UTF-8"],
  [new Uint8Array([0xed, 0xa0, 0x80]), "1: bytes that are not UTF-8"],
  [new Uint8Array([0xf4, 0x90, 0x80, 0x80]), "1: bytes that are not UTF-8"],
  [new Uint8Array([0xe2, 0x82]), "1: bytes that are not UTF-8"],
  ...[
    ...["01", "-01", "1_", "_1", "1__0", "0x", "0xg", "+0x1", "0X1", "0b2", "1.", ".1", "1.e1"],
    ...["1e", "1e_1", "1._5", "+-1", "Inf", "9223372036854775808", "0x8000000000000000", "True"],
    ...["1979-5-27", "1979-13-01", "2023-02-29", "1979-05-27T", "1979-05-27T24:00:00Z", "7:32"],
    ...["07:60", "07:32:61", "07:32:00.", "07:32:00Z", "1979-05-27T07:32:00+0700", "1979-05-27x"],
  ].map((value): [string, string] => [
    `a = ${value}`,
    "1: a value that is no string, number, time, true or false",
  ]),
];

Deno.test("TOML refused: with the line and the reason", async () => {
  const lines = await read(REFUSED.map(([document]) => document));
  REFUSED.forEach(([document, want], at) => {
    assert.equal(lines[at], `refused ${want}`, JSON.stringify(document));
  });
});

/** Strings of any scalar values; lone surrogates cannot be written. */
const text = fc.string({ unit: "binary" });

const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    text,
    fc.boolean(),
    fc.integer(),
    fc.double({ noNaN: true }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.date({ min: new Date(0), max: new Date("9999-01-01"), noInvalidDate: true }).map((date) =>
      new TomlDate(date)
    ),
    fc.array(tie("value")),
    fc.dictionary(text, tie("value")),
  ),
})).value;

/** What the reader keeps of a value: numbers and times become null. */
function kept(value: unknown): unknown {
  if (typeof value === "number" || typeof value === "bigint" || value instanceof Date) return null;
  if (Array.isArray(value)) return value.map(kept);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, kept(each)])
      .sort(([a], [b]) => String(a) < String(b) ? -1 : 1),
  );
}

Deno.test("TOML property: what our writer writes, the launcher reads", async () => {
  const tables = fc.sample(fc.dictionary(text, value, { maxKeys: 8 }), {
    numRuns: 500,
    seed: 20260823,
  });
  const documents = tables.map((table) => stringify(table));
  const lines = await read(documents);
  tables.forEach((table, at) => {
    const line = lines[at] ?? "";
    assert.ok(!line.startsWith("refused"), `${line}\n${documents[at]}`);
    assert.deepEqual(kept(JSON.parse(line)), kept(table), documents[at]);
  });
});

Deno.test("TOML fuzz: two seconds without a fault", async () => {
  const { runs, accepted } = await fuzzLauncherToml(2, 7);
  assert.ok(runs > 100 && accepted > 10, `${runs} runs, ${accepted} accepted`);
});

/** The suite of toml-test, where Go's module cache has a copy. */
const SUITE = `${Deno.env.get("GOPATH") ?? `${Deno.env.get("HOME")}/go`}/pkg/mod/` +
  "github.com/!burnt!sushi/toml@v1.6.0/internal/toml-test/tests";
const suite = await Deno.stat(SUITE).then(() => true, () => false);

/** Invalid in TOML 1.0, valid in 1.1, and accepted. */
const ONLY_1_1 =
  /\/(string\/basic-byte-escapes|inline-table\/(linebreak-0\d|trailing-comma)|[a-z-]+\/no-secs)\.toml$/;

async function tomlFiles(dir: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(dir)) {
    const path = `${dir}/${entry.name}`;
    if (entry.isDirectory) files.push(...await tomlFiles(path));
    else if (path.endsWith(".toml")) files.push(path);
  }
  return files;
}

/** The suite's tagged JSON, as `kept` leaves it. */
function untagged(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(untagged);
  if (typeof value !== "object" || value === null) return value;
  const { type, value: plain, ...rest } = value as Record<string, unknown>;
  if (typeof type === "string" && typeof plain === "string" && Object.keys(rest).length === 0) {
    return type === "string" ? plain : type === "bool" ? plain === "true" : null;
  }
  return kept(
    Object.fromEntries(Object.entries(value).map(([key, each]) => [key, untagged(each)])),
  );
}

Deno.test({
  name: `TOML suite of toml-test${suite ? "" : " (skipped: no copy in Go's module cache)"}`,
  ignore: !suite,
  fn: async () => {
    for (const kind of ["valid", "invalid"]) {
      const files = (await tomlFiles(`${SUITE}/${kind}`)).filter((file) => !ONLY_1_1.test(file));
      assert.ok(files.length > 100);
      const lines = await read(await Promise.all(files.map((file) => Deno.readFile(file))));
      for (const [at, file] of files.entries()) {
        const line = lines[at] ?? "";
        assert.equal(line.startsWith("refused"), kind === "invalid", `${file}: ${line}`);
        if (kind === "invalid") continue;
        const want = JSON.parse(await Deno.readTextFile(file.replace(/toml$/, "json")));
        assert.deepEqual(kept(JSON.parse(line)), untagged(want), file);
      }
    }
  },
});
