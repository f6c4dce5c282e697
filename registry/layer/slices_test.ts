import { deepEqual, rejects } from "node:assert/strict";
import { tempDir } from "../temp_testing.ts";
import { sliceTree } from "./slices.ts";
import { hashLayer } from "./write_layer.ts";

const owner = { uid: 1000, gid: 1000 };

const FILES = ["a-b", "a/b", "a/c/d.jar", "lib/x.jar", "lib/y.txt", "lib/sub/z.jar", "main"];

async function slicesOf(...slices: readonly (readonly string[])[]): Promise<string[][]> {
  await using temp = await tempDir();
  const dir = temp.path;
  for (const file of FILES) {
    const parent = `${dir}/${file}`.replace(/\/[^/]*$/, "");
    await Deno.mkdir(parent, { recursive: true });
    await Deno.writeTextFile(`${dir}/${file}`, file);
  }
  const lists = await sliceTree(
    { outside: dir, inside: "/workspace" },
    slices.map((paths) => ({ paths })),
    { owner },
  );
  return lists.map((list) => list.map(({ name }) => name.replace("/workspace", "")));
}

const ALL = [
  "",
  "/a",
  "/a-b",
  "/a/b",
  "/a/c",
  "/a/c/d.jar",
  "/lib",
  "/lib/sub",
  "/lib/sub/z.jar",
  "/lib/x.jar",
  "/lib/y.txt",
  "/main",
];

Deno.test("SL-3 without slices all is in the last one, with the app directory", async () => {
  deepEqual(await slicesOf(), [ALL]);
});

Deno.test("SL-4 sorted by full path as bytes: a-b before a/b", async () => {
  const [[, , second, third] = []] = await slicesOf(["a*"]);
  deepEqual([second, third], ["/a-b", "/a/b"]);
  deepEqual((await slicesOf(["a*"]))[0]!.slice(0, 4), ["", "/a", "/a-b", "/a/b"]);
});

Deno.test("SL-1 a directory takes everything under it; * does not cross a slash", async () => {
  deepEqual(await slicesOf(["lib"], ["*/*.jar"]), [
    ["", "/lib", "/lib/sub", "/lib/sub/z.jar", "/lib/x.jar", "/lib/y.txt"],
    [],
    ALL.filter((name) => !name.startsWith("/lib")),
  ]);
});

Deno.test("SL-3 first slice wins, also within a directory a later one takes; parents come along", async () => {
  deepEqual(await slicesOf(["*/*.jar", "a/c/*"], ["lib"]), [
    ["", "/a", "/a/c", "/a/c/d.jar", "/lib", "/lib/x.jar"],
    ["", "/lib", "/lib/sub", "/lib/sub/z.jar", "/lib/y.txt"],
    // a/c is used up, a is not
    ["", "/a", "/a-b", "/a/b", "/main"],
  ]);
});

Deno.test("SL-3 a directory that slices used up is not in the rest; an app that they did, neither", async () => {
  deepEqual((await slicesOf(["a/b"], ["a/c/*"])).at(-1), [
    "",
    "/a-b",
    ...ALL.filter((name) => name.startsWith("/lib")),
    "/main",
  ]);
  deepEqual(await slicesOf(["a*", "lib"], ["main"]), [
    ALL.filter((name) => name !== "/main"),
    ["", "/main"],
    [],
  ]);
});

Deno.test("SL-3 directories above the app come first in each slice that holds anything", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  await Deno.writeTextFile(`${dir}/x`, "x");
  const app = { outside: dir, inside: "/some/where/app" };
  const lists = await sliceTree(app, [{ paths: ["none"] }, { paths: ["x"] }], { owner });
  deepEqual(lists.map((list) => list.map(({ name }) => name)), [
    [],
    ["/some", "/some/where", "/some/where/app", "/some/where/app/x"],
    [],
  ]);
});

Deno.test("SL-1 patterns are cleaned first", async () => {
  deepEqual((await slicesOf(["./lib//sub/../x.jar/"]))[0], ["", "/lib", "/lib/x.jar"]);
  deepEqual(await slicesOf(["."]), [ALL, []]);
});

Deno.test("SL-2 D10 absolute patterns inside the app directory match, others never", async () => {
  deepEqual((await slicesOf(["/workspace/ma*"]))[0], ["", "/main"]);
  deepEqual((await slicesOf(["/etc/*", "/main", "../*", "/workspace/../etc"]))[0], []);
});

Deno.test("SL-3 an empty slice is an empty tar, still a layer", async () => {
  const dir = await Deno.makeTempDir();
  const app = { outside: dir, inside: "/w" };
  const [empty] = await sliceTree(app, [{ paths: ["x"] }], { owner });
  await Deno.remove(dir);
  const { diffId, tarSize } = await hashLayer(empty!);
  deepEqual([diffId, tarSize], [
    "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
    1024,
  ]);
});

Deno.test("SL-1 a malformed pattern is named", async () => {
  await rejects(slicesOf(["lib/[a"]), /Cannot read glob "lib\/\[a"/);
});
