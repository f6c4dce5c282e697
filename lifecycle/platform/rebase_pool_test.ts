import { deepEqual, equal } from "node:assert/strict";
import { madeApp, madeBase, put } from "../../cli/rebase/rebase_testing.ts";
import { quietContext } from "../../registry/context.ts";
import { pushImage } from "../../registry/image.ts";
import { openStore, type Store } from "../../registry/store/store.ts";
import { tempDir } from "../../registry/temp_testing.ts";
import { openBase } from "./rebase_base.ts";
import { RebasePool } from "./rebase_pool.ts";
import { prepareRebase } from "./rebase_read.ts";
import { sameName } from "./same_name.ts";

const RUN = "registry.example/run:1";
const BUILD = JSON.stringify({ bom: Array.from({ length: 60 }, (_, at) => ({ at, a: '"\\' })) });

async function stocked(dir: string): Promise<Store> {
  const store = await openStore(dir);
  for (const version of ["1", "2"]) await put(store, "run", version, madeBase(version));
  const old = madeBase("1");
  for (let at = 0; at < 40; at++) {
    const labels = { "io.buildpacks.build.metadata": BUILD, number: String(at) };
    await put(store, "app", `v${at}`, madeApp(old, "app", { run: RUN, labels }));
  }
  await put(store, "odd", "distro", madeApp(old, "app", { run: RUN, distro: "11" }));
  await put(store, "odd", "arch", madeApp(old, "app", { run: RUN, arch: "arm64" }));
  await put(store, "odd", "base", old);
  await put(store, "odd", "current", madeApp(madeBase("2"), "app", { run: RUN }));
  return store;
}

const baseIn = (registry: Store) =>
  openBase(
    {
      registry,
      repository: "run",
      reference: "2",
      name: RUN,
      repositoryName: "registry.example/run",
    },
    quietContext(),
  );

Deno.test("RB-13 what threads compute is what would be computed here; what is unusual they leave alone", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  await using store = await stocked(dir);
  const base = await baseIn(store);
  await using pool = new RebasePool(dir, base, false, 1);
  const here = (reference: string) =>
    prepareRebase({ registry: store, repository: "app", reference, name: reference }, {
      chooseBase: () => Promise.resolve(base),
      oldBase: () => Promise.resolve(undefined),
      force: false,
      normalize: sameName,
      log: quietContext().log,
      signal: new AbortController().signal,
    });
  await Promise.all(Array.from({ length: 40 }, async (_, at) => {
    const reference = `v${at}`;
    const { image, base: under } = (await pool.compute("app", reference))!;
    const { old, made, images: [one] } = await here(reference);
    equal(image.is, "made");
    equal(image.old, old.digest);
    equal(image.oldBase, one!.oldBase);
    equal(image.newBase, one!.newBase);
    equal(under, one!.base);
    deepEqual(image.made!.raw, made);
    deepEqual(image.made!.rawConfig, one!.made.rawConfig);
    deepEqual(image.made!.config, one!.made.manifest.config);
  }));
  for (const odd of ["distro", "arch", "base", "gone"]) {
    equal(await pool.compute("odd", odd), undefined, odd);
  }
  const { image: current } = (await pool.compute("app", "v0"))!;
  await pushImage(madeApp(madeBase("2"), "app"), store, "app"); // the layers it needs
  const { raw: { mediaType, bytes }, rawConfig, config } = current.made!;
  await store.upload("app").then(async (upload) => {
    await upload.write(rawConfig);
    await upload.commit(config.digest);
  });
  await store.pushManifest("app", { mediaType, bytes }, { tags: ["v0"] });
  const again = (await pool.compute("app", "v0"))!;
  equal(again.image.is, "current", "what is written meanwhile is seen");
  equal(again.image.made, undefined);
});

Deno.test("threads that cannot open the store leave everything to others", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  await using store = await openStore(`${dir}/store`);
  await put(store, "run", "2", madeBase("2"));
  const base = await baseIn(store);
  await using pool = new RebasePool(`${dir}/none`, base, false, 1);
  const all = await Promise.all(["a", "b", "c"].map((name) => pool.compute(name, "latest")));
  deepEqual(all, [undefined, undefined, undefined]);
  equal(await pool.compute("d", "latest"), undefined);
});
