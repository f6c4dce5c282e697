import { join } from "node:path";
import { memoryRegistry } from "./memory.ts";
import { type MadeRegistry, testRegistry } from "./registry_suite_testing.ts";
import { LAYOUT_REPOSITORY, openLayout } from "./store/layout.ts";
import { openStore } from "./store/store.ts";

testRegistry("memory", () =>
  Promise.resolve({
    registry: memoryRegistry(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }));

testRegistry("store", async (): Promise<MadeRegistry> => {
  const dir = await Deno.makeTempDir();
  const registry = await openStore(join(dir, "store"));
  return {
    registry,
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    },
  };
});

const ONE = `a layout has one repository, "${LAYOUT_REPOSITORY}", whatever it is called`;
testRegistry("layout", async (): Promise<MadeRegistry> => {
  const dir = await Deno.makeTempDir();
  return {
    registry: await openLayout(join(dir, "layout"), { create: true }),
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}, {
  "tags of an unknown repository": ONE,
  "repositories in byte order, and behind a name": ONE,
  "S-API-8 a blob is seen only where it was pushed": ONE,
  "names that cannot be are refused": "a ref.name may be longer than a tag",
});
