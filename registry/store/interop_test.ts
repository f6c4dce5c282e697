/** Our server, layouts and archives as tools that are not ours see them. Each is skipped where its tool is missing. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { join } from "node:path";
import { pushImage, readImage } from "../image.ts";
import { copy } from "../copy.ts";
import { hexOf } from "../oci/digest.ts";
import { createServer, type RequestEntry } from "../server/server.ts";
import { serve } from "../server/serve.ts";
import { tempDir } from "../temp_testing.ts";
import { sampleImage } from "./archive_testing.ts";
import { readDockerArchive, writeDockerArchive } from "./docker_archive.ts";
import { openLayout } from "./layout.ts";
import { readOciArchive, writeOciArchive } from "./oci_archive.ts";
import { openStore, type Store } from "./store.ts";

interface Ground {
  readonly dir: string;
  readonly store: Store;
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly entries: RequestEntry[];
}

async function has(tool: string, args = ["--version"]): Promise<boolean> {
  try {
    return (await new Deno.Command(tool, { args, stdout: "null", stderr: "null" }).output())
      .success;
  } catch {
    return false;
  }
}

const SKOPEO = await has("skopeo");
const UMOCI = await has("umoci");
/** It is there, and may do what it must do here. */
const PODMAN = Deno.uid() === 0 && await podmanWorks();

async function podmanWorks(): Promise<boolean> {
  await using temp = await tempDir();
  const dir = temp.path;
  return await has("podman", [...storageIn(dir), "info"]);
}

function storageIn(dir: string): string[] {
  return ["--root", join(dir, "root"), "--runroot", join(dir, "run"), "--storage-driver", "vfs"];
}

async function run(tool: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(tool, { args }).output();
  ok(success, `${tool} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

function test(
  name: string,
  tool: string,
  there: boolean,
  body: (ground: Ground) => Promise<void>,
): void {
  Deno.test({
    name: `interop: ${name}${there ? "" : ` (skipped: no ${tool} here; apt-get install ${tool})`}`,
    ignore: !there,
    async fn() {
      const dir = await Deno.makeTempDir();
      const store = await openStore(join(dir, "store"));
      const entries: RequestEntry[] = [];
      const server = createServer(store, { onRequest: (entry) => entries.push(entry) });
      const listening = await serve(server, { listen: { hostname: "127.0.0.1", port: 0 } });
      try {
        await body({ dir, store, host: listening.url.slice("http://".length), entries });
      } finally {
        await listening.shutdown();
        await store[Symbol.asyncDispose]();
        await Deno.remove(dir, { recursive: true });
      }
    },
  });
}

const image = sampleImage();
const AMD64 = { os: "linux", architecture: "amd64" };

test("skopeo pushes to and pulls from our server", "skopeo", SKOPEO, async (ground) => {
  const { dir, store, host, entries } = ground;
  const layout = await openLayout(join(dir, "in"), { create: true });
  await pushImage(image, layout, "x", { tags: ["v1"] });
  const push = () =>
    run(
      "skopeo",
      "copy",
      "--preserve-digests", // it would compress the plain layer
      "--dest-tls-verify=false",
      `oci:${join(dir, "in")}:v1`,
      `docker://${host}/team/app:v1`,
    );
  await push();
  equal((await store.stat("team/app", "v1"))?.digest, image.raw.digest);
  entries.length = 0;
  await push();
  const uploads = entries.filter(({ kind }) => kind === "patchUpload" || kind === "putUpload");
  equal(uploads.reduce((sum, { bytesIn }) => sum + bytesIn, 0), 0, "nothing is sent twice");
  const inspected = JSON.parse(
    await run("skopeo", "inspect", "--tls-verify=false", `docker://${host}/team/app:v1`),
  );
  equal(inspected.Digest, image.raw.digest);
  deepEqual(inspected.RepoTags, ["v1"]);
  await run(
    "skopeo",
    "copy",
    "--preserve-digests",
    "--src-tls-verify=false",
    `docker://${host}/team/app:v1`,
    `oci:${join(dir, "out")}:v1`,
  );
  const out = await openLayout(join(dir, "out"));
  equal((await out.stat("x", "v1"))?.digest, image.raw.digest);
  const back = await readImage(out, "x", "v1", AMD64);
  deepEqual(back?.rawConfig, image.rawConfig);
  await run("skopeo", "delete", "--tls-verify=false", `docker://${host}/team/app:v1`);
  equal(await store.stat("team/app", "v1"), undefined);
});

