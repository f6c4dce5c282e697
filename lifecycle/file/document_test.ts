import assert from "node:assert/strict";
import { z } from "zod";
import { tempDir } from "../../registry/temp_testing.ts";
import { FileError } from "../error.ts";
import { parseOrderToml } from "./order_toml.ts";
import { parseDocument, readDocument, writeText } from "./document.ts";
import { parseToml } from "./toml.ts";

Deno.test("3 one line names file, line and key, what was seen and what was wanted", () => {
  const rows: [string, string][] = [
    [
      '[[order]]\n[[order.group]]\nid = "a"\n[[order.group]]\nversion = "1"\n',
      "Cannot parse /cnb/order.toml:4: order[0].group[1].id is missing",
    ],
    [
      '[[order]]\n[[order.group]]\nid = "a"\noptional = "yes"\n',
      'Cannot parse /cnb/order.toml:4: order[0].group[0].optional is "yes", want true or false',
    ],
    [
      "order = 3\n",
      "Cannot parse /cnb/order.toml:1: order is 3, want an array",
    ],
    [
      '[[order]]\n[[order.group]]\nid = ""\n',
      "Cannot parse /cnb/order.toml:3: order[0].group[0].id is empty",
    ],
    [
      '[[order]]\n[[order.group]]\nid = "../etc"\n',
      'Cannot parse /cnb/order.toml:3: order[0].group[0].id is "../etc", want letters, digits, ' +
      "'.', '/' and '-', and not config, app, generated or sbom",
    ],
    [
      '[[order]]\n[[order.group]]\nid = "a"\nversion = 1.0\n',
      "Cannot parse /cnb/order.toml:4: order[0].group[0].version is 1, want a string",
    ],
  ];
  for (const [source, message] of rows) {
    assert.throws(() => parseOrderToml(source, "/cnb/order.toml"), { name: "FileError", message });
  }
});

Deno.test("3 of alternatives the one that came furthest is told", () => {
  const schema = z.object({ a: z.union([z.string(), z.object({ name: z.string() })]) });
  assert.throws(() => parseDocument(schema, "[a]\nname = 1\n", "x"), {
    message: "Cannot parse x:2: a.name is 1, want a string",
  });
});

Deno.test("an absent document is undefined, one that is not UTF-8 is refused", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  assert.equal(await readDocument(`${dir}/none`, parseToml), undefined);
  await Deno.writeFile(`${dir}/bad`, new Uint8Array([0x61, 0xff]));
  await assert.rejects(readDocument(`${dir}/bad`, parseToml), {
    message: `Cannot read ${dir}/bad: it is not UTF-8`,
  });
  await assert.rejects(
    readDocument(dir, parseToml),
    (error) => error instanceof FileError && error.file === dir,
  );
});

Deno.test("a document is written whole or not at all", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  await writeText(`${dir}/sub/a.toml`, "one\n");
  await writeText(`${dir}/sub/a.toml`, "two\n");
  assert.equal(await Deno.readTextFile(`${dir}/sub/a.toml`), "two\n");
  // A directory is in the way: the write fails and leaves no temporary file.
  await Deno.mkdir(`${dir}/sub/b.toml/x`, { recursive: true });
  await assert.rejects(writeText(`${dir}/sub/b.toml`, "x"), /Cannot write .*b\.toml/);
  const names = [...Deno.readDirSync(`${dir}/sub`)].map(({ name }) => name).sort();
  assert.deepEqual(names, ["a.toml", "b.toml"]);
});

Deno.test("RPT-1 what stands for an open file is written to, not replaced", async () => {
  const path = await Deno.realPath(await Deno.makeTempFile());
  try {
    using _open = await Deno.open(path, { write: true });
    for await (const { name } of Deno.readDir("/proc/self/fd")) {
      const at = `/proc/self/fd/${name}`;
      if (await Deno.readLink(at).catch(() => "") === path) await writeText(at, "here\n");
    }
    assert.equal(await Deno.readTextFile(path), "here\n");
  } finally {
    await Deno.remove(path);
  }
});
