import { deepEqual, equal } from "node:assert/strict";
import { tempDir } from "../../registry/temp_testing.ts";
import { giveFew } from "./give_few.ts";
import { isRoot, skipped } from "./helper_testing.ts";

const OTHER = 4711;

Deno.test("a small tree is given whole; a link, or more than a few entries, and nothing is", async () => {
  if (!isRoot) return skipped("only root can give files away");
  await using temp = await tempDir();
  const dir = temp.path;
  const owners = (...paths: string[]) =>
    paths.map((path) => Deno.lstatSync(`${dir}/${path}`)).map(({ uid, gid }) => [uid, gid]);
  await Deno.mkdir(`${dir}/small/in`, { recursive: true });
  await Deno.writeTextFile(`${dir}/small/in/file`, "x");
  equal(giveFew([`${dir}/small`], OTHER, OTHER + 1), true);
  const given = [OTHER, OTHER + 1];
  deepEqual(owners("small", "small/in", "small/in/file"), [given, given, given]);

  await Deno.mkdir(`${dir}/linked`);
  await Deno.writeTextFile(`${dir}/outside`, "x");
  await Deno.symlink(`${dir}/outside`, `${dir}/linked/link`);
  await Deno.mkdir(`${dir}/large`);
  for (let at = 0; at < 100; at++) await Deno.writeTextFile(`${dir}/large/${at}`, "");
  for (const tree of ["linked", "large"]) {
    equal(giveFew([`${dir}/${tree}`], OTHER, OTHER), false);
    deepEqual(owners(tree), [[0, 0]]);
  }
  deepEqual(owners("outside", "large/0"), [[0, 0], [0, 0]]);
});
