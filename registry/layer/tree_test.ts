import { deepEqual, equal, rejects, throws } from "node:assert/strict";
import { lchownSync } from "node:fs";
import type { TreeEntry } from "./entry.ts";
import { walkTree } from "./tree.ts";
import { hashLayer } from "./write_layer.ts";
import { inTemp } from "../temp_testing.ts";

const owner = { uid: 1234, gid: 1000 };

/** Runs what Deno cannot do by itself: odd names, sockets, fifos. */
async function python(script: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("python3", { args: ["-c", script, ...args] })
    .output();
  equal(success, true, new TextDecoder().decode(stderr));
}

function lines(entries: Iterable<TreeEntry>): string[] {
  return [...entries].map((entry) =>
    `${entry.type} ${entry.mode.toString(8)} ${entry.uid}:${entry.gid} ${entry.name}` +
    (entry.type === "file" ? ` ${entry.size}` : "") +
    (entry.linkName === undefined ? "" : ` -> ${entry.linkName}`)
  );
}

Deno.test("TA-2 parents from the top, the directory, then pre-order with children in byte order", () =>
  inTemp(async (dir) => {
    for (const sub of ["b", "a", "a/z", "\u{ff5e}", "\u{1f600}"]) await Deno.mkdir(`${dir}/${sub}`);
    for (const file of ["a-b", "a.c", "a/y", "a/z/0", "B"]) {
      await Deno.writeTextFile(`${dir}/${file}`, "x", { mode: 0o644 });
      await Deno.chmod(`${dir}/${file}`, 0o644);
    }
    await Deno.symlink("/etc/passwd", `${dir}/b/link`);
    for (const sub of [".", "b", "a", "a/z", "\u{ff5e}", "\u{1f600}"]) {
      await Deno.chmod(`${dir}/${sub}`, 0o750);
    }
    deepEqual(lines(walkTree({ outside: dir, inside: "/layers/bp/l" }, { owner })), [
      "directory 755 1234:1000 /layers",
      "directory 755 1234:1000 /layers/bp",
      "directory 750 1234:1000 /layers/bp/l",
      "file 644 1234:1000 /layers/bp/l/B 1",
      "directory 750 1234:1000 /layers/bp/l/a",
      "file 644 1234:1000 /layers/bp/l/a/y 1",
      "directory 750 1234:1000 /layers/bp/l/a/z",
      "file 644 1234:1000 /layers/bp/l/a/z/0 1",
      "file 644 1234:1000 /layers/bp/l/a-b 1",
      "file 644 1234:1000 /layers/bp/l/a.c 1",
      "directory 750 1234:1000 /layers/bp/l/b",
      "symlink 777 1234:1000 /layers/bp/l/b/link -> /etc/passwd",
      // UTF-16 would put the second of these first.
      "directory 750 1234:1000 /layers/bp/l/\u{ff5e}",
      "directory 750 1234:1000 /layers/bp/l/\u{1f600}",
    ]);
  }));

Deno.test("TA-3 parents from the disk keep their owner and mode", () =>
  inTemp(async (dir) => {
    await Deno.mkdir(`${dir}/layers/bp/l`, { recursive: true });
    await Deno.chmod(`${dir}/layers`, 0o1777);
    await Deno.chmod(`${dir}/layers/bp`, 0o701);
    const root = Deno.uid() === 0;
    if (root) lchownSync(`${dir}/layers`, 7, 8);
    const place = { outside: `${dir}/layers/bp/l`, inside: "/layers/bp/l" };
    const [first, second] = walkTree(place, { owner, parents: "disk" });
    deepEqual([first!.name, first!.mode], ["/layers", 0o1777]);
    deepEqual([second!.name, second!.mode], ["/layers/bp", 0o701]);
    if (root) deepEqual([first!.uid, first!.gid], [7, 8]);
  }));

Deno.test("TA-5 setuid, setgid and sticky bits stay", () =>
  inTemp(async (dir) => {
    await Deno.writeTextFile(`${dir}/f`, "");
    await Deno.chmod(`${dir}/f`, 0o6755);
    const [, file] = walkTree({ outside: dir, inside: "/l" }, { owner, parents: "none" });
    equal(file!.mode, 0o6755);
  }));

Deno.test("TA-6 fifos are written, sockets skipped and told, hard links written in full", () =>
  inTemp(async (dir) => {
    await python(
      "import os,socket,sys; d=sys.argv[1]; os.mkfifo(d+'/fifo', 0o600); s=socket.socket(socket.AF_UNIX); s.bind(d+'/sock')",
      dir,
    );
    await Deno.writeTextFile(`${dir}/one`, "same");
    await Deno.link(`${dir}/one`, `${dir}/two`);
    const skipped: string[] = [];
    const place = { outside: dir, inside: "/l" };
    const entries = [...walkTree(place, { owner, onSkip: (path) => skipped.push(path) })];
    deepEqual(entries.slice(1).map(({ type, size }) => [type, size]), [
      ["fifo", 0],
      ["file", 4],
      ["file", 4],
    ]);
    deepEqual(skipped, [`${dir}/sock`]);
    equal((await hashLayer(entries)).tarSize, 512 * (4 + 2 + 2));
  }));

