/**
 * Makes images to build and run on, from Debian packages only: `build` (a build image), `java` (one with a JDK), `run` and
 * `run2` (run images that differ in one layer, for rebase), `tiny` (a run image without a shell). All have the usual
 * labels and the CNB user 1000.
 *
 *     deno run -A scripts/base_images.ts [TAG...]              which ones; default: all
 *     deno run -A scripts/base_images.ts --cached [TAG...]     makes nothing: exit 1 when one is missing
 *     deno run -A scripts/base_images.ts --fresh --to DIR ...  made again, into DIR, to compare digests
 *     deno run -A scripts/base_images.ts --small DIR           of static busybox and bash, a second: build, 1, 2
 *
 * The last line printed is the OCI layout they are in, below $WHERRY_TOOLS (default ~/.cache/wherry-build): what was made
 * once is not made again; remove it to get newer packages. The same packages give the same digests. Needs root and
 * mmdebstrap; about a minute an image.
 */
import { createHash } from "node:crypto";
import { parseArgs } from "node:util";
import { type Image, type Layer, makeImage, pushImage } from "../registry/image.ts";
import type { TreeEntry } from "../registry/layer/entry.ts";
import { uploadTar, writeLayer, type WrittenLayer } from "../registry/layer/write_layer.ts";
import type { Registry } from "../registry/registry.ts";
import { LAYOUT_REPOSITORY, openLayout } from "../registry/store/layout.ts";
import { writeBase, writeBuildBase } from "../tests/accept/base_image_testing.ts";

const ID = 1000;
/** A date all files have, so that only packages change bytes. */
const EPOCH = "1735689600";

/** Not wanted in any image, or different each time: logs, caches, machine ids, the JVM's archive of classes, dates. */
const CLEAN = `rm -rf "$1"/var/log/* "$1"/var/cache/* "$1"/var/lib/apt/lists/* "$1"/etc/machine-id
  rm -f "$1"/usr/lib/jvm/*/lib/server/classes*.jsa
  "$DENO" run -A "$UNDATE" "$1"`;

/** The CNB user, where packages did not make a place for it. */
const USER = `grep -q ^cnb: "$1/etc/passwd" 2>/dev/null || {
    echo "cnb:x:${ID}:${ID}::/home/cnb:/bin/sh" >>"$1/etc/passwd"
    echo "cnb:x:${ID}:" >>"$1/etc/group"
    mkdir -p "$1/home/cnb" "$1/tmp" && chown ${ID}:${ID} "$1/home/cnb" && chmod 1777 "$1/tmp"
  }`;

interface Root {
  readonly variant: "minbase" | "extract";
  readonly packages: readonly string[];
}

/** The root file systems, and what mmdebstrap makes them of. */
const ROOTS = {
  build: { variant: "minbase", packages: ["ca-certificates", "curl", "git", "xz-utils"] },
  java: { variant: "minbase", packages: ["openjdk-17-jdk-headless", "unzip"] },
  run: { variant: "minbase", packages: ["ca-certificates"] },
  tiny: { variant: "extract", packages: ["base-files", "libc6", "netbase", "tzdata"] },
} as const satisfies Record<string, Root>;

/** What the images are: a root, and a small file above it that tells them apart. */
const IMAGES = {
  build: { root: "build", mark: "build 1\n", builds: true },
  java: { root: "java", mark: "java 1\n", builds: true },
  run: { root: "run", mark: "run 1\n", builds: false },
  run2: { root: "run", mark: "run 2\n", builds: false },
  tiny: { root: "tiny", mark: "tiny 1\n", builds: false },
} as const;

/** The name of an image that is made here. */
export type BaseTag = keyof typeof IMAGES;

/** The names of all. */
export const BASE_TAGS = Object.keys(IMAGES) as readonly BaseTag[];

function options({ variant, packages }: Root): string[] {
  return [
    "--quiet",
    "--mode=root",
    `--variant=${variant}`,
    `--include=${packages.join(",")}`,
    // Nobody loses a half-made root to a power cut; documentation is not for images, and Java's package wants its place.
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    ...variant === "minbase" ? ['--essential-hook=mkdir -p "$1/usr/share/man/man1"'] : [],
    `--customize-hook=${USER}`,
    `--customize-hook=${CLEAN}`,
  ];
}

