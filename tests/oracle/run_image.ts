/** The base of all images of the corpus. */
import { connectRegistry } from "../../registry/client/client.ts";
import { type Image, makeImage, pushImage } from "../../registry/image.ts";
import { writeLayer } from "../../registry/layer/write_layer.ts";
import { filesLayer } from "../../registry/layer/fixed_layers.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { LAYOUT_REPOSITORY, openLayout } from "../../registry/store/layout.ts";

/** Pushes a run image of two layers to `<host>/run:base`. */
export async function pushRunImage(host: string): Promise<void> {
  await using registry = connectRegistry(host);
  await pushImage(await runImage(), registry, "run", { tags: ["base"] });
  await pushImage(await runImage(["one", "three", "four"]), registry, "run", { tags: ["next"] });
}

/** The same as an OCI layout in `dir`. */
export async function saveRunImage(dir: string): Promise<void> {
  const layout = await openLayout(dir, { create: true });
  await pushImage(await runImage(), layout, LAYOUT_REPOSITORY, { tags: ["base"] });
}

async function runImage(names: readonly string[] = ["one", "two"]): Promise<Image> {
  const memory = memoryRegistry();
  const layers = await Promise.all(names.map(async (name) => {
    const upload = await memory.upload("run");
    const files = new Map([[`/etc/${name}`, new TextEncoder().encode(name)]]);
    const entries = filesLayer(files, { owner: { uid: 0, gid: 0 } });
    const { diffId, descriptor } = await writeLayer(entries, upload);
    await upload.commit();
    const blob = async () => (await memory.blob("run", descriptor.digest))!;
    return { diffId, descriptor, blob };
  }));
  return makeImage({
    os: "linux",
    architecture: "amd64",
    created: "2020-01-01T00:00:00Z",
    config: {
      User: "1000:1000",
      Env: ["PATH=/usr/bin:/bin", "BASE=1"],
      Labels: {
        "io.buildpacks.base.id": "some.base",
        "io.buildpacks.base.distro.name": "debian",
        "io.buildpacks.base.distro.version": "12",
        "io.buildpacks.stack.id": "some.stack",
      },
    },
    rootfs: { type: "layers", diff_ids: [] },
    history: [
      { created: "2020-01-01T00:00:00Z", created_by: "first" },
      { created: "2020-01-01T00:00:00Z", created_by: "nothing", empty_layer: true },
      ...names.slice(1).map((name) => ({
        created: "2020-01-01T00:00:00Z",
        created_by: name === "two" ? "second" : name,
      })),
    ],
  }, layers);
}
