/** A run image from nothing but Debian's static bash and busybox, with the labels and the user CNB wants. */
import { indexOf } from "../../cli/image_index.ts";
import { type Image, type Layer, makeImage, pushImage } from "../../registry/image.ts";
import type { TreeEntry } from "../../registry/layer/entry.ts";
import { writeLayer } from "../../registry/layer/write_layer.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import type { Registry } from "../../registry/registry.ts";
import { LAYOUT_REPOSITORY, openLayout } from "../../registry/store/layout.ts";

const APPLETS = [
  "cat",
  "echo",
  "env",
  "false",
  "hostname",
  "id",
  "ls",
  "pwd",
  "sh",
  "sleep",
  "true",
];

/** User and group of the image. */
export const CNB_ID = 1000;

/** Where Debian puts them. */
const PROGRAMS: Programs = { "/bin/bash": "/bin/bash-static", "/bin/busybox": "/bin/busybox" };

/** Where the programs of the images lie on this machine. */
export type Programs = Readonly<Record<"/bin/bash" | "/bin/busybox", string>>;

/** An architecture in OCI's spelling. */
export type Architecture = "amd64" | "arm64";

const HERE: Architecture = Deno.build.arch === "aarch64" ? "arm64" : "amd64";

/** Whether both are here: `apt-get install bash-static busybox-static`. */
export function canMakeBase(): boolean {
  try {
    for (const path of Object.values(PROGRAMS)) Deno.statSync(path);
    return true;
  } catch {
    // deno-lint-ignore no-console
    console.log("skipped: tests that need bash-static and busybox-static for a run image");
    return false;
  }
}

/**
 * Writes version 1 or 2 of the run image into the OCI layout `dir`, tagged with its number. Two layers: programs,
 * which are the same in both versions, and `/etc`, which is not.
 *
 * @returns The digest of its manifest.
 */
export async function writeBase(dir: string, version: 1 | 2): Promise<string> {
  return (await write(dir, version, `${version}`, [])).raw.digest;
}

/**
 * Writes version 1 of the run image and the build image for both processors into the OCI layout `dir`: indexes, tagged
 * `runs` and `builds`.
 *
 * @param foreign The programs of the other processor.
 */
export async function writeBothBases(dir: string, foreign: Programs): Promise<void> {
  const other = HERE === "amd64" ? "arm64" : "amd64";
  const layout = await openLayout(dir, { create: true });
  for (const [tag, env] of [["runs", []], ["builds", BUILD_IDS]] as const) {
    const here = await write(dir, 1, `${tag}-${HERE}`, env);
    const there = await write(dir, 1, `${tag}-${other}`, env, other, foreign);
    await layout.pushManifest(LAYOUT_REPOSITORY, indexOf([here, there]), { tags: [tag] });
  }
}

/**
 * Writes a build image of the same layers into the OCI layout `dir`, tagged `build`: what a builder is made on. With `tools`
 * it has all that busybox can do, in `/usr/bin`.
 *
 * @returns The digest of its manifest.
 */
export async function writeBuildBase(
  dir: string,
  { tools = false }: { readonly tools?: boolean } = {},
): Promise<string> {
  const more = tools ? allTools() : [];
  return (await write(dir, 1, "build", BUILD_IDS, HERE, PROGRAMS, more)).raw.digest;
}

function allTools(): TreeEntry[] {
  const { stdout } = new Deno.Command(PROGRAMS["/bin/busybox"], { args: ["--list"] }).outputSync();
  const names = new TextDecoder().decode(stdout).split("\n").filter((name) => name !== "");
  return [
    directory("/usr"),
    directory("/usr/bin"),
    ...names.map((name) => link(`/usr/bin/${name}`)),
  ];
}

const BUILD_IDS = [`CNB_USER_ID=${CNB_ID}`, `CNB_GROUP_ID=${CNB_ID}`];

async function write(
  dir: string,
  version: 1 | 2,
  tag: string,
  env: readonly string[],
  architecture = HERE,
  from = PROGRAMS,
  more: readonly TreeEntry[] = [],
): Promise<Image> {
  const layout = await openLayout(dir, { create: true });
  const layers = [
    await packedPrograms(from),
    await layerOf(layout, configuration(version)),
  ];
  if (more.length > 0) layers.push(await layerOf(layout, more));
  const image = makeImage({
    os: "linux",
    architecture,
    created: "2024-01-01T00:00:00Z",
    config: {
      User: `${CNB_ID}:${CNB_ID}`,
      Env: ["PATH=/usr/local/bin:/usr/bin:/bin", "FROM_RUN_IMAGE=yes", ...env],
      Labels: {
        "io.buildpacks.stack.id": "wherry.test.static",
        "io.buildpacks.base.id": "wherry.test.static",
        "io.buildpacks.base.distro.name": "busybox",
        "io.buildpacks.base.distro.version": `${version}`,
        "io.buildpacks.base.homepage": "https://busybox.net",
      },
    },
    rootfs: { type: "layers", diff_ids: [] },
    history: layers.map((_, at) => ({ created_by: `base layer ${at + 1}` })),
  }, layers);
  await pushImage(image, layout, LAYOUT_REPOSITORY, { tags: [tag] });
  return image;
}

