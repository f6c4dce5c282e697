import { deepEqual, ok } from "node:assert/strict";
import { tempDir } from "../../registry/temp_testing.ts";
import { rootInUse } from "./enter.ts";

Deno.test("takeover: a root with a system in it is in use, whatever marks of a container it has", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const has = async (...paths: readonly string[]) => {
    const root = await Deno.makeTempDir({ dir });
    for (const path of paths) {
      const at = path.lastIndexOf("/");
      if (at > 0) await Deno.mkdir(`${root}/${path.slice(0, at)}`, { recursive: true });
      if (path.endsWith("/")) continue;
      await Deno.writeTextFile(`${root}/${path}`, "");
    }
    return await rootInUse(root);
  };
  deepEqual(
    await has(".dockerenv", "dev/", "proc/", "etc/resolv.conf", "etc/hosts", "wherry"),
    [],
  );
  deepEqual(await has(".dockerenv", "usr/bin/sh"), ["usr"]);
  deepEqual(await has(".dockerenv", "bin/sh", "etc/passwd"), ["bin", "etc/passwd"]);
  deepEqual(await has("something", "run/.containerenv"), ["something"]);
  deepEqual(await has("cnb/.wherry-takeover", "usr/bin/sh"), []);
  ok((await rootInUse()).length > 0, "the machine these tests run on");
});