for (
  const [kind, write] of [["oci-archive", writeOciArchive], [
    "docker-archive",
    writeDockerArchive,
  ]] as const
) {
  test(`skopeo reads our ${kind}`, "skopeo", SKOPEO, async ({ dir, host, store }) => {
    const file = join(dir, "image.tar");
    const name = kind === "oci-archive" ? "v1" : "example.com/team/app:v1";
    await write(file, [{ image, names: [name] }]);
    const inspected = JSON.parse(await run("skopeo", "inspect", `${kind}:${file}`));
    equal(inspected.Layers.length, 2);
    await run(
      "skopeo",
      "copy",
      "--dest-tls-verify=false",
      `${kind}:${file}`,
      `docker://${host}/a:v1`,
    );
    const back = await readImage(store, "a", "v1", AMD64);
    deepEqual(
      back?.layers.map(({ diffId }) => diffId),
      image.layers.map(({ diffId }) => diffId),
    );
  });

  test(`we read the ${kind} skopeo writes`, "skopeo", SKOPEO, async ({ dir, store, host }) => {
    await pushImage(image, store, "app", { tags: ["v1"] });
    const file = join(dir, "image.tar");
    const name = kind === "oci-archive" ? "v1" : "example.com/app:v1";
    await run(
      "skopeo",
      "copy",
      "--src-tls-verify=false",
      `docker://${host}/app:v1`,
      `${kind}:${file}:${name}`,
    );
    await using archive = await (kind === "oci-archive" ? readOciArchive : readDockerArchive)(file);
    deepEqual(archive.images.map(({ names }) => names), [[name]]);
    const layout = await openLayout(join(dir, "layout"), { create: true });
    await copy(archive.reader, archive.repository, archive.images[0]!.digest, layout, "x", {
      tags: ["v1"],
    });
    const back = await readImage(layout, "x", "v1", AMD64);
    deepEqual(
      back?.layers.map(({ diffId }) => diffId),
      image.layers.map(({ diffId }) => diffId),
    );
  });
}

test("umoci unpacks a layout we wrote", "umoci", UMOCI && Deno.uid() === 0, async ({ dir }) => {
  const layout = await openLayout(join(dir, "layout"), { create: true });
  await pushImage(image, layout, "x", { tags: ["v1"] });
  await run("umoci", "unpack", "--image", `${join(dir, "layout")}:v1`, join(dir, "bundle"));
  const rootfs = join(dir, "bundle", "rootfs");
  const names = (await Array.fromAsync(Deno.readDir(rootfs), ({ name }) => name)).sort();
  deepEqual(names, ["file1", "second"]);
  equal((await Deno.stat(join(rootfs, "file1"))).size, 50_000);
  await run("umoci", "tag", "--image", `${join(dir, "layout")}:v1`, "v2");
  equal((await layout.stat("x", "v2"))?.digest, image.raw.digest, "and we see its tag");
});

test("podman loads a docker archive we wrote", "podman", PODMAN, async ({ dir }) => {
  const file = join(dir, "image.tar");
  await writeDockerArchive(file, [{ image, names: ["example.com/wherry-interop:v1"] }]);
  const storage = storageIn(dir);
  const loaded = await run("podman", ...storage, "load", "-i", file);
  ok(loaded.includes("example.com/wherry-interop:v1"), loaded);
  const id = await run("podman", ...storage, "images", "--no-trunc", "--format", "{{.ID}}");
  equal(id.trim().replace(/^sha256:/, ""), hexOf(image.manifest.config.digest));
  await run("podman", ...storage, "rmi", "-a", "-f");
});