/** The C library's own files and zlib: what programs of the build image expect of a run image. */
const C_LIBRARY = /\/(ld-linux[^/]*|lib(c|m|dl|pthread|rt|resolv|z)\.so\.[0-9]+)$/;

/**
 * Writes a run image with this machine's C library into the OCI layout `dir`, tagged `1`, for programs that were
 * built or copied here.
 *
 * @returns The digest of its manifest.
 */
export async function writeLibraryBase(dir: string): Promise<string> {
  const layout = await openLayout(dir, { create: true });
  const entries = new Map<string, TreeEntry>();
  const ldconfig = await new Deno.Command("/sbin/ldconfig", { args: ["-p"] }).output();
  const paths = new TextDecoder().decode(ldconfig.stdout).split("\n")
    .filter((line) => line.includes("x86-64") || line.includes("AArch64"))
    .map((line) => line.split(" => ")[1] ?? "").filter((path) => C_LIBRARY.test(path));
  // Programs name their loader by this path, wherever it really lies.
  paths.push(
    Deno.build.arch === "aarch64" ? "/lib/ld-linux-aarch64.so.1" : "/lib64/ld-linux-x86-64.so.2",
  );
  for (const path of [...new Set(paths)].sort()) {
    const body = Deno.readFileSync(path);
    for (let at = path.indexOf("/", 1); at > 0; at = path.indexOf("/", at + 1)) {
      entries.set(path.slice(0, at), directory(path.slice(0, at)));
    }
    entries.set(path, { ...file(path, ""), mode: 0o755, size: body.byteLength, body });
  }
  const libraries = [...entries].sort(([a], [b]) => a < b ? -1 : 1).map(([, entry]) => entry);
  const layers = [
    await layerOf(layout, libraries),
    await packedPrograms(PROGRAMS),
    await layerOf(layout, configuration(1)),
  ];
  const image = makeImage({
    os: "linux",
    architecture: HERE,
    config: { User: `${CNB_ID}:${CNB_ID}`, Env: ["PATH=/usr/local/bin:/usr/bin:/bin"] },
    rootfs: { type: "layers", diff_ids: [] },
  }, layers);
  await pushImage(image, layout, LAYOUT_REPOSITORY, { tags: ["1"] });
  return image.raw.digest;
}

async function layerOf(to: Registry, entries: readonly TreeEntry[]): Promise<Layer> {
  const upload = await to.upload(LAYOUT_REPOSITORY);
  const { diffId, descriptor } = await writeLayer(entries, upload);
  await upload.commit(descriptor.digest);
  const blob = async () => (await to.blob(LAYOUT_REPOSITORY, descriptor.digest))!;
  return { diffId, descriptor, blob, origin: { registry: to, repository: LAYOUT_REPOSITORY } };
}

const shared = memoryRegistry();
const packed = new Map<Programs, Promise<Layer>>();

/** The layer of the programs: compressing it is what costs, so it is made once. */
function packedPrograms(from: Programs): Promise<Layer> {
  const layer = packed.get(from) ?? layerOf(shared, programs(from));
  packed.set(from, layer);
  return layer;
}

function programs(from: Programs): TreeEntry[] {
  const entries = [directory("/bin"), directory("/tmp", 0o1777)];
  for (const [name, path] of Object.entries(from)) {
    const body = Deno.readFileSync(path);
    entries.push({ name, type: "file", mode: 0o755, uid: 0, gid: 0, size: body.length, body });
  }
  for (const applet of APPLETS) entries.push(link(`/bin/${applet}`));
  return entries;
}

function link(name: string): TreeEntry {
  const linkName = name.startsWith("/bin/") ? "busybox" : "/bin/busybox";
  return { name, type: "symlink", mode: 0o777, uid: 0, gid: 0, size: 0, linkName };
}

function configuration(version: number): TreeEntry[] {
  return [
    directory("/etc"),
    file("/etc/group", `root:x:0:\ncnb:x:${CNB_ID}:\n`),
    file("/etc/os-release", `ID=busybox\nVERSION_ID=${version}\n`),
    file(
      "/etc/passwd",
      `root:x:0:0:root:/root:/bin/sh\ncnb:x:${CNB_ID}:${CNB_ID}::/home/cnb:/bin/bash\n`,
    ),
    directory("/home"),
    { ...directory("/home/cnb"), uid: CNB_ID, gid: CNB_ID },
  ];
}

function directory(name: string, mode = 0o755): TreeEntry {
  return { name, type: "directory", mode, uid: 0, gid: 0, size: 0 };
}

function file(name: string, text: string): TreeEntry {
  const body = new TextEncoder().encode(text);
  return { name, type: "file", mode: 0o644, uid: 0, gid: 0, size: body.length, body };
}
