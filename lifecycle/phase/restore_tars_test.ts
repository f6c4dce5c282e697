/** The helper's reader of tars beside the strict one: what it takes is the very same tree, and what it leaves costs time only. */
import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { extractLayer } from "../../registry/layer/extract.ts";
import { FrameDigester } from "../../registry/layer/frame.ts";
import { mutate, randomOf } from "../../registry/layer/fuzz_testing.ts";
import { openExactLook } from "../../registry/layer/libc.ts";
import { joined, type Sample, streamOf, tarOf } from "../../registry/layer/tar_testing.ts";
import { walkTree } from "../../registry/layer/tree.ts";
import { writeLayer } from "../../registry/layer/write_layer.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { compiledHelper } from "../sandbox/helper_testing.ts";
import { restoreWith, type TarOutcome } from "../sandbox/restore.ts";
import { handOver } from "../sandbox/trees.ts";
import { tempDir } from "../../registry/temp_testing.ts";

const INSIDE = "/layers/bp";
const TOP: readonly Sample[] = ["/layers", INSIDE, `${INSIDE}/l`].map((name) => ({
  name,
  type: "directory",
  mode: 0o755,
}));
const at = (name: string) => `${INSIDE}/l/${name}`;

/** Runs the helper over `tars`, each in a directory of its own below `root`. */
async function restoreAll(
  root: string,
  tars: readonly Uint8Array[],
  shas = tars.map((tar) => digestOf(tar)),
  owner?: { readonly uid: number; readonly gid: number },
) {
  const layers = [];
  for (const [n, tar] of tars.entries()) {
    const directory = `${root}/${n}`;
    await Deno.mkdir(directory);
    await Deno.writeFile(`${directory}.tar`, tar);
    layers.push({ tar: `${directory}.tar`, directory, inside: INSIDE, name: "l", sha: shas[n]! });
  }
  return await restoreWith(await compiledHelper(), layers, quietContext().signal, owner);
}

/** All that can be seen of a tree. */
function listing(path: string): string[] {
  const lines: string[] = [];
  const visit = (path: string, name: string) => {
    const { isDirectory, isSymlink, mode } = Deno.lstatSync(path);
    const what = isSymlink
      ? Deno.readLinkSync(path)
      : isDirectory
      ? "directory"
      : digestOf(Deno.readFileSync(path));
    lines.push(`${name} ${isSymlink ? "" : (mode! & 0o7777).toString(8)} ${what}`);
    if (!isDirectory) return;
    for (const each of [...Deno.readDirSync(path)].map(({ name }) => name).sort()) {
      visit(`${path}/${each}`, `${name}/${each}`);
    }
  };
  visit(path, "");
  return lines;
}

/** The tree that the strict reader makes, and the frame of the tar. */
async function strictly(root: string, tar: Uint8Array) {
  const directory = await Deno.makeTempDir({ dir: root });
  const frame = new FrameDigester();
  await extractLayer(streamOf(tar), {
    directories: { [INSIDE]: directory },
    only: `${INSIDE}/l`,
    frame,
  });
  return { path: `${directory}/l`, frame: frame.digest() };
}

const ODD: Readonly<Record<string, readonly Sample[]>> = {
  "a hard link": [{ name: at("f"), text: "x" }, { name: at("g"), type: "link", linkName: at("f") }],
  "a device": [{ name: at("f"), type: "char", major: 1, minor: 3 }],
  "a name with dots": [{ name: at("d/../f"), text: "x" }],
  "a name twice": [{ name: at("f"), text: "x" }, { name: at("f"), text: "y" }],
  "through a link": [{ name: at("d"), type: "symlink", linkName: "/tmp" }, {
    name: at("d/f"),
    text: "x",
  }],
  "in the place of a link": [{ name: at("d"), type: "symlink", linkName: "/tmp/f" }, {
    name: at("d"),
    text: "x",
  }],
  "below a file": [{ name: at("f"), text: "x" }, { name: at("f/g"), text: "x" }],
  "beside the layer": [{ name: `${INSIDE}/other/f`, text: "x" }],
  "a name that begins like it": [{ name: `${INSIDE}/lx`, text: "x" }],
  "GNU names": [{ name: at("n".repeat(150)), dialect: "gnu", text: "x" }],
  "other records": [{
    name: at("f"),
    dialect: "pax",
    pax: new Map([["SCHILY.xattr.user.a", "b"]]),
    text: "x",
  }],
};

