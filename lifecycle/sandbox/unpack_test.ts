import { deepEqual, equal, rejects } from "node:assert/strict";
import fc from "../../registry/oci/property_testing.ts";
import type { Sample } from "../../registry/layer/tar_testing.ts";
import { compiledHelper, isRoot, skipped } from "./helper_testing.ts";
import { unpackLayers, type UnpackOptions } from "./unpack.ts";
import { type Box, boxed, layerOf, shapeOf } from "./unpack_testing.ts";

const helper = await compiledHelper();

const dir = (name: string, mode = 0o755): Sample => ({ name, type: "directory", mode });
const file = (name: string, text = "x", mode = 0o644): Sample => ({ name, text, mode });
const link = (name: string, linkName: string): Sample => ({ name, type: "symlink", linkName });
const hard = (name: string, linkName: string): Sample => ({ name, type: "link", linkName });

async function unpack(
  box: Box,
  layers: readonly (readonly Sample[])[],
  options: Partial<UnpackOptions> = {},
) {
  return await unpackLayers(layers.map((samples) => layerOf(...samples)), {
    helper,
    into: box.root,
    owner: "self",
    ...options,
  });
}

/** Layers, and the shape they give; the same with and without openat2. */
async function gives(layers: readonly (readonly Sample[])[], shape: readonly string[]) {
  for (const walk of [false, true]) {
    await boxed(async (box) => {
      await unpack(box, layers, { walk });
      deepEqual(await shapeOf(box.root), [...shape].sort());
    });
  }
}

async function refuses(layers: readonly (readonly Sample[])[], why: RegExp) {
  for (const walk of [false, true]) {
    await boxed((box) => rejects(unpack(box, layers, { walk }), why));
  }
}

Deno.test("unpack: files, directories, links, modes and times", () =>
  boxed(async (box) => {
    const made = await unpack(box, [[
      dir("./"),
      { ...dir("etc", 0o555), mtime: 12345 },
      { ...file("etc/motd", "hello", 0o4750), mtime: 86400 },
      hard("etc/again", "etc/motd"),
      link("etc/mtab", "/proc/mounts"),
      file("deep/er/file"),
      { name: "pipe", type: "fifo", mode: 0o600 },
      { name: "dev/null", type: "char", mode: 0o666, major: 1, minor: 3 },
    ]]);
    deepEqual(made, { entries: 8, bytes: 6, skipped: 1 });
    deepEqual((await shapeOf(box.root)).filter((line) => !line.startsWith("?")), [
      "d deep",
      "d deep/er",
      "d dev",
      "d etc",
      "f deep/er/file x",
      "f etc/again hello",
      "f etc/motd hello",
      "l etc/mtab -> /proc/mounts",
    ]);
    const etc = await Deno.lstat(`${box.root}/etc`);
    equal(etc.mode! & 0o7777, 0o555);
    equal(etc.mtime!.getTime(), 12345000);
    const motd = await Deno.lstat(`${box.root}/etc/motd`);
    equal(motd.mode! & 0o7777, 0o750, "X-08: setuid is not for a host");
    equal(motd.mtime!.getTime(), 86400000);
    equal(motd.nlink, 2);
  }));

Deno.test("unpack: real owners, devices, setuid and capabilities", async () => {
  if (!isRoot) return skipped("owners take root");
  await boxed(async (box) => {
    const capability =
      "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    await unpack(box, [[
      { ...dir("home/cnb", 0o700), uid: 1000, gid: 1001 },
      {
        ...file("ping", "x", 0o4755),
        pax: new Map([["SCHILY.xattr.security.capability", capability]]),
      },
      { ...link("l", "nowhere"), uid: 7, gid: 8 },
      { name: "null", type: "char", mode: 0o666, major: 1, minor: 3 },
      { name: "hole", type: "char", mode: 0o666, major: 0, minor: 0 },
    ]], { owner: "real" });
    const home = await Deno.lstat(`${box.root}/home/cnb`);
    deepEqual([home.uid, home.gid, home.mode! & 0o7777], [1000, 1001, 0o700]);
    equal((await Deno.lstat(`${box.root}/home`)).uid, 0);
    equal((await Deno.lstat(`${box.root}/ping`)).mode! & 0o7777, 0o4755);
    const { stdout } = await new Deno.Command("python3", {
      args: [
        "-c",
        "import os,sys;print(os.getxattr(sys.argv[1],'security.capability').hex())",
        `${box.root}/ping`,
      ],
    }).output();
    equal(new TextDecoder().decode(stdout).trim(), "0100000200200000000000000000000000000000");
    equal((await Deno.lstat(`${box.root}/l`)).uid, 7);
    equal((await Deno.lstat(`${box.root}/null`)).isCharDevice, true);
    await rejects(Deno.lstat(`${box.root}/hole`), Deno.errors.NotFound, "a whiteout of overlay");
  });
});

