/**
 * Makes images to build and run on, from Debian packages only, in an OCI layout: `build` (a build image), `run` and `run2`
 * (run images that differ in one layer, for rebase), `tiny` (a run image without a shell). All have the usual labels and
 * the CNB user 1000.
 *
 *     deno run -A scripts/base_images.ts DIR            Debian's minimal system: root, mmdebstrap, about a minute
 *     deno run -A scripts/base_images.ts DIR --small    static busybox and bash: a second; no `tiny`
 *
 * The same packages give the same bytes. Root file systems made of Debian are kept outside the checkout, in
 * ${XDG_CACHE_HOME:-$HOME/.cache}/wherry-build/base-images; remove it to get newer packages.
 */
import { type Layer, makeImage, pushImage } from "../registry/image.ts";
import type { TreeEntry } from "../registry/layer/entry.ts";
import { uploadTar, writeLayer } from "../registry/layer/write_layer.ts";
import type { Registry } from "../registry/registry.ts";
import { LAYOUT_REPOSITORY, openLayout } from "../registry/store/layout.ts";
import { writeBase, writeBuildBase } from "../tests/accept/base_image_testing.ts";

const ID = 1000;
/** A date all files have, so that only packages change bytes. */
const EPOCH = "1735689600";

/** The root file systems, and what mmdebstrap makes them of. */
const ROOTS = {
  build: { variant: "minbase", packages: ["ca-certificates", "curl", "git", "xz-utils"] },
  run: { variant: "minbase", packages: ["ca-certificates"] },
  tiny: { variant: "extract", packages: ["base-files", "libc6", "netbase", "tzdata"] },
} as const;

type Root = keyof typeof ROOTS;

async function run(program: string, args: readonly string[], input = ""): Promise<void> {
  const child = new Deno.Command(program, {
    args: [...args],
    env: { SOURCE_DATE_EPOCH: EPOCH },
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const [said, { success }] = await Promise.all([child.stderr.text(), child.status]);
  if (!success) throw new Error(`${program} failed: ${said.split("\n").slice(-8).join("\n")}`);
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

async function rootTar(name: Root): Promise<string> {
  const home = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME")}/.cache`;
  const dir = `${home}/wherry-build/base-images`;
  const path = `${dir}/${name}-1.tar`;
  if (await Deno.stat(path).then(() => true, () => false)) return path;
  await Deno.mkdir(dir, { recursive: true });
  const { variant, packages } = ROOTS[name];
  const user = `grep -q ^cnb: "$1/etc/passwd" 2>/dev/null || {
    echo "cnb:x:${ID}:${ID}::/home/cnb:/bin/sh" >>"$1/etc/passwd"
    echo "cnb:x:${ID}:" >>"$1/etc/group"
    mkdir -p "$1/home/cnb" "$1/tmp" && chown ${ID}:${ID} "$1/home/cnb" && chmod 1777 "$1/tmp"
  }`;
  // What a run would change by itself: logs, caches, machine ids.
  const clean =
    'rm -rf "$1"/var/log/* "$1"/var/cache/* "$1"/var/lib/apt/lists/* "$1"/etc/machine-id';
  const part = `${path}.${crypto.randomUUID()}.tar`;
  await run("mmdebstrap", [
    "--quiet",
    "--mode=root",
    `--variant=${variant}`,
    `--include=${packages.join(",")}`,
    `--customize-hook=${user}`,
    `--customize-hook=${clean}`,
    "",
    part,
    "-",
  ], await aptSources());
  await Deno.rename(part, path);
  return path;
}

async function tarLayer(layout: Registry, path: string): Promise<Layer> {
  using file = await Deno.open(path);
  const upload = await layout.upload(LAYOUT_REPOSITORY);
  const { diffId, descriptor } = await uploadTar(file.readable, upload);
  const blob = async () => (await layout.blob(LAYOUT_REPOSITORY, descriptor.digest))!;
  return { diffId, descriptor, blob, origin: { registry: layout, repository: LAYOUT_REPOSITORY } };
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
  const { diffId, descriptor } = await writeLayer(entries, upload);
  await upload.commit(descriptor.digest);
  const blob = async () => (await layout.blob(LAYOUT_REPOSITORY, descriptor.digest))!;
  return { diffId, descriptor, blob, origin: { registry: layout, repository: LAYOUT_REPOSITORY } };
}

async function debian(dir: string): Promise<void> {
  const layout = await openLayout(dir, { create: true });
  const release = await Deno.readTextFile("/etc/os-release");
  const version = /^VERSION_ID="?([^"\n]*)/m.exec(release)?.[1] ?? "";
  const write = async (tag: string, root: Root, mark: string, env: readonly string[] = []) => {
    const layers = [await tarLayer(layout, await rootTar(root)), await markLayer(layout, mark)];
    const image = makeImage({
      os: "linux",
      architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
      created: "2025-01-01T00:00:00Z",
      config: {
        User: `${ID}:${ID}`,
        Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ...env],
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
    await pushImage(image, layout, LAYOUT_REPOSITORY, { tags: [tag] });
    await say(`${tag} ${image.raw.digest}`);
  };
  await write("build", "build", "build 1\n", [`CNB_USER_ID=${ID}`, `CNB_GROUP_ID=${ID}`]);
  await write("run", "run", "run 1\n");
  await write("run2", "run", "run 2\n");
  await write("tiny", "tiny", "tiny 1\n");
}

async function small(dir: string): Promise<void> {
  await say(`build ${await writeBuildBase(dir)}`);
  await say(`1 ${await writeBase(dir, 1)}`);
  await say(`2 ${await writeBase(dir, 2)}`);
}

async function say(line: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(line + "\n"));
}

if (import.meta.main) {
  const dir = Deno.args.find((word) => !word.startsWith("--"));
  if (dir === undefined) {
    await say("usage: deno run -A scripts/base_images.ts DIR [--small]");
    Deno.exit(3);
  }
  await (Deno.args.includes("--small") ? small(dir) : debian(dir));
}
