import { deepEqual, equal, rejects } from "node:assert/strict";
import { gzipSync } from "node:zlib";
import fc from "../oci/property_testing.ts";
import { tempDir } from "../temp_testing.ts";
import { extractLayer, untarTo } from "./extract.ts";
import { type Sample, streamOf, tarOf } from "./tar_testing.ts";
import type { TarType } from "./tar_format.ts";

interface Box {
  /** The directory `/layers` of the image is here. */
  readonly layers: string;
  /** Nothing may ever happen here. */
  readonly outside: string;
}

/** A place to extract to beside one that must stay as it is; checked after `act`, whatever it did. */
async function boxed(act: (box: Box) => Promise<void>): Promise<void> {
  await using temp = await tempDir();
  const top = temp.path;
  const box = { layers: `${top}/in/layers`, outside: `${top}/outside` };
  await Deno.mkdir(box.layers, { recursive: true });
  await Deno.mkdir(`${box.outside}/dir`, { recursive: true });
  await Deno.writeTextFile(`${box.outside}/file`, "untouched");
  const before = await snapshot(top, box.layers);
  await act(box);
  deepEqual(await snapshot(top, box.layers), before, "something outside was touched");
}

/** Everything below `dir` but `except`, with its metadata. */
async function snapshot(dir: string, except: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    const path = `${dir}/${name}`;
    if (path === except) continue;
    const { mode, size, ino, nlink, mtime, uid } = await Deno.lstat(path);
    lines.push(`${path} ${mode?.toString(8)} ${size} ${ino} ${nlink} ${mtime?.getTime()} ${uid}`);
    if (isDirectory) lines.push(...await snapshot(path, except));
  }
  return lines.sort();
}

async function restore(box: Box, ...samples: readonly Sample[]) {
  return await extractLayer(streamOf(gzipSync(tarOf(...samples))), {
    directories: { "/layers": box.layers },
  });
}

const dir = (name: string, mode = 0o755): Sample => ({ name, type: "directory", mode });
const link = (name: string, linkName: string): Sample => ({ name, type: "symlink", linkName });

Deno.test("RE-19 restores directories, files and symlinks under the mapped directory", () =>
  boxed(async (box) => {
    const result = await restore(
      box,
      dir("/layers"),
      dir("/layers/bp", 0o700),
      { name: "/layers/bp/f", text: "hello", mode: 0o640 },
      link("/layers/bp/l", "/etc/alternatives/java"),
      { name: "/layers/bp/deep/er/g", text: "", mode: 0o755 },
    );
    deepEqual(result, { entries: 5, bytes: 5 });
    equal(await Deno.readTextFile(`${box.layers}/bp/f`), "hello");
    equal((await Deno.lstat(`${box.layers}/bp/f`)).mode! & 0o7777, 0o640);
    equal((await Deno.lstat(`${box.layers}/bp`)).mode! & 0o7777, 0o700);
    equal((await Deno.lstat(`${box.layers}/bp/deep/er/g`)).mode! & 0o7777, 0o755);
    equal(await Deno.readLink(`${box.layers}/bp/l`), "/etc/alternatives/java");
  }));

Deno.test("RE-19 any other type is an error", () =>
  boxed(async (box) => {
    const types: readonly TarType[] = ["link", "char", "block", "fifo"];
    for (const type of types) {
      await rejects(
        restore(box, { name: "/layers/f", text: "x" }, {
          name: "/layers/x",
          type,
          ...(type === "link" ? { linkName: "/layers/f" } : {}),
        }),
        TypeError,
        type,
      );
    }
  }));

Deno.test("RE-20 read-only directories can be filled; existing ones keep their mode; files are replaced", () =>
  boxed(async (box) => {
    await Deno.mkdir(`${box.layers}/old`);
    await Deno.chmod(`${box.layers}/old`, 0o711);
    await Deno.writeTextFile(`${box.layers}/old/f`, "a longer text");
    await restore(
      box,
      dir("/layers/old", 0o755),
      { name: "/layers/old/f", text: "new", mode: 0o600 },
      dir("/layers/ro", 0o555),
      dir("/layers/ro/sub", 0o500),
      { name: "/layers/ro/sub/f", text: "x" },
    );
    equal((await Deno.lstat(`${box.layers}/old`)).mode! & 0o7777, 0o711);
    equal(await Deno.readTextFile(`${box.layers}/old/f`), "new");
    equal((await Deno.lstat(`${box.layers}/ro`)).mode! & 0o7777, 0o555);
    equal((await Deno.lstat(`${box.layers}/ro/sub`)).mode! & 0o7777, 0o500);
    await Deno.chmod(`${box.layers}/ro`, 0o755);
    await Deno.chmod(`${box.layers}/ro/sub`, 0o755);
  }));