Deno.test("X-06: whiteouts take what lower layers brought and nothing else", async (t) => {
  await t.step("a file, a directory, a link", () =>
    gives([
      [file("a"), file("d/e/f"), link("l", "d"), file("kept")],
      [file(".wh.a", ""), file(".wh.d", ""), file(".wh.l", "")],
    ], ["f kept x"]));
  await t.step("the same layer's own files survive, wherever the whiteout stands", () =>
    gives([
      [file("d/old"), file("e/old"), file("f", "old")],
      [
        file("d/new"),
        file(".wh.d", ""),
        file(".wh.e", ""),
        file("e/new"),
        file("f", "new"),
        file(".wh.f", ""),
      ],
    ], ["d d", "d e", "f d/new x", "f e/new x", "f f new"]));
  await t.step("opaque before, between and behind", () =>
    gives([
      [file("d/old"), file("d/sub/old"), file("other/old")],
      [file("d/new1"), file("d/.wh..wh..opq", ""), file("d/new2"), file("d/sub/new")],
    ], [
      "d d",
      "d d/sub",
      "d other",
      "f d/new1 x",
      "f d/new2 x",
      "f d/sub/new x",
      "f other/old x",
    ]));
  await t.step(
    "opaque root",
    () => gives([[file("a"), file("b/c")], [file(".wh..wh..opq", ""), file("n")]], ["f n x"]),
  );
  await t.step(
    "opaque in a directory that is not there, whiteout of what is not there",
    () =>
      gives([[file("a")], [
        file("no/.wh..wh..opq", ""),
        file("no/.wh.x", ""),
        file(".wh.y", ""),
        file("a/.wh.b", ""),
      ]], ["f a x"]),
  );
  await t.step(
    "aufs notes mean nothing",
    () => gives([[file("a")], [dir(".wh..wh.plnk"), file(".wh..wh.aufs", "")]], ["f a x"]),
  );
  await t.step(
    "a hard link to what is taken away keeps it",
    () => gives([[file("a", "t")], [hard("b", "a"), file(".wh.a", "")]], ["f b t"]),
  );
  for (const name of [".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh..", "d/.wh..."]) {
    await t.step(name, () => refuses([[file("d/a")], [file(name, "")]], /a whiteout of nothing/));
  }
  await t.step("through a link", () =>
    gives([
      [file("real/a"), file("real/b"), link("l", "/real"), link("out", "../../../outside")],
      [file("l/.wh.a", ""), file("out/.wh.file", ""), file("out/.wh..wh..opq", "")],
    ], ["d real", "f real/b x", "l l -> /real", "l out -> ../../../outside"]));
});

Deno.test("X-01: names that lead out are refused", async (t) => {
  for (const name of ["../x", "a/../../x", "..", "a/..", "/../x"]) {
    await t.step(name, () => refuses([[file(name)]], /it leaves the directory/));
  }
  await t.step(
    "a leading slash, doubled slashes and dots mean the root",
    () =>
      gives([[file("/a"), file("//b"), file("./c/./d"), dir("e//f/")]], [
        "f a x",
        "f b x",
        "d c",
        "f c/d x",
        "d e",
        "d e/f",
      ]),
  );
  await t.step("the root stays a directory", () => refuses([[file("/")]], /no|directory|replace/i));
  await t.step("the root is no link", () => refuses([[link("./", "/tmp")]], /Cannot replace/));
});

