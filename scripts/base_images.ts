/**
 * Makes images to build and run on, from Debian packages only: `build` (a build image), `java` (one with a JDK),
 * `languages` (one with Node, Python and a JDK), `scripts` (without the JDK), `run` and `run2` (run images that differ in one
 * layer, for rebase), `tiny` (a run image without a shell). All have the usual labels and the CNB user 1000. `build-arm64`,
 * `java-arm64`, `scripts-arm64` and `run-arm64` are for that processor, `builds`, `java-both`, `scripts-both` and `runs`
 * indexes of both.
 *
 *     deno run -A scripts/base_images.ts [TAG...]              which ones; default: all of this machine's processor
 *     deno run -A scripts/base_images.ts --cached [TAG...]     makes nothing: exit 1 when one is missing
 *     deno run -A scripts/base_images.ts --fresh --to DIR ...  made again, into DIR, to compare digests
 *     deno run -A scripts/base_images.ts --small DIR           of static busybox and bash, a second: build, 1, 2
 *
 * The last line printed is the OCI layout they are in, below $WHERRY_TOOLS (default ~/.cache/wherry-build): what was made
 * once is not made again until its own recipe changes; remove it to get newer packages. The same packages give the same digests. Needs root and
 * mmdebstrap; about a minute an image. Those of the other processor need qemu-user-static and take two.
 */
import { createHash } from "node:crypto";
import { parseArgs } from "node:util";
import { indexOf } from "../cli/image_index.ts";
import { type Image, type Layer, makeImage, pushImage, readImage } from "../registry/image.ts";
import type { TreeEntry } from "../registry/layer/entry.ts";
import { writeLayer, type WrittenLayer } from "../registry/layer/write_layer.ts";
import type { Registry } from "../registry/registry.ts";
import { LAYOUT_REPOSITORY, openLayout } from "../registry/store/layout.ts";
import { type DebianRoot, debianRoot, HERE, ID, recipeOf } from "./debian_root.ts";
import { writeBase, writeBuildBase } from "../tests/accept/base_image_testing.ts";

/** The root file systems, and what mmdebstrap makes them of. */
const ROOTS = {
  build: { variant: "minbase", packages: ["ca-certificates", "curl", "git", "xz-utils"] },
  java: { variant: "minbase", packages: ["openjdk-17-jdk-headless", "unzip"] },
  languages: {
    variant: "minbase",
    packages: ["nodejs", "npm", "openjdk-17-jdk-headless", "python3", "unzip"],
  },
  scripts: { variant: "minbase", packages: ["nodejs", "npm", "python3"] },
  run: { variant: "minbase", packages: ["ca-certificates"] },
  tiny: { variant: "extract", packages: ["base-files", "libc6", "netbase", "tzdata"] },
} as const satisfies Record<string, DebianRoot>;

/** What the images are: a root, and a small file above it that tells them apart. */
const IMAGES = {
  build: { root: "build", mark: "build 1\n", builds: true, arch: HERE },
  java: { root: "java", mark: "java 1\n", builds: true, arch: HERE },
  languages: { root: "languages", mark: "languages 1\n", builds: true, arch: HERE },
  run: { root: "run", mark: "run 1\n", builds: false, arch: HERE },
  run2: { root: "run", mark: "run 2\n", builds: false, arch: HERE },
  tiny: { root: "tiny", mark: "tiny 1\n", builds: false, arch: HERE },
  scripts: { root: "scripts", mark: "scripts 1\n", builds: true, arch: HERE },
  "build-arm64": { root: "build", mark: "build 1\n", builds: true, arch: "arm64" },
  "java-arm64": { root: "java", mark: "java 1\n", builds: true, arch: "arm64" },
  "scripts-arm64": { root: "scripts", mark: "scripts 1\n", builds: true, arch: "arm64" },
  "run-arm64": { root: "run", mark: "run 1\n", builds: false, arch: "arm64" },
} as const;

/** The name of an image that is made here. */
export type BaseTag = keyof typeof IMAGES;

