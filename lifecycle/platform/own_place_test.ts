import { deepEqual, equal } from "node:assert/strict";
import { tempDir } from "../../registry/temp_testing.ts";
import { compiledHelper } from "../sandbox/helper_testing.ts";
import { takeFirst, takePlace } from "./own_place.ts";

Deno.test("a place is taken by one build at a time and left as it was", async () => {
  const helper = await compiledHelper();
  await using temp = await tempDir();
  const dir = temp.path;
  const names = () => Array.from(Deno.readDirSync(dir), ({ name }) => name).sort();
  await Deno.mkdir(`${dir}/there`);
  await Deno.mkdir(`${dir}/full/of`, { recursive: true });
  await Deno.symlink("there", `${dir}/link`);
  const take = (name: string) => takePlace(`${dir}/${name}`, `${dir}/note-${name}`, helper);
  for (const name of ["there", "missing"]) {
    await using taken = await take(name);
    equal(taken?.path, `${dir}/${name}`);
    await Deno.mkdir(`${dir}/${name}/a/b`, { recursive: true });
    await Deno.chmod(`${dir}/${name}/a`, 0);
    equal(await take(name), undefined, "in use");
  }
  deepEqual(names(), ["full", "link", "there"]);
  deepEqual([...Deno.readDirSync(`${dir}/there`)], []);
  for (const name of ["full", "link", "no/parent"]) equal(await take(name), undefined, name);
  deepEqual(names(), ["full", "link", "there"]);
  {
    await using second = await takeFirst([`${dir}/full`, `${dir}/other`], dir, helper);
    equal(second?.path, `${dir}/other`);
  }
});

Deno.test("what a killed build left in its place is cleared away, and what it made is removed", async () => {
  const helper = await compiledHelper();
  await using temp = await tempDir();
  const dir = temp.path;
  for (
    const [name, how] of [["found", "found"], ["made", "made"], ["strange", "nothing"]] as const
  ) {
    const path = `${dir}/${name}`;
    await Deno.mkdir(`${path}/left`, { recursive: true });
    if (how !== "nothing") await Deno.writeTextFile(`${dir}/note`, `${how} ${path}`);
    {
      await using taken = await takePlace(path, `${dir}/note`, helper);
      equal(taken === undefined, how === "nothing");
      equal([...Deno.readDirSync(path)].length, how === "nothing" ? 1 : 0);
    }
    equal(await Deno.stat(path).then(() => true, () => false), how !== "made");
  }
});