/** The ways out that containerd tests by name: one or two layers, and what a file would overwrite. */
Deno.test("X-02 X-03 X-06: the breakouts that containerd knows", async (t) => {
  const up = "../../../outside";
  const cases: Readonly<Record<string, readonly (readonly Sample[])[]>> = {
    SymlinkAbsolute: [[link("l", "OUT"), file("l/file", "mine")]],
    SymlinkUpAndOut: [[link("l", up), file("l/file", "mine")]],
    SymlinkMultipleAbsolute: [[link("l1", "OUT"), link("l2", "/l1"), file("l2/file", "mine")]],
    SymlinkMultipleRelative: [[
      link("d/l1", `../${up}`),
      link("l2", "d/l1"),
      file("l2/file", "mine"),
    ]],
    SymlinkEmptyFile: [[link("l", `${up}/file`), file("l", "")]],
    SymlinkParentDirectory: [[link("l", `${up}/dir`), dir("l/..")]],
    SymlinkParentRelative: [[link("l", up), file("l/dir/../file", "mine")]],
    SymlinkSlashEnded: [[link("l/", up), file("l/file", "mine")]],
    SymlinkOverrideDirectory: [[dir("l"), link("l", up), file("l/file", "mine")]],
    SymlinkInUpperLayer: [[link("l", up)], [
      file("l/file", "mine"),
      dir("l", 0o777),
      file("l/file", "mine"),
    ]],
    HardlinkRelative: [[hard("h", `${up}/file`), file("h", "mine")]],
    HardlinkAbsolute: [[hard("h", "OUT/file"), file("h", "mine")]],
    HardlinkDownAndOut: [[dir("d"), hard("h", `d/../${up}/file`)]],
    HardlinkThroughSymlink: [[link("l", up), hard("h", "l/file"), file("h", "mine")]],
    HardlinkThroughChain: [[
      link("a/b/c/up", "../.."),
      link("a/b/escape", "c/up/../../../../../outside"),
      hard("h", "a/b/escape/file"),
      file("h", "mine"),
    ]],
    HardlinkDirect: [[hard("h", "OUT/file")]],
    HardlinkToSymlink: [[link("l", `${up}/file`), hard("h", "l"), file("h", "mine")]],
    DirectoryOverrideSymlink: [[link("l", up), dir("l", 0o777), file("l/file", "mine")]],
    DirectoryOverrideSymlinkAndHardlink: [[
      link("l", up),
      hard("h", "l"),
      dir("h", 0o777),
      file("h/file", "m"),
    ]],
    ModeThroughLink: [[link("l", up), dir("l", 0o700)], [link("l", up)]],
    LaterModeThroughLink: [[dir("d/e", 0o700), link("d2", "d")], [
      file(".wh.d", ""),
      link("d", up),
      dir("d2/e", 0),
    ]],
    FifoInPlace: [[{ name: "p", type: "fifo", mode: 0o600 }, file("p", "x")]],
  };
  for (const [name, layers] of Object.entries(cases)) {
    for (const walk of [false, true]) {
      await t.step(`${name}${walk ? ", walked" : ""}`, () =>
        boxed(async (box) => {
          const aimed = layers.map((samples) =>
            samples.map((one) =>
              one.linkName === undefined ? one : {
                ...one,
                linkName: one.linkName.replace("OUT", box.outside),
              }
            )
          );
          await unpack(box, aimed, { walk }).catch((error) => {
            if (!/^Cannot /.test(error.message)) throw error;
          });
        }));
    }
  }
});

Deno.test("X-13: links of a distribution work on the way: merged /usr, absolute and chained", () =>
  gives([
    [
      dir("usr/lib"),
      link("lib", "usr/lib"),
      link("abs", "/usr"),
      link("up", "usr/../../../usr/lib"),
    ],
    [file("lib/a"), file("abs/b"), file("up/c"), hard("lib/d", "usr/lib/a")],
  ], [
    "d usr",
    "d usr/lib",
    "f usr/b x",
    "f usr/lib/a x",
    "f usr/lib/c x",
    "f usr/lib/d x",
    "l abs -> /usr",
    "l lib -> usr/lib",
    "l up -> usr/../../../usr/lib",
  ]));

Deno.test("unpack: a link to a directory that is not there yet makes it, inside", () =>
  gives(
    [[link("run", "/var/run"), file("run/pid")], [link("a", "b"), link("b", "c"), file("a/f")]],
    [
      "d c",
      "d var",
      "d var/run",
      "f c/f x",
      "f var/run/pid x",
      "l a -> b",
      "l b -> c",
      "l run -> /var/run",
    ],
  ));

