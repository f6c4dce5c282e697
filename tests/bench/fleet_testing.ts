/** A fleet for benchmarks: images of 15 layers with labels as large as real ones, pushed straight into a place. */
import { madeApp, madeBase } from "../../cli/rebase/rebase_testing.ts";
import { type Image, pushImage } from "../../registry/image.ts";
import type { Registry } from "../../registry/registry.ts";
import { bytesSource } from "../../registry/source.ts";

/** Tags in one repository. */
const TAGS = 100;

/** A fleet that was made. */
export interface MadeFleet {
  /** `repository:tag`, in order. */
  readonly names: readonly string[];
}

/** Ten kilobytes of what buildpacks write about themselves. */
const LABEL = JSON.stringify({
  processes: [],
  buildpacks: Array.from({ length: 60 }, (_, at) => ({
    id: `example/buildpack-${at}`,
    version: "1.2.3",
    homepage: "https://example.com/buildpacks/of/some/vendor",
    layers: { [`layer-${at}`]: { sha: "0".repeat(64), cache: false, launch: true } },
  })),
});

/** Pushes `count` images on base 1, and run images 1 and 2. `run` is the run image's name in labels. */
export async function makeFleet(
  to: Registry,
  count: number,
  run: string,
  repositoryOf: (name: string) => string = (name) => name,
): Promise<MadeFleet> {
  const [old, next] = [madeBase("1"), madeBase("2")];
  for (const [tag, image] of [["1", old], ["2", next]] as const) {
    await pushImage(image, to, repositoryOf("run"), { tags: [tag] });
  }
  const names: string[] = [];
  const queue = Array.from({ length: count }, (_, at) => at);
  const there = new Map<string, Promise<unknown>>();
  const work = async () => {
    for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
      const team = Math.floor(at / TAGS);
      const repository = `team/app-${team}`;
      const app = madeApp(old, `team ${team}`, {
        run,
        labels: { "io.buildpacks.build.metadata": LABEL, "app.number": String(at) },
      });
      names[at] = `${repository}:v${at % TAGS}`;
      const place = repositoryOf(repository);
      let layers = there.get(place);
      if (layers === undefined) there.set(place, layers = pushLayers(to, place, app));
      await layers;
      await to.pushBlob(place, app.manifest.config, bytesSource(app.rawConfig));
      await to.pushManifest(place, app.raw, { tags: [`v${at % TAGS}`] });
    }
  };
  await Promise.all(Array.from({ length: 64 }, work));
  return { names };
}

async function pushLayers(to: Registry, repository: string, image: Image): Promise<void> {
  await pushImage(image, to, repository, { concurrency: 16 });
}
