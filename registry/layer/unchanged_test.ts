/** A tree that was touched in any way is told from one that was not. */
import { equal, notEqual, ok } from "node:assert/strict";
import { lutimesSync } from "node:fs";
import { tempDir } from "../temp_testing.ts";
import { joined } from "./tar_testing.ts";
import { extractLayer } from "./extract.ts";
import { FrameDigester } from "./frame.ts";
import { openExactLook } from "./libc.ts";
import { walkTree } from "./tree.ts";
import { isUnchanged, noteTree, type TreeNote } from "./unchanged.ts";
import { hashLayer, writeLayer } from "./write_layer.ts";

const OWNER = { uid: 1000, gid: 1000 };

interface Scene {
  readonly dir: string;
  readonly diffId: string;
  readonly note: TreeNote | undefined;
  readonly unchanged: () => boolean;
  readonly hash: () => Promise<string>;
}

/** Packs a tree, restores it into another directory, and notes that. */
async function restored(
  use: (scene: Scene) => Promise<void> | void,
  change: (from: string) => void = () => {},
): Promise<void> {
  await using temp = await tempDir();
  const base = temp.path;
  const from = `${base}/from`;
  const to = `${base}/to/layer`;
  Deno.mkdirSync(`${from}/sub/deep`, { recursive: true });
  Deno.mkdirSync(`${from}/empty`);
  Deno.writeTextFileSync(`${from}/a`, "aaaa");
  Deno.writeTextFileSync(`${from}/sub/b`, "b".repeat(1000));
  Deno.writeTextFileSync(`${from}/sub/deep/nothing`, "");
  Deno.writeTextFileSync(`${from}/sub/deep/${"n".repeat(150)}`, "long");
  Deno.chmodSync(`${from}/a`, 0o755);
  Deno.symlinkSync("../a", `${from}/sub/link`);
  change(from);
  const walk = (outside: string) => () =>
    walkTree({ inside: "/layers/bp/layer", outside }, { owner: OWNER });
  const chunks: Uint8Array[] = [];
  const sink = {
    write: (chunk: Uint8Array) => {
      chunks.push(chunk.slice());
      return Promise.resolve();
    },
  };
  const { diffId } = await writeLayer(walk(from)(), sink, { compression: "none" });
  Deno.mkdirSync(`${base}/to`);
  const frame = new FrameDigester();
  await extractLayer(new Blob([joined(...chunks)]).stream(), {
    directories: { "/layers/bp": `${base}/to` },
    frame,
  });
  const entries = walk(to);
  const tree = { diffId, frame: frame.digest(), outside: to, entries };
  const note = await noteTree(tree);
  await use({
    dir: to,
    diffId,
    note,
    unchanged: () => isUnchanged(note!, entries()),
    hash: async () => (await hashLayer(entries())).diffId,
  });
}

/** Everything one can do to a tree; `same`: what has no part in a layer's tar. */
const TOUCHES: Readonly<Record<string, (dir: string) => void>> = {
  "one byte, in place": (dir) => {
    using file = Deno.openSync(`${dir}/sub/b`, { write: true });
    file.seekSync(500, Deno.SeekMode.Start);
    file.writeSync(new Uint8Array([120]));
  },
  "one byte, its times set back": (dir) => {
    const { mtime, atime } = Deno.lstatSync(`${dir}/a`);
    Deno.writeTextFileSync(`${dir}/a`, "aaab");
    Deno.utimeSync(`${dir}/a`, atime!, mtime!);
  },
  "one byte, through another name": (dir) => {
    Deno.linkSync(`${dir}/a`, `${dir}/../other`);
    Deno.writeTextFileSync(`${dir}/../other`, "aaab");
    Deno.removeSync(`${dir}/../other`);
  },
  "the same bytes, written again": (dir) => Deno.writeTextFileSync(`${dir}/a`, "aaaa"),
  "another file in its place, with the same times": (dir) => {
    const { mtime, atime } = Deno.lstatSync(`${dir}/a`);
    Deno.writeTextFileSync(`${dir}/../new`, "aaab");
    Deno.chmodSync(`${dir}/../new`, 0o755);
    Deno.utimeSync(`${dir}/../new`, atime!, mtime!);
    Deno.renameSync(`${dir}/../new`, `${dir}/a`);
  },
  "two files that changed places": (dir) => {
    Deno.writeTextFileSync(`${dir}/../x`, "");
    Deno.renameSync(`${dir}/a`, `${dir}/../x`);
    Deno.renameSync(`${dir}/sub/b`, `${dir}/a`);
    Deno.renameSync(`${dir}/../x`, `${dir}/sub/b`);
  },
  "a mode": (dir) => Deno.chmodSync(`${dir}/a`, 0o700),
  "a mode, there and back": (dir) => {
    Deno.chmodSync(`${dir}/a`, 0o700);
    Deno.chmodSync(`${dir}/a`, 0o755);
  },
  "the mode of a directory": (dir) => Deno.chmodSync(`${dir}/empty`, 0o700),
  "times": (dir) => Deno.utimeSync(`${dir}/a`, 1, 1),
  "a file more": (dir) => Deno.writeTextFileSync(`${dir}/empty/c`, ""),
  "a directory more": (dir) => Deno.mkdirSync(`${dir}/empty/c`),
  "a file less": (dir) => Deno.removeSync(`${dir}/sub/deep/nothing`),
  "a file under another name": (dir) => Deno.renameSync(`${dir}/a`, `${dir}/z`),
  "the target of a link, at the same time": (dir) => {
    Deno.removeSync(`${dir}/sub/link`);
    Deno.symlinkSync("../b", `${dir}/sub/link`);
    lutimesSync(`${dir}/sub/link`, 1, 1);
  },
  "a file that became a link to it": (dir) => {
    Deno.renameSync(`${dir}/a`, `${dir}/../a`);
    Deno.symlinkSync("../a", `${dir}/a`);
  },
  "a directory that became a link to it": (dir) => {
    Deno.renameSync(`${dir}/sub`, `${dir}/../sub`);
    Deno.symlinkSync("../sub", `${dir}/sub`);
  },
};