/** Indexes, and what they are of. */
const INDEXES = {
  builds: ["build", "build-arm64"],
  "java-both": ["java", "java-arm64"],
  "scripts-both": ["scripts", "scripts-arm64"],
  runs: ["run", "run-arm64"],
} as const satisfies Record<string, readonly BaseTag[]>;

/** The names of all. */
const BASE_TAGS = Object.keys(IMAGES) as readonly BaseTag[];

/** The layout where images are kept. */
export function cachedLayout(): string {
  const tools = Deno.env.get("WHERRY_TOOLS") ||
    `${Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME")}/.cache`}/wherry-build`;
  return `${tools}/base-images/by-recipe`;
}

/** A second tag of each image, which says what it was made of: another one for each change of its own recipe. */
export function stampOf(tag: BaseTag | keyof typeof INDEXES): string {
  const recipe = isIndex(tag)
    ? INDEXES[tag].map(stampOf)
    : [IMAGES[tag], recipeOf(ROOTS[IMAGES[tag].root])];
  return `${tag}.${createHash("sha256").update(JSON.stringify(recipe)).digest("hex").slice(0, 12)}`;
}

/** Which of the images are not kept yet, or not as they are made now. */
export async function missingImages<Tag extends BaseTag | keyof typeof INDEXES>(
  dir: string,
  tags: readonly Tag[],
): Promise<readonly Tag[]> {
  if (await Deno.stat(`${dir}/index.json`).then(() => false, () => true)) return tags;
  const layout = await openLayout(dir);
  const digest = async (tag: string) => (await layout.stat(LAYOUT_REPOSITORY, tag))?.digest;
  const missing: Tag[] = [];
  for (const tag of tags) {
    const stamped = await digest(stampOf(tag));
    if (stamped === undefined || stamped !== await digest(tag)) missing.push(tag);
  }
  return missing;
}

/** One small file, so that two run images differ. */
async function markLayer(layout: Registry, text: string): Promise<Layer> {
  const body = new TextEncoder().encode(text);
  const entries: readonly TreeEntry[] = [{
    name: "/etc/base-release",
    type: "file",
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: body.length,
    body,
  }];
  const upload = await layout.upload(LAYOUT_REPOSITORY);
  const written = await writeLayer(entries, upload);
  await upload.commit(written.descriptor.digest);
  return layerIn(layout, written);
}

function layerIn(layout: Registry, { diffId, descriptor }: WrittenLayer): Layer {
  const blob = async () => (await layout.blob(LAYOUT_REPOSITORY, descriptor.digest))!;
  return { diffId, descriptor, blob, origin: { registry: layout, repository: LAYOUT_REPOSITORY } };
}

/** Makes images into the layout `dir`; each gets its tags when all of it is there. */
async function make(dir: string, tags: readonly BaseTag[]): Promise<void> {
  const layout = await openLayout(dir, { create: true });
  for (const tag of tags) {
    const { root, mark, builds, arch } = IMAGES[tag];
    const start = performance.now();
    const lowest = await rootIn(layout, tag) ??
      layerIn(layout, await debianRoot(ROOTS[root], arch, layout));
    const image = imageOf(root, builds, arch, [lowest, await markLayer(layout, mark)]);
    await pushImage(image, layout, LAYOUT_REPOSITORY, { tags: [tag, stampOf(tag)] });
    const seconds = ((performance.now() - start) / 1000).toFixed(0);
    const size = ((lowest.descriptor.size ?? 0) / 1e6).toFixed(0);
    await say(`${tag} ${image.raw.digest} ${size} MB, ${seconds} s`);
  }
}

/** The root file system of `tag` where an image of the same one is there: two that differ in a mark differ in nothing else. */
async function rootIn(layout: Registry, tag: BaseTag): Promise<Layer | undefined> {
  const recipe = recipeOf(ROOTS[IMAGES[tag].root]).join("\n");
  const { arch } = IMAGES[tag];
  const same = BASE_TAGS.filter((one) =>
    IMAGES[one].arch === arch && recipeOf(ROOTS[IMAGES[one].root]).join("\n") === recipe
  );
  for (const one of same) {
    const platform = { os: "linux", architecture: arch };
    const image = await readImage(layout, LAYOUT_REPOSITORY, stampOf(one), platform);
    if (image !== undefined) return image.layers[0];
  }
  return undefined;
}

/** Both images under one name. */
async function makeIndex(dir: string, tag: keyof typeof INDEXES): Promise<void> {
  const layout = await openLayout(dir);
  const images: Image[] = [];
  for (const one of INDEXES[tag]) {
    const platform = { os: "linux", architecture: IMAGES[one].arch };
    images.push((await readImage(layout, LAYOUT_REPOSITORY, one, platform))!);
  }
  const index = indexOf(images);
  const { digest } = await layout.pushManifest(LAYOUT_REPOSITORY, index, {
    tags: [tag, stampOf(tag)],
  });
  await say(`${tag} ${digest}`);
}

function imageOf(
  root: string,
  builds: boolean,
  architecture: string,
  layers: readonly Layer[],
): Image {
  const release = Deno.readTextFileSync("/etc/os-release");
  const version = /^VERSION_ID="?([^"\n]*)/m.exec(release)?.[1] ?? "";
  const ids = builds ? [`CNB_USER_ID=${ID}`, `CNB_GROUP_ID=${ID}`] : [];
  return makeImage({
    os: "linux",
    architecture,
    created: "2025-01-01T00:00:00Z",
    config: {
      User: `${ID}:${ID}`,
      Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ...ids],
      Labels: {
        "io.buildpacks.base.id": `wherry.debian.${root}`,
        "io.buildpacks.base.distro.name": "debian",
        "io.buildpacks.base.distro.version": version,
        "io.buildpacks.base.description": "made of Debian packages by scripts/base_images.ts",
        "io.buildpacks.stack.id": "wherry.debian",
      },
    },
    rootfs: { type: "layers", diff_ids: [] },
    history: layers.map((_, at) => ({ created_by: `scripts/base_images.ts layer ${at + 1}` })),
  }, layers);
}

async function small(dir: string): Promise<void> {
  await say(`build ${await writeBuildBase(dir)}`);
  await say(`1 ${await writeBase(dir, 1)}`);
  await say(`2 ${await writeBase(dir, 2)}`);
  await say(dir);
}

async function say(line: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(line + "\n"));
}

function isIndex(tag: string): tag is keyof typeof INDEXES {
  return tag in INDEXES;
}

/** Exit code. */
async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      cached: { type: "boolean", default: false },
      fresh: { type: "boolean", default: false },
      small: { type: "string" },
      to: { type: "string" },
    },
  });
  if (values.small !== undefined) {
    await small(values.small);
    return 0;
  }
  const known: readonly string[] = [...BASE_TAGS, ...Object.keys(INDEXES)];
  const unknown = positionals.find((word) => !known.includes(word));
  if (unknown !== undefined) {
    throw new Error(`Cannot make "${unknown}": wanted ${known.join(", ")}`);
  }
  const asked: readonly string[] = positionals.length > 0
    ? positionals
    : BASE_TAGS.filter((tag) => IMAGES[tag].arch === HERE && !tag.endsWith(`-${HERE}`));
  const indexes = Object.keys(INDEXES).filter(isIndex).filter((tag) => asked.includes(tag));
  const parts = indexes.flatMap((tag) => INDEXES[tag] as readonly string[]);
  const tags = BASE_TAGS.filter((tag) => asked.includes(tag) || parts.includes(tag));
  if (values.fresh !== (values.to !== undefined)) {
    throw new Error("Cannot tell what to do: --fresh and --to DIR go together");
  }
  const dir = values.to ?? cachedLayout();
  const missing = await missingImages(dir, [...tags, ...indexes]);
  if (values.cached && missing.length > 0) {
    await say(`not made yet: ${missing.join(", ")}`);
    return 1;
  }
  if (missing.length > 0) await make(dir, tags.filter((tag) => missing.includes(tag)));
  for (const tag of indexes) if (missing.includes(tag)) await makeIndex(dir, tag);
  await say(dir);
  return 0;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (thrown) {
    await Deno.stderr.write(
      new TextEncoder().encode(`${thrown instanceof Error ? thrown.message : thrown}\n`),
    );
    Deno.exit(3);
  }
}
