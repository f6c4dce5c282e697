// deno-lint-ignore-file no-console
/** A question to the bills of materials of a fleet: cold, then warm, with the registry counting. */
import { appImage, bench, layerOf } from "../../cli/command_testing.ts";
import { pushImage } from "../../registry/image.ts";

/** How large the fleet is. */
export interface QueryBench {
  /** Images, each with a manifest and a bill of materials of its own. */
  readonly images?: number;
  /** Packages in each. */
  readonly packages?: number;
}

/** Prints requests an image and images a second of both runs. */
export async function benchQuery(
  { images = 10_000, packages = 100 }: QueryBench = {},
): Promise<void> {
  await using shop = await bench();
  const base = [layerOf({ name: "etc/os-release", text: "ID=bench" })];
  const names: string[] = [];
  for (let at = 0; at < images; at++) {
    const components = Array.from({ length: packages }, (_, one) => ({
      type: "library",
      name: `package-${one}`,
      version: `1.${at}.${one}`,
      purl: `pkg:npm/package-${one}@1.${at}.${one}`,
      licenses: [{ license: { id: "MIT" } }],
    }));
    const image = appImage({ base, sboms: { "samples_java/jre/sbom.cdx.json": { components } } });
    const repository = `team-${at % 100}/app-${at}`;
    await pushImage(image, shop.registry, repository, { tags: ["1"] });
    names.push(`${shop.host}/${repository}:1`);
  }
  await Deno.writeTextFile(`${shop.dir}/fleet.txt`, names.join("\n"));
  for (const run of ["cold", "warm", "another question"]) {
    shop.reset();
    const started = performance.now();
    const query = run === "another question" ? "license:MIT" : "pkg:npm/package-7@<1.5";
    const { code, err } = await shop.wherry("sbom", "query", query, "--from", "fleet.txt");
    const seconds = (performance.now() - started) / 1000;
    console.log(
      `${run}: ${(shop.seen.requests.length / images).toFixed(3)} requests an image, ${
        (images / seconds).toFixed(0)
      } images/s (client and registry in one process), exit ${code}: ${
        err.trim().split("\n").at(-1)
      }`,
    );
  }
  console.log(`memory: ${(Deno.memoryUsage().rss / 1e6).toFixed(0)} MB, registry included`);
}