const skip = (why: string) => {
  Deno.stdout.writeSync(new TextEncoder().encode(`skipped: ${why}\n`));
};
const isRoot = Deno.uid() === 0;
const possible = openExactLook() !== undefined;
const test = (name: string, fn: () => Promise<void>) => Deno.test({ name, ignore: !possible, fn });

test("CA-3 what nobody touched is told without reading it", async () => {
  await restored(async ({ note, unchanged, diffId, hash, dir }) => {
    ok(note, "the tests' temporary directory is on a file system that is not trusted");
    equal(note.diffId, diffId);
    equal(unchanged(), true);
    Deno.readFileSync(`${dir}/a`); // looking is not touching
    equal(unchanged(), true);
    equal(await hash(), diffId);
  });
});

for (const [name, touch] of Object.entries(TOUCHES)) {
  test(`CA-3 a touched tree is read again: ${name}`, async () => {
    await restored(({ dir, unchanged }) => {
      touch(dir);
      equal(unchanged(), false);
    });
  });
}

test("CA-3 a change of owner is found", async () => {
  if (!isRoot) return skip("only root gives files away");
  await restored(({ dir, unchanged }) => {
    Deno.chownSync(`${dir}/a`, 1234, 1234);
    equal(unchanged(), false);
  });
});

test("CA-3 a byte written through a mapping is found", async () => {
  const script = `import mmap, sys
with open(sys.argv[1], "r+b") as f:
    m = mmap.mmap(f.fileno(), 0)
    m[0:1] = b"x"
    m.close()`;
  try {
    await restored(async ({ dir, unchanged }) => {
      const args = ["-c", script, `${dir}/a`];
      equal((await new Deno.Command("python3", { args }).output()).code, 0);
      equal(Deno.readTextFileSync(`${dir}/a`), "xaaa");
      equal(unchanged(), false);
    });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    skip("python3 is not installed");
  }
});

test("CA-3 the very next write after noting is found, every time", async () => {
  for (let round = 0; round < 20; round++) {
    await restored(({ dir, unchanged }) => {
      using file = Deno.openSync(`${dir}/a`, { write: true });
      file.writeSync(new Uint8Array([97])); // the byte that is there
      equal(unchanged(), false, `round ${round}`);
    });
  }
});

test("CA-3 a tree whose tar would be another is not noted: a setuid bit that extraction drops", async () => {
  await restored(async ({ note, hash, diffId }) => {
    notEqual(await hash(), diffId);
    equal(note, undefined);
  }, (from) => Deno.chmodSync(`${from}/a`, 0o4755));
});

test("CA-3 times mean nothing once the clock was set back", async () => {
  await restored(({ note, dir }) => {
    const entries = () => walkTree({ inside: "/layers/bp/layer", outside: dir }, { owner: OWNER });
    equal(isUnchanged({ ...note!, offset: note!.offset + 1000 }, entries()), false);
  });
});
