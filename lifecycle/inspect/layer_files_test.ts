import { deepEqual, equal } from "node:assert/strict";
import { type Sample, streamOf, tarOf } from "../../registry/layer/tar_testing.ts";
import { walkTar } from "../../registry/layer/tar_reader.ts";
import { formatMode, LayerStack } from "./layer_files.ts";

async function stackOf(...layers: readonly (readonly Sample[])[]) {
  const stack = new LayerStack();
  const changes: string[] = [];
  for (const samples of layers) {
    stack.layer();
    await walkTar(streamOf(tarOf(...samples)), {
      header(header) {
        const { change, path } = stack.entry(header);
        changes.push(`${change} ${path}`);
      },
    });
  }
  return { stack, changes };
}

const dir = (name: string): Sample => ({ name, type: "directory" });

Deno.test("a file that a later layer replaces or removes is wasted where it lies", async () => {
  const { stack, changes } = await stackOf(
    [dir("etc/"), { name: "etc/a", text: "12345" }, { name: "etc/b", text: "123" }],
    [dir("/etc"), { name: "/etc/a", text: "12" }],
    [{ name: "etc/.wh.b" }, { name: "./etc/a", text: "1" }],
  );
  deepEqual(changes, [
    "added etc",
    "added etc/a",
    "added etc/b",
    "kept etc",
    "changed etc/a",
    "removed etc/b",
    "changed etc/a",
  ]);
  deepEqual(stack.counts.map(({ bytes, wasted }) => [bytes, wasted]), [[8, 8], [2, 2], [1, 0]]);
  deepEqual(stack.wasted(10), [
    { path: "etc/a", bytes: 7, times: 2 },
    { path: "etc/b", bytes: 3, times: 1 },
  ]);
});

Deno.test("an opaque directory hides what lies below it, not what its own layer puts there", async () => {
  for (const opaqueFirst of [true, false]) {
    const own = [dir("d"), { name: "d/new", text: "12" }];
    const opaque = { name: "d/.wh..wh..opq" };
    const { stack } = await stackOf(
      [dir("d"), { name: "d/old", text: "123" }, dir("d/sub"), { name: "d/sub/x", text: "1234" }],
      opaqueFirst ? [own[0]!, opaque, own[1]!] : [...own, opaque],
    );
    deepEqual(stack.counts.map(({ wasted }) => wasted), [7, 0]);
  }
});

Deno.test("a file over a directory hides all that was in it", async () => {
  const { stack } = await stackOf(
    [dir("d"), { name: "d/x", text: "1234" }],
    [{ name: "d", text: "1" }],
  );
  deepEqual(stack.wasted(1), [{ path: "d/x", bytes: 4, times: 1 }]);
});

Deno.test("modes are written as ls writes them", () => {
  equal(formatMode({ type: "directory", mode: 0o1777 }), "drwxrwxrwt");
  equal(formatMode({ type: "file", mode: 0o4755 }), "-rwsr-xr-x");
  equal(formatMode({ type: "file", mode: 0o2644 }), "-rw-r-Sr--");
  equal(formatMode({ type: "symlink", mode: 0o777 }), "lrwxrwxrwx");
});
