import { deepEqual, equal, rejects } from "node:assert/strict";
import { tempDir } from "../temp_testing.ts";
import { unzipTo } from "./unzip.ts";

/** Makes a zip with Python and runs `act` on it and an empty directory. */
async function withZip(script: string, act: (dir: string, zip: string) => Promise<void>) {
  await using temp = await tempDir();
  const top = temp.path;
  const zip = `${top}/a.zip`;
  await Deno.mkdir(`${top}/out`);
  const args = [
    "-c",
    `import zipfile,stat,sys\nz=zipfile.ZipFile(sys.argv[1],'w',zipfile.ZIP_DEFLATED)
def add(name, data, mode, system=3):
  i=zipfile.ZipInfo(name); i.create_system=system; i.external_attr=mode<<16; i.compress_type=zipfile.ZIP_DEFLATED; z.writestr(i, data)
${script}\nz.close()`,
    zip,
  ];
  const { success, stderr } = await new Deno.Command("python3", { args }).output();
  equal(success, true, new TextDecoder().decode(stderr));
  await act(`${top}/out`, zip);
  deepEqual([...Deno.readDirSync(top)].map(({ name }) => name).sort(), ["a.zip", "out"]);
}

Deno.test("unpacks files, modes, directories and symlinks", () =>
  withZip(
    `add('bin/', '', 0o40750); add('bin/build', '#!/bin/sh', 0o100755); add('l', 'bin/build', 0o120777)
add('META-INF/x', 'y'*100000, 0, 0); add('suid', '', 0o104755)`,
    async (dir, zip) => {
      deepEqual(await unzipTo(dir, zip), { entries: 5, bytes: 9 + 9 + 100000 });
      equal((await Deno.lstat(`${dir}/bin`)).mode! & 0o7777, 0o750);
      equal((await Deno.lstat(`${dir}/bin/build`)).mode! & 0o7777, 0o755);
      equal((await Deno.lstat(`${dir}/META-INF/x`)).mode! & 0o7777, 0o644);
      equal((await Deno.lstat(`${dir}/suid`)).mode! & 0o7777, 0o755);
      equal(await Deno.readLink(`${dir}/l`), "bin/build");
    },
  ));

const REFUSED: readonly (readonly [why: string, script: string])[] = [
  ["X-01 zip slip", "add('../x', 'x', 0o100644)"],
  ["X-01 .. inside", "add('a/../../x', 'x', 0o100644)"],
  ["X-01 absolute", "add('/tmp/x', 'x', 0o100644)"],
  ["X-02 through a link", "add('l', '..', 0o120777); add('l/x', 'x', 0o100644)"],
  ["X-02 over a link", "add('l', '../x', 0o120777); add('l', 'x', 0o100644)"],
  ["X-07 a device", "add('d', '', 0o020644)"],
];

for (const [why, script] of REFUSED) {
  Deno.test(`${why} is refused`, () =>
    withZip(script, async (dir, zip) => {
      await rejects(unzipTo(dir, zip));
    }));
}

Deno.test("X-11 limits on entries, bytes and ratio", () =>
  withZip("add('a', 'x', 0o100644); add('b', bytes(80*1024*1024), 0o100644)", async (dir, zip) => {
    await rejects(unzipTo(dir, zip, { limits: { maxEntries: 1 } }), RangeError);
    await rejects(unzipTo(dir, zip, { limits: { maxBytes: 1000 } }), RangeError);
    await rejects(unzipTo(dir, zip, { limits: { maxRatio: 50 } }), /would become/);
  }));

Deno.test("a damaged zip and a missing one", () =>
  withZip("add('a', 'x'*1000, 0o100644)", async (dir, zip) => {
    await rejects(unzipTo(dir, zip + "x"), /ENOENT|No such file/);
    await Deno.truncate(zip, 60);
    await rejects(unzipTo(dir, zip), /^SyntaxError: Cannot unzip/);
  }));