Deno.test("X-01 X-03 X-05 X-10 RE-19 what is odd is left to the strict reader", async () => {
  await using dir = await tempDir();
  const said = await restoreAll(dir.path, Object.values(ODD).map((odd) => tarOf(...TOP, ...odd)));
  for (const [n, what] of Object.keys(ODD).entries()) assert.ok("why" in said[n]!, what);
  assert.equal(said.length, Object.keys(ODD).length);
});

Deno.test("RE-19 RE-20 a plain layer comes back as by the strict reader, and all is said of it", async () => {
  await using dir = await tempDir();
  const files = Array.from({ length: 300 }, (_, n): Sample[] => [
    { name: at(`d${n}`), type: "directory", mode: n % 3 === 0 ? 0o500 : 0o2755 },
    {
      name: at(`d${n}/é${"long".repeat(n)}`),
      text: `${n}`.repeat(n * n),
      mode: n % 2 ? 0o4755 : 0o400,
    },
    { name: at(`d${n}/empty`), mode: 0 },
    { name: at(`d${n}/link`), type: "symlink", linkName: `../${"up/".repeat(n)}` },
  ]).slice(0, 60).flat();
  const tar = joined(
    tarOf(...TOP, ...files, { name: at("d1/later"), text: "x" }),
    new Uint8Array(9216),
  );
  const [said] = await restoreAll(dir.path, [tar]);
  assert.ok(said && "frame" in said, String(Object.values(said ?? {})));
  const strict = await strictly(dir.path, tar);
  assert.deepEqual(listing(`${dir.path}/0/l`), listing(strict.path));
  assert.equal(said.frame, strict.frame);
  using look = openExactLook()!;
  const looks = new FrameDigester();
  let newest = 0n;
  for (const { name, type } of [...files, { name: at("d1/later"), type: undefined }]) {
    if (type !== undefined) continue;
    const { bytes, changed } = look(`${dir.path}/0/l/${name.slice(at("").length)}`);
    looks.add(bytes);
    if (changed > newest) newest = changed;
  }
  assert.deepEqual(said.looks, { digest: looks.digest(), newest });
});

Deno.test({
  name:
    "RE-19 what is restored for a user is theirs at once, and giving it again moves no time of change",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using dir = await tempDir();
    const files: readonly Sample[] = [
      { name: at("closed"), type: "directory", mode: 0o500 },
      { name: at("closed/f"), text: "x", mode: 0 },
      { name: at("open"), type: "directory", mode: 0o755 },
      { name: at("open/link"), type: "symlink", linkName: "/etc/passwd" },
      { name: at("open/large"), text: "y".repeat(600_000), mode: 0o755 },
    ];
    const owner = { uid: 12_345, gid: 23_456 };
    const tar = tarOf(...TOP, ...files);
    const outside = Deno.lstatSync("/etc/passwd");
    const [said] = await restoreAll(dir.path, [tar], undefined, owner);
    assert.ok(said && "frame" in said, String(Object.values(said ?? {})));
    const top = `${dir.path}/0/l`;
    const looksNow = () => {
      using look = openExactLook()!;
      const names = ["", ...files.map(({ name }) => name.slice(at("").length - 1))];
      return names.map((name) => `${name} ${look(top + name).bytes.toHex()}`);
    };
    for (const { name } of [{ name: at("") }, ...files]) {
      const { uid, gid } = Deno.lstatSync(`${dir.path}/0/${name.slice(INSIDE.length + 1)}`);
      assert.deepEqual({ uid, gid }, owner, name);
    }
    const before = looksNow();
    await handOver(await compiledHelper(), [top], owner.uid, owner.gid);
    assert.deepEqual(looksNow(), before);
    assert.equal(Deno.lstatSync("/etc/passwd").uid, outside.uid);
    const strict = await strictly(dir.path, tar);
    assert.deepEqual(listing(top), listing(strict.path));
  },
});