Deno.test("TA-6 device numbers are read from the disk", () => {
  const entries = walkTree({ outside: "/dev", inside: "/dev" }, { owner });
  const zero = [...entries].find(({ name }) => name === "/dev/null");
  deepEqual([zero?.type, zero?.device], ["char", { major: 1, minor: 3 }]);
});

Deno.test("X-17 a name that is not UTF-8 is refused, naming its directory", () =>
  inTemp(async (dir) => {
    await Deno.mkdir(`${dir}/sub`);
    await python("import os,sys; open(os.fsencode(sys.argv[1])+b'/sub/\\xff', 'w')", dir);
    throws(
      () => [...walkTree({ outside: dir, inside: "/l" }, { owner })],
      (error: Error) => error.message.includes(`in ${dir}/sub: its name is not UTF-8`),
    );
  }));

Deno.test("X-17 a path beyond what the kernel takes is refused, shortly", () =>
  inTemp(async (dir) => {
    const script =
      "import os,sys; os.chdir(sys.argv[1])\nfor _ in range(50): os.mkdir('d'*100); os.chdir('d'*100)";
    await python(script, dir);
    throws(
      () => [...walkTree({ outside: dir, inside: "/l" }, { owner })],
      /^RangeError: Cannot pack \/.{119}\.\.\.: its path has 4\d+ bytes, want 4095 at most$/,
    );
    await python("import shutil,sys; shutil.rmtree(sys.argv[1]+'/'+'d'*100)", dir);
  }));

Deno.test("X-17 a link target that is not UTF-8 is refused", () =>
  inTemp(async (dir) => {
    await python("import os,sys; os.symlink(b'\\xe9', os.fsencode(sys.argv[1])+b'/l')", dir);
    throws(
      () => [...walkTree({ outside: dir, inside: "/l" }, { owner })],
      /symlink .*\/l: its target is not UTF-8/,
    );
  }));

Deno.test("X-17 a file that grows, shrinks, is replaced or becomes a link while read is an error", () =>
  inTemp(async (dir) => {
    const path = `${dir}/f`;
    const after: readonly (readonly [string, () => Promise<void>, RegExp])[] = [
      ["grows", () => Deno.writeTextFile(path, "more", { append: true }), /changed while/],
      ["shrinks", () => Deno.truncate(path, 1), /changed while/],
      ["is replaced", async () => {
        await Deno.rename(path, `${dir}/kept`);
        await Deno.writeTextFile(path, "12345");
      }, /another file/],
      ["becomes a link", async () => {
        await Deno.rename(path, `${dir}/kept`);
        await Deno.symlink(`${dir}/kept`, path);
      }, /became a symlink/],
      ["goes", () => Deno.remove(path), /ENOENT|No such file/],
    ];
    for (const [why, change, message] of after) {
      for await (const { name } of Deno.readDir(dir)) await Deno.remove(`${dir}/${name}`);
      await Deno.writeTextFile(path, "12345");
      const entries = [...walkTree({ outside: dir, inside: "/l" }, { owner })];
      await change();
      await rejects(hashLayer(entries), message, why);
    }
  }));

Deno.test("X-17 a parent swapped for a link to elsewhere is not followed", () =>
  inTemp(async (dir) => {
    await Deno.mkdir(`${dir}/app/sub`, { recursive: true });
    await Deno.writeTextFile(`${dir}/app/sub/f`, "12345");
    await Deno.mkdir(`${dir}/secret`);
    await Deno.writeTextFile(`${dir}/secret/f`, "s3cr3");
    const entries = [...walkTree({ outside: `${dir}/app`, inside: "/l" }, { owner })];
    await Deno.remove(`${dir}/app/sub`, { recursive: true });
    await Deno.symlink(`${dir}/secret`, `${dir}/app/sub`);
    await rejects(hashLayer(entries), /another file took its place/);
  }));

Deno.test("refuses what is no directory, and names that are not clean", async () => {
  await inTemp(async (dir) => {
    await Deno.writeTextFile(`${dir}/f`, "");
    throws(() => [...walkTree({ outside: `${dir}/f`, inside: "/l" }, { owner })], /no directory/);
    for (const inside of ["/", "l", "/a/", "/a/../b", "/a//b", ""]) {
      throws(() => [...walkTree({ outside: dir, inside }, { owner })], /want an absolute, clean/);
    }
  });
});