/** The sources of packages this machine has, whichever they are. */
async function aptSources(): Promise<string> {
  const texts: string[] = [];
  for await (const { name } of Deno.readDir("/etc/apt/sources.list.d")) {
    if (/^debian.*\.(list|sources)$/.test(name)) {
      texts.push(await Deno.readTextFile(`/etc/apt/sources.list.d/${name}`));
    }
  }
  texts.push(await Deno.readTextFile("/etc/apt/sources.list").catch(() => ""));
  return texts.join("\n");
}

/** The layout where images are kept; another one for each change of the recipe. */
export function cachedLayout(): string {
  const tools = Deno.env.get("WHERRY_TOOLS") ||
    `${Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME")}/.cache`}/wherry-build`;
  const recipe = JSON.stringify([EPOCH, IMAGES, Object.values(ROOTS).map(options)]);
  const hash = createHash("sha256").update(recipe).digest("hex").slice(0, 12);
  return `${tools}/base-images/${hash}`;
}

/** Which of the images are not kept yet. */
export async function missingImages(
  dir: string,
  tags: readonly BaseTag[],
): Promise<readonly BaseTag[]> {
  if (await Deno.stat(`${dir}/index.json`).then(() => false, () => true)) return tags;
  const layout = await openLayout(dir);
  const have = new Set(await Array.fromAsync(layout.tags(LAYOUT_REPOSITORY)));
  return tags.filter((tag) => !have.has(tag));
}

/** Streams what mmdebstrap makes into a layer; nothing is written beside it. */
async function rootLayer(layout: Registry, root: Root): Promise<Layer> {
  const child = new Deno.Command("mmdebstrap", {
    args: [...options(root), "", "-", "-"],
    env: {
      SOURCE_DATE_EPOCH: EPOCH,
      DENO: Deno.execPath(),
      UNDATE: decodeURIComponent(new URL("undate_cacerts.ts", import.meta.url).pathname),
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const said = child.stderr.text();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(await aptSources()));
  await writer.close();
  const upload = await layout.upload(LAYOUT_REPOSITORY);
  const written = await uploadTar(child.stdout, upload);
  if (!(await child.status).success) {
    const end = (await said).trim().split("\n").slice(-8).join("\n");
    throw new Error(`Cannot make a root file system: mmdebstrap failed:\n${end}`);
  }
  return layerIn(layout, written);
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

/** Makes images into the layout `dir`; each gets its tag when all of it is there. */
async function make(dir: string, tags: readonly BaseTag[]): Promise<void> {
  const layout = await openLayout(dir, { create: true });
  const roots = new Map<string, Layer>();
  for (const tag of tags) {
    const { root, mark, builds } = IMAGES[tag];
    const start = performance.now();
    const lowest = roots.get(root) ?? await rootLayer(layout, ROOTS[root]);
    roots.set(root, lowest);
    const image = imageOf(root, builds, [lowest, await markLayer(layout, mark)]);
    await pushImage(image, layout, LAYOUT_REPOSITORY, { tags: [tag] });
    const seconds = ((performance.now() - start) / 1000).toFixed(0);
    const size = ((lowest.descriptor.size ?? 0) / 1e6).toFixed(0);
    await say(`${tag} ${image.raw.digest} ${size} MB, ${seconds} s`);
  }
}

function imageOf(root: string, builds: boolean, layers: readonly Layer[]): Image {
  const release = Deno.readTextFileSync("/etc/os-release");
  const version = /^VERSION_ID="?([^"\n]*)/m.exec(release)?.[1] ?? "";
  const ids = builds ? [`CNB_USER_ID=${ID}`, `CNB_GROUP_ID=${ID}`] : [];
  return makeImage({
    os: "linux",
    architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
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
  const tags = BASE_TAGS.filter((tag) => positionals.length === 0 || positionals.includes(tag));
  const unknown = positionals.find((word) => !(BASE_TAGS as readonly string[]).includes(word));
  if (unknown !== undefined) {
    throw new Error(`Cannot make "${unknown}": wanted ${BASE_TAGS.join(", ")}`);
  }
  if (values.fresh !== (values.to !== undefined)) {
    throw new Error("Cannot tell what to do: --fresh and --to DIR go together");
  }
  const dir = values.to ?? cachedLayout();
  const missing = await missingImages(dir, tags);
  if (values.cached && missing.length > 0) {
    await say(`not made yet: ${missing.join(", ")}`);
    return 1;
  }
  if (missing.length > 0) await make(dir, missing);
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