Deno.test("CA-5 what is not the layer is told, and a layer that is there already is not touched", async () => {
  await using dir = await tempDir();
  const tar = tarOf(...TOP, { name: at("f"), text: "x" });
  const [said] = await restoreAll(dir.path, [tar], [digestOf(tar.subarray(512))]);
  assert.deepEqual(said, { why: "another diffID", touched: true });
  const words = { tar: `${dir.path}/0.tar`, directory: `${dir.path}/0`, inside: INSIDE, name: "l" };
  const again = { ...words, sha: digestOf(tar) };
  const [there] = await restoreWith(await compiledHelper(), [again], quietContext().signal);
  assert.deepEqual(there, { why: "File exists", touched: false });
});

Deno.test("RE-19 layers of our own making are plain", async () => {
  await using dir = await tempDir();
  const inside = `${INSIDE}/l`;
  const outside = `${dir.path}/tree`;
  await Deno.mkdir(`${outside}/${"deep/".repeat(40)}`, { recursive: true });
  await Deno.writeTextFile(`${outside}/${"deep/".repeat(40)}/ö`, "x");
  await Deno.symlink("x".repeat(300), `${outside}/link`);
  const chunks: Uint8Array[] = [];
  const owner = { uid: 3_000_000, gid: 1000 };
  const sink = { write: (chunk: Uint8Array) => Promise.resolve(void chunks.push(chunk.slice())) };
  for (const uid of [1000, owner.uid]) {
    chunks.length = 0;
    await writeLayer(walkTree({ inside, outside }, { owner: { uid, gid: 1000 } }), sink, {
      compression: "none",
    });
    const root = await Deno.makeTempDir({ dir: dir.path });
    const [said] = await restoreAll(root, [joined(...chunks)]);
    // An owner above two million needs a record, which the helper leaves alone.
    assert.equal("frame" in said!, uid === 1000, String(Object.values(said!)));
    if (uid === 1000) assert.deepEqual(listing(`${root}/0/l`), listing(outside));
  }
});

Deno.test("X-10 of mutated archives the helper takes none that the strict reader reads otherwise", async () => {
  await using dir = await tempDir();
  const random = randomOf(4);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const sample = (): Sample => {
    const name = at(pick(["a", "d/a", "d/b", "é", "n".repeat(120), `d/${"p/".repeat(60)}q`]));
    const type = pick(["file", "file", "symlink", "directory"] as const);
    if (type === "file") {
      return { name, text: "x".repeat(Math.floor(random() * 1200)), mode: pick([0o644, 0o4755]) };
    }
    return {
      name,
      type,
      mode: pick([0o755, 0o500]),
      ...(type === "symlink" ? { linkName: pick(["a", "é".repeat(90)]) } : {}),
    };
  };
  const tars = Array.from({ length: 400 }, () => {
    const tar = tarOf(
      ...TOP,
      { name: at("d"), type: "directory", mode: 0o755 },
      sample(),
      sample(),
    );
    return mutate(tar, random);
  });
  const said = await restoreAll(dir.path, tars);
  let taken = 0;
  for (const [n, outcome] of said.entries()) {
    if (!("frame" in outcome)) continue;
    taken++;
    const strict = await strictly(dir.path, tars[n]!);
    assert.deepEqual(listing(`${dir.path}/${n}/l`), listing(strict.path), `archive ${n}`);
    assert.equal(outcome.frame, strict.frame);
  }
  assert.ok(taken > 40, `only ${taken} were taken`);
  assert.ok(said.some((outcome: TarOutcome) => "why" in outcome));
});