Deno.test("RE-20 an existing symlink is an error", () =>
  boxed(async (box) => {
    await Deno.symlink(`${box.outside}/file`, `${box.layers}/l`);
    await rejects(restore(box, { name: "/layers/l", text: "x" }), /a symlink lies in its place/);
    await rejects(restore(box, link("/layers/l", "y")), /a symlink lies in its place/);
    await rejects(restore(box, dir("/layers/l")), /a symlink lies in its place/);
  }));

Deno.test("RE-20 a file that is hard-linked elsewhere is replaced, not written through", () =>
  boxed(async (box) => {
    await Deno.writeTextFile(`${box.layers}/keep`, "kept");
    await Deno.link(`${box.layers}/keep`, `${box.layers}/f`);
    await restore(box, { name: "/layers/f", text: "new" });
    equal(await Deno.readTextFile(`${box.layers}/keep`), "kept");
  }));

Deno.test("X-08 setuid and setgid go, unless kept on purpose", () =>
  boxed(async (box) => {
    await restore(box, { name: "/layers/f", text: "x", mode: 0o6755 });
    equal((await Deno.lstat(`${box.layers}/f`)).mode! & 0o7777, 0o755);
    await extractLayer(streamOf(tarOf({ name: "/layers/f", text: "x", mode: 0o6755 })), {
      directories: { "/layers": box.layers },
      keepSetuid: true,
    });
    equal((await Deno.lstat(`${box.layers}/f`)).mode! & 0o7777, 0o6755);
  }));

const ESCAPES: readonly (readonly [why: string, samples: (box: Box) => Sample[]])[] = [
  ["X-01 .. at the start", () => [{ name: "../x", text: "x" }]],
  ["X-01 .. inside", () => [{ name: "/layers/a/../../x", text: "x" }]],
  ["X-01 .. at the end", () => [dir("/layers/..")]],
  ["X-01 absolute elsewhere", (box) => [{ name: `${box.outside}/x`, text: "x" }]],
  ["X-01 a sibling with the same start", () => [{ name: "/layers-x/f", text: "x" }]],
  ["X-01 two slashes", (box) => [{ name: `/${box.outside}/x`, text: "x" }]],
  ["X-01 the directory itself as a file", () => [{ name: "/layers", text: "x" }]],
  ["X-01 the directory itself as a link", (box) => [link("/layers/", box.outside)]],
  ["X-02 through an absolute link", (box) => [
    link("/layers/l", box.outside),
    { name: "/layers/l/x", text: "x" },
  ]],
  ["X-02 through a relative link", () => [
    link("/layers/l", "../../outside"),
    { name: "/layers/l/x", text: "x" },
  ]],
  ["X-02 through a chain of links", () => [
    dir("/layers/a"),
    link("/layers/a/up", ".."),
    link("/layers/b", "a/up/../../outside"),
    { name: "/layers/b/dir/x", text: "x" },
  ]],
  ["X-02 a file over a link to a file", (box) => [
    link("/layers/l", `${box.outside}/file`),
    { name: "/layers/l", text: "x" },
  ]],
  ["X-02 a directory made through a link", (box) => [
    link("/layers/l", box.outside),
    dir("/layers/l/made"),
  ]],
  ["X-02 a link loop", () => [link("/layers/l", "l"), { name: "/layers/l/x", text: "x" }]],
  ["X-05 a directory entry over a link, to change a mode", (box) => [
    link("/layers/l", `${box.outside}/dir`),
    dir("/layers/l", 0o777),
  ]],
  ["X-05 a directory replaced by a link before its mode is set", (box) => [
    dir("/layers/d", 0o777),
    link("/layers/d", `${box.outside}/dir`),
  ]],
];

for (const [why, samples] of ESCAPES) {
  Deno.test(`${why} is refused and touches nothing outside`, () =>
    boxed(async (box) => {
      await rejects(restore(box, ...samples(box)), TypeError);
    }));
}

