import { deepEqual, equal, rejects } from "node:assert/strict";
import { LifecycleError } from "../error.ts";
import { compiledHelper } from "../sandbox/helper_testing.ts";
import { clearPlaces, placeInside } from "./place_inside.ts";

const names = (dir: string) => Array.from(Deno.readDirSync(dir), ({ name }) => name).sort();

Deno.test("a place in a root is empty, and what was there comes back, also after a kill", async () => {
  const helper = await compiledHelper();
  const root = await Deno.makeTempDir();
  const journal = `${root}/journal`;
  await Deno.mkdir(`${root}/layers/before`, { recursive: true });
  for (const killed of [false, true]) {
    const placed = placeInside(root, helper, journal);
    for (const place of ["/layers", "/new/place"]) {
      const path = await placed.place(place);
      deepEqual(names(path), []);
      await Deno.mkdir(`${path}/a/b`, { recursive: true });
    }
    if (killed) await clearPlaces(journal, helper);
    else await placed[Symbol.asyncDispose]();
    deepEqual([names(root), names(`${root}/layers`)], [["layers", "new"], ["before"]]);
  }
  await Deno.remove(root, { recursive: true });
});

Deno.test({
  name:
    "a place in a root where something is mounted: an empty directory serves, another is refused in one line",
  ignore: Deno.uid() !== 0,
  async fn() {
    const helper = await compiledHelper();
    const root = await Deno.makeTempDir();
    const journal = `${root}/journal`;
    await Deno.mkdir(`${root}/layers`);
    const mount = async (...words: readonly string[]) =>
      equal((await new Deno.Command(words[0]!, { args: words.slice(1) }).output()).success, true);
    await mount("mount", "-t", "tmpfs", "-o", "size=1m", "none", `${root}/layers`);
    try {
      for (const killed of [false, true]) {
        const placed = placeInside(root, helper, journal);
        equal(await placed.place("/layers"), `${root}/layers`);
        await Deno.mkdir(`${root}/layers/a/b`, { recursive: true });
        if (killed) await clearPlaces(journal, helper);
        else await placed[Symbol.asyncDispose]();
        deepEqual([names(root), names(`${root}/layers`)], [["layers"], []]);
      }
      await Deno.mkdir(`${root}/layers/mine`);
      const placed = placeInside(root, helper, journal);
      await rejects(
        placed.place("/layers"),
        (thrown: unknown) =>
          thrown instanceof LifecycleError &&
          /^Cannot make \/layers a directory of the build: what is mounted there has mine, want an empty/
            .test(thrown.message),
      );
      await placed[Symbol.asyncDispose]();
      deepEqual(names(`${root}/layers`), ["mine"]);
    } finally {
      await mount("umount", `${root}/layers`);
      await Deno.remove(root, { recursive: true });
    }
  },
});
