/** What both lifecycles are given: layers as a builder leaves them, a base image, and the files between phases. */
import { join } from "node:path";
import { connectRegistry } from "../../registry/client/client.ts";
import { makeImage } from "../../registry/image.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { bytesSource } from "../../registry/source.ts";
import { pushImage } from "../../registry/image.ts";

/** The buildpack that is said to have made the layers. */
export const BUILDPACK = "bench/layers";
/** The platform API of every phase. */
export const PLATFORM_API = "0.14";
/** The user of every phase. */
export const OWNER = { uid: 1000, gid: 1000 } as const;

/** Pushes a base image of one small layer; returns its name with digest. */
export async function pushBase(host: string): Promise<string> {
  const zeros = new Uint8Array(1024); // an empty tar
  await using registry = connectRegistry(host, {});
  const layer = {
    diffId: digestOf(zeros),
    descriptor: { mediaType: MediaType.ociLayer, digest: digestOf(zeros), size: zeros.byteLength },
    blob: () => Promise.resolve(bytesSource(zeros)),
  };
  const image = makeImage({
    architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: [] },
    config: { Labels: { "io.buildpacks.base.distro.name": "bench" } },
    history: [{ created_by: "base" }],
  }, [layer]);
  await pushImage(image, registry, "base", { tags: ["latest"] });
  return `${host}/base@${image.raw.digest}`;
}

/** Writes what analyzer, detector and builder leave in the layers directory `dir`, without the layers. */
export async function writePhaseFiles(dir: string, base: string): Promise<void> {
  await Deno.mkdir(join(dir, "config"), { recursive: true });
  await Deno.writeTextFile(
    join(dir, "group.toml"),
    `[[group]]\nid = "${BUILDPACK}"\nversion = "1"\napi = "0.10"\n`,
  );
  await Deno.writeTextFile(
    join(dir, "config", "metadata.toml"),
    `[[buildpacks]]\nid = "${BUILDPACK}"\nversion = "1"\napi = "0.10"\n`,
  );
  await Deno.writeTextFile(
    join(dir, "analyzed.toml"),
    `[run-image]\nreference = "${base}"\nimage = "${base.split("@")[0]}"\n` +
      '[run-image.target]\nos = "linux"\narch = "amd64"\n',
  );
}

/** Says of a layer that it is in the image and in the cache. */
export async function writeLayerToml(dir: string, name: string): Promise<void> {
  const types = "[types]\nlaunch = true\ncache = true\n";
  await Deno.writeTextFile(join(dir, BUILDPACK.replace("/", "_"), `${name}.toml`), types);
}

/** Where the contents of a layer lie. */
export function layerDir(dir: string, name: string): string {
  return join(dir, BUILDPACK.replace("/", "_"), name);
}

/** Numbers that are the same on every machine. */
function generator(seed: number): () => number {
  let state = seed;
  return () => (state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0) >>> 0;
}

/** `mib` files of 1 MiB in `dir`: the first, third, ... are noise, the others text. */
export async function writeMixed(dir: string, mib: number, seed: number): Promise<void> {
  await Deno.mkdir(dir, { recursive: true });
  const next = generator(seed);
  const words = Array.from({ length: 2000 }, () => next().toString(36));
  const encoder = new TextEncoder();
  for (let piece = 0; piece < mib; piece++) {
    const bytes = new Uint8Array(2 ** 20);
    if (piece % 2 === 0) {
      const view = new Uint32Array(bytes.buffer);
      for (let at = 0; at < view.length; at++) view[at] = next();
    } else {
      for (let at = 0; at < bytes.length;) {
        const word = `${words[next() % words.length]} `;
        at += encoder.encodeInto(word, bytes.subarray(at)).written || 1;
      }
    }
    await Deno.writeFile(join(dir, `${piece}`), bytes);
  }
}

/** `count` files of about 1 KiB in directories of a hundred, as package managers leave them. */
export function writeMany(dir: string, count: number): void {
  const next = generator(7);
  const text = Array.from({ length: 4096 }, () => next().toString(36)).join(" ");
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < count; at++) {
    const parent = join(dir, `pkg-${Math.floor(at / 100)}`);
    if (at % 100 === 0) Deno.mkdirSync(parent, { recursive: true });
    const start = next() % 8192;
    Deno.writeFileSync(
      join(parent, `file-${at}.js`),
      bytes.subarray(start, start + 512 + at % 1024),
    );
  }
}

/**
 * `count` buildpacks and the order of all of them below `root`. The first is {@linkcode BUILDPACK}: it says of the
 * layers it finds again that they are in the image and in the cache; the others do nothing.
 */
export async function writeBuildpacks(root: string, count: number): Promise<void> {
  let order = "[[order]]\n";
  for (let at = 0; at < count; at++) {
    const id = at === 0 ? BUILDPACK : `bench/other-${at}`;
    const dir = join(root, "buildpacks", id.replace("/", "_"), "1");
    await Deno.mkdir(join(dir, "bin"), { recursive: true });
    await Deno.writeTextFile(
      join(dir, "buildpack.toml"),
      `api = "0.10"\n[buildpack]\nid = "${id}"\nversion = "1"\n[[targets]]\nos = "linux"\n`,
    );
    const scripts = {
      detect: "exit 0\n",
      build: 'for toml in "$CNB_LAYERS_DIR"/*.toml; do\n  [ -d "${toml%.toml}" ] || continue\n' +
        '  printf "[types]\\nlaunch = true\\ncache = true\\n" >"$toml"\ndone\n',
    };
    for (const [name, text] of Object.entries(scripts)) {
      await Deno.writeTextFile(join(dir, "bin", name), `#!/bin/sh\nset -e\n${text}`);
      await Deno.chmod(join(dir, "bin", name), 0o755);
    }
    order += `[[order.group]]\nid = "${id}"\nversion = "1"\n`;
  }
  await Deno.writeTextFile(join(root, "order.toml"), order);
}