Deno.test("X-03 hard links that leave the directory are refused, others made", () =>
  boxed(async (box) => {
    const untar = (...samples: readonly Sample[]) =>
      untarTo(box.layers, streamOf(gzipSync(tarOf(...samples))));
    const hard = (name: string, linkName: string): Sample => ({ name, type: "link", linkName });
    await untar({ name: "./a/f", text: "x" }, hard("b/g", "a/f"));
    equal(await Deno.readTextFile(`${box.layers}/b/g`), "x");
    for (
      const samples of [
        [hard("h", "../../outside/file")],
        [hard("h", `${box.outside}/file`)],
        [link("l", box.outside), hard("h", "l/file")],
        [link("s", `${box.outside}/file`), hard("h", "s")],
        [hard("h", "not-yet")],
        [hard("h", "a")],
        [dir("c"), link("c/up", "../.."), link("esc", "c/up/../outside"), hard("h", "esc/file")],
      ]
    ) await rejects(untar(...samples), Error, JSON.stringify(samples));
  }));

Deno.test("X-01 deep names, names of a Windows machine and twins in other normal forms stay inside", () =>
  boxed(async (box) => {
    const deep = "/layers/" + "d/".repeat(300) + "f";
    await restore(
      box,
      { name: deep, text: "x" },
      { name: "/layers/.\\..\\x", text: "x" },
      { name: "/layers/C:\\x", text: "x" },
      { name: "/layers/\u00e9", text: "1" },
      { name: "/layers/e\u0301", text: "2" },
    );
    equal(await Deno.readTextFile(box.layers + deep.slice("/layers".length)), "x");
    equal(await Deno.readTextFile(`${box.layers}/\u00e9`), "1");
    await rejects(restore(box, { name: "/layers/" + "e/".repeat(2000) + "f" }), /steps/);
  }));

Deno.test("X-02 a link put there by someone else while we extract is not followed", () =>
  boxed(async (box) => {
    const tar = tarOf(
      { name: "/layers/d/a", text: "x".repeat(100_000) },
      { name: "/layers/e/b", text: "x" },
      { name: "/layers/d/sub/c", text: "x" },
    );
    let sent = 0;
    const stream = new ReadableStream<Uint8Array>({
      async pull(controller) {
        if (sent >= tar.byteLength) return controller.close();
        controller.enqueue(tar.slice(sent, sent += 50_000));
        if (sent === 100_000) {
          await Deno.rename(`${box.layers}/d`, `${box.layers}/moved`);
          await Deno.symlink(box.outside, `${box.layers}/d`);
        }
      },
    }, { highWaterMark: 0 });
    await rejects(
      extractLayer(stream, { directories: { "/layers": box.layers } }),
      /links are not followed/,
    );
  }));

Deno.test("several directories: the longest that fits counts", () =>
  boxed(async (box) => {
    await Deno.mkdir(`${box.layers}/x`);
    await Deno.mkdir(`${box.layers}/y`);
    await extractLayer(
      streamOf(tarOf({ name: "/layers/sbom/f", text: "1" }, { name: "/layers/f", text: "2" })),
      { directories: { "/layers": `${box.layers}/x`, "/layers/sbom": `${box.layers}/y` } },
    );
    equal(await Deno.readTextFile(`${box.layers}/y/f`), "1");
    equal(await Deno.readTextFile(`${box.layers}/x/f`), "2");
  }));

Deno.test("X-04 property: no archive touches anything outside its directory", async () => {
  const step = fc.constantFrom("a", "b", "c", "..", ".", "");
  const name = fc.array(step, { minLength: 1, maxLength: 5 }).map((steps) => steps.join("/"));
  const target = fc.oneof(name, fc.constantFrom("OUT", "OUT/dir", "OUT/file", "../../outside"));
  const sample = fc.record({
    name,
    type: fc.constantFrom<TarType>("file", "directory", "symlink", "link"),
    linkName: target,
    mode: fc.integer({ min: 0, max: 0o7777 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(sample, { minLength: 1, maxLength: 8 }),
      (samples) =>
        boxed(async (box) => {
          const entries = samples.map(({ linkName, ...rest }): Sample => ({
            ...rest,
            name: rest.name || "a",
            mode: rest.mode | 0o700, // so that the test can clean up
            ...(rest.type === "link" || rest.type === "symlink"
              ? { linkName: linkName.replace("OUT", box.outside) || "a" }
              : {}),
          }));
          await untarTo(box.layers, streamOf(tarOf(...entries))).catch(() => {});
          await restore(box, ...entries.map((one) => ({ ...one, name: "/layers/" + one.name })))
            .catch(() => {});
        }),
    ),
    { numRuns: 150 },
  );
});
