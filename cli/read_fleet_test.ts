import { deepEqual } from "node:assert/strict";
import { appImage, bench, push } from "./command_testing.ts";

Deno.test("outdated: an image that is named in two spellings is one, under the first of them", async () => {
  await using shop = await bench();
  await push(appImage(), shop.registry, "app", "latest");
  const names = [`${shop.host}/app`, `${shop.host}/app:latest`, `${shop.host}/app`];
  const { out } = await shop.wherry("outdated", "--publish", ...names, "-o", "json");
  deepEqual(JSON.parse(out).images.map(({ image }: { image: string }) => image), [
    `${shop.host}/app`,
  ]);
});