Deno.test("unpack: one kind of thing replaces another", () =>
  gives([
    [file("a/b/c"), file("f"), link("l", "f"), file("same", "old"), hard("same2", "same")],
    [file("a", "file"), dir("f"), file("l", "file"), file("same", "new"), hard("same", "same")],
  ], ["d f", "f a file", "f l file", "f same new", "f same2 old"]));

Deno.test("unpack: trouble is one clear line", async (t) => {
  await t.step(
    "a hard link to nothing",
    () => refuses([[hard("h", "gone")]], /^Error: Cannot link to "gone": No such file/),
  );
  await t.step(
    "a link loop",
    () =>
      refuses(
        [[link("a", "b"), link("b", "a"), file("a/f")]],
        /Cannot unpack "a\/f": (Too many|Symbolic)/,
      ),
  );
  await t.step(
    "a file on the way",
    () => refuses([[file("a"), file("a/b")]], /Cannot unpack "a\/b": Not a directory/),
  );
  await t.step(
    "a name of 300 bytes",
    () => refuses([[file("n".repeat(300))]], /Cannot make "n+": (Filename|File name) too long/),
  );
  await t.step("a layer that is another one", () =>
    boxed((box) => {
      const layer = { ...layerOf(file("a")), diffId: layerOf(file("b")).diffId };
      return rejects(
        unpackLayers([layer], { helper, into: box.root, owner: "self" }),
        /its image says sha256:/,
      );
    }));
  await t.step("no space", async () => {
    if (!isRoot) return skipped("a small file system takes root");
    await boxed(async (box) => {
      await new Deno.Command("mount", {
        args: ["-t", "tmpfs", "-o", "size=64k", "tmpfs", box.root],
      }).output();
      try {
        const big = Array.from({ length: 64 }, (_, at) => file(`f${at}`, "x".repeat(16384)));
        await rejects(unpack(box, [big]), /^Error: Cannot (write|make) "f\d+": No space left/);
      } finally {
        await new Deno.Command("umount", { args: [box.root] }).output();
      }
    });
  });
  await t.step(
    "aborted",
    () =>
      boxed((box) =>
        rejects(
          unpack(box, [[file("a")]], { signal: AbortSignal.abort(new Error("enough")) }),
          /enough/,
        )
      ),
  );
});

const step = fc.constantFrom("a", "b", "c", "..", ".", "outside", ".wh.a", ".wh..wh..opq", "file");
const path = fc.array(step, { minLength: 1, maxLength: 4 }).map((steps) => steps.join("/"));
const target = fc.oneof(
  path,
  path.map((text) => `/${text}`),
  path.map((text) => `../../../${text}`),
  fc.constantFrom("OUT", "OUT/file", "OUT/dir", "/", "..", "/proc/self/root/tmp"),
);
const sample: fc.Arbitrary<Sample> = fc.oneof(
  fc.record({ name: path, text: fc.constantFrom("", "mine") }),
  fc.record({
    name: path,
    type: fc.constant("directory" as const),
    mode: fc.constantFrom(0, 0o700, 0o777),
  }),
  fc.record({ name: path, type: fc.constant("symlink" as const), linkName: target }),
  fc.record({ name: path, type: fc.constant("link" as const), linkName: target }),
  fc.record({ name: path, type: fc.constant("fifo" as const) }),
);

Deno.test("X-04: whatever the layers, nothing outside is touched, and both resolvers agree", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(sample, { maxLength: 8 }), { minLength: 1, maxLength: 3 }),
      async (layers) => {
        const ends: unknown[] = [];
        for (const walk of [false, true]) {
          await boxed(async (box) => {
            const aimed = layers.map((samples) =>
              samples.map((one) =>
                one.linkName === undefined ? one : {
                  ...one,
                  linkName: one.linkName.replace("OUT", "/tmp"),
                }
              )
            );
            const end = await unpack(box, aimed, { walk }).catch(() => "failed");
            await new Deno.Command("chmod", { args: ["-R", "u+rwx", box.root] }).output();
            // Of two faults either may be met first: reader and helper run side by side.
            ends.push(end === "failed" ? end : [end, await shapeOf(box.root)]);
          });
        }
        deepEqual(ends[1], ends[0]);
      },
    ),
    { numRuns: 150 },
  );
});
