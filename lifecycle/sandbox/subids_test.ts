import { deepEqual, match } from "node:assert/strict";
import { tempDir } from "../../registry/temp_testing.ts";
import { findSubIds } from "./subids.ts";

Deno.test("sub-ids: what /etc lends, by name and by number, or why not", async () => {
  await using temp = await tempDir();
  const root = temp.path;
  await Deno.mkdir(`${root}/etc`);
  await Deno.mkdir(`${root}/bin`);
  const write = (name: string, text: string) => Deno.writeTextFile(`${root}/etc/${name}`, text);
  await write("passwd", "root:x:0:0::/root:/bin/sh\nann:x:1000:1001::/home/ann:/bin/sh\n");
  const find = (more = {}) =>
    findSubIds(
      { uid: 1000, gid: 1001, path: `relative:${root}/bin`, noNewPrivs: false, ...more },
      root,
    );
  const reason = async (more = {}) => {
    const found = await find(more);
    return "reason" in found ? found.reason : "";
  };
  for (const name of ["newuidmap", "newgidmap"]) {
    await Deno.writeTextFile(`${root}/bin/${name}`, "#!/bin/sh\n", { mode: 0o755 });
  }
  match(await reason(), /subuid lends ann no 65536 ids/);
  await write("subuid", "other:1:65536\nann:5:10\nann:200000:65536\n");
  await write("subgid", "1000:300000:70000\n");
  deepEqual(await find(), {
    newuidmap: `${root}/bin/newuidmap`,
    newgidmap: `${root}/bin/newgidmap`,
    uidMap: "0 1000 1 1 200000 65535",
    gidMap: "0 1001 1 1 300000 65535",
  });
  match(await reason({ noNewPrivs: true }), /no_new_privs/);
  match(await reason({ uid: 0 }), /root needs none/);
  match(await reason({ uid: 7 }), /lends 7 no/);
});
