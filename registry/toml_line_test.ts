import assert from "node:assert/strict";
import { lineOf, type Path } from "./toml_line.ts";

const SOURCE = `# a comment with [brackets] and "quotes"
api = "0.10"

[buildpack]
id = "a/b"
"quoted key" = 1
dotted.key.deep = 2
text = """
[order]
id = 'not here'
"""
list = [
  1,
  [2, 3], # ]
]

[[order]]
[[order.group]]
id = "one"
[[order.group]]
  id = "two"

[[order]]
[[order.group]]
id = 'three'

[metadata.x.'y.z']
inline = { a = 1, b = { c = 2 } }
`;

Deno.test("3 the line of a key", () => {
  const rows: [Path, number | undefined][] = [
    [["api"], 2],
    [["buildpack"], 4],
    [["buildpack", "id"], 5],
    [["buildpack", "quoted key"], 6],
    [["buildpack", "dotted", "key", "deep"], 7],
    [["buildpack", "text"], 8],
    [["buildpack", "list"], 12],
    [["buildpack", "list", 1, 0], 12],
    [["order", 0], 17],
    [["order", 0, "group", 0, "id"], 19],
    [["order", 0, "group", 1, "id"], 21],
    [["order", 0, "group", 1, "version"], 20],
    [["order", 1, "group", 0, "id"], 25],
    [["metadata", "x", "y.z", "inline"], 28],
    [["metadata", "x", "y.z", "inline", "b", "c"], 28],
    [["nowhere"], undefined],
    [[], undefined],
  ];
  for (const [path, want] of rows) assert.equal(lineOf(SOURCE, path), want, JSON.stringify(path));
});

Deno.test("3 the line of a key in a file with CRLF", () => {
  assert.equal(lineOf("a = 1\r\n\r\n[b]\r\nc = 2\r\n", ["b", "c"]), 4);
});
