// deno-lint-ignore-file no-console
/**
 * A builder of 500 MB: pulled and unpacked beside umoci, podman and docker, from the same registry (Debian's), in turns;
 * how soon a build with one that is there begins to detect. Then the examples, built beside the Go lifecycle.
 */
import { join } from "node:path";
import {
  dockerRegistry,
  startDockerRegistry,
} from "../../registry/client/docker_registry_testing.ts";
import { connectRegistry } from "../../registry/client/client.ts";
import { type Layer, makeImage, pushImage, readImage } from "../../registry/image.ts";
import { uploadTar } from "../../registry/layer/write_layer.ts";
import { LAYOUT_REPOSITORY, openLayout } from "../../registry/store/layout.ts";
import { canMakeBase, writeBase, writeBuildBase } from "../accept/base_image_testing.ts";
import {
  dockerEngine,
  type Engine,
  podmanEngine,
  type Took,
  umociEngine,
  wherryEngine,
} from "./builder_engines.ts";
import { benchExamples } from "./builder_examples.ts";
import { run } from "./registry_testing.ts";

const MB = 500;
const LAYERS = 5;
const ROUNDS = 2;
const PLATFORM = {
  os: "linux",
  architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
} as const;

/** Prints the tables. */
export async function benchBuilder(options: { readonly wherry: string }): Promise<void> {
  const { wherry } = options;
  if (dockerRegistry === undefined || !canMakeBase()) {
    console.log("skipped: docker-registry, bash-static or busybox-static is not installed");
    return;
  }
  await using stack = new AsyncDisposableStack();
  const root = await Deno.makeTempDir({ prefix: "wherry-bench-" });
  stack.defer(() => run("rm", ["-rf", root]).then(() => {}));
  await Deno.chmod(root, 0o755);
  const { host } = stack.use(await startDockerRegistry());
  const builder = `${host}/builder:1`;
  const run1 = await makeBuilder(root, wherry, host, builder);
  const engines: Engine[] = [wherryEngine(wherry, root)];
  for (const open of [umociEngine, podmanEngine, dockerEngine]) {
    const engine = await open(root);
    if (typeof engine === "string") console.log(`skipped: ${engine}`);
    else engines.push(stack.use(engine));
  }
  await benchPull(engines, builder);
  await benchStart(root, wherry, { builder, run: run1, host });
  await benchExamples({ root, wherry, host });
}

/** Cold, then warm, in turns; the better of each. */
async function benchPull(engines: readonly Engine[], image: string): Promise<void> {
  const best = new Map(engines.map((one) => [one, { cold: NEVER, warm: NEVER }]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const engine of engines) {
      const seen = best.get(engine)!;
      seen.cold = quicker(seen.cold, await engine.cold(image, round));
      seen.warm = quicker(seen.warm, await engine.warm(image, round));
    }
  }
  const ours = best.get(engines[0]!)!;
  console.log("again: wherry starts a program in it, umoci unpacks anew, the others look for news");
  for (const [{ name }, { cold, warm }] of best) {
    console.log(`${name.padEnd(24)} cold ${told(cold)}   again ${told(warm)}`);
  }
  for (const [{ name }, { cold, warm }] of [...best].slice(1)) {
    const ratio = (theirs: Took, own: Took) => (theirs.wall / own.wall).toFixed(2);
    console.log(
      `ratio: beside ${name}: ${ratio(cold, ours.cold)} times as fast cold, ${
        ratio(warm, ours.warm)
      } again; again is ${ratio(cold, ours.warm)} times as fast as its cold`,
    );
  }
}

const NEVER: Took = { wall: Infinity };

function quicker(a: Took, b: Took): Took {
  return b.wall < a.wall ? b : a;
}

function told({ wall, cpu }: Took): string {
  const used = cpu === undefined ? "(a daemon's)" : `${(cpu / 1000).toFixed(2)} s of CPU`;
  return `${(wall / 1000).toFixed(2).padStart(6)} s ${used.padStart(13)}`;
}

/** How long after the command a second build detects. */
async function benchStart(
  root: string,
  wherry: string,
  images: { readonly builder: string; readonly run: string; readonly host: string },
): Promise<void> {
  const app = join(root, "app");
  await Deno.mkdir(app);
  await Deno.writeTextFile(join(app, "file.txt"), "app\n");
  for (const policy of ["always", "if-not-present"]) {
    const seen: { readonly wall: number; readonly cpu: number }[] = [];
    for (let round = 0; round < 4; round++) {
      seen.push(
        await untilDetecting(wherry, [
          ...["build", `${images.host}/app`, "--publish", "--store", join(root, "wherry-0")],
          ...["--builder", images.builder, "--run-image", images.run],
          ...["--path", app, "--pull-policy", policy],
        ]),
      );
    }
    const best = seen.slice(1).reduce((a, b) => b.wall < a.wall ? b : a);
    console.log(
      `detecting ${best.wall.toFixed(0)} ms after the command (${
        best.cpu.toFixed(0)
      } ms of CPU), builder there, --pull-policy ${policy}`,
    );
  }
}

async function untilDetecting(
  program: string,
  args: readonly string[],
): Promise<{ readonly wall: number; readonly cpu: number }> {
  const start = performance.now();
  const child = new Deno.Command(program, { args: [...args], stdout: "null", stderr: "piped" })
    .spawn();
  let seen: { wall: number; cpu: number } | undefined;
  let text = "";
  for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (seen !== undefined || !text.includes("===> DETECTING")) continue;
    const fields = Deno.readTextFileSync(`/proc/${child.pid}/stat`).split(") ").at(-1)!.split(" ");
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    seen = { wall: performance.now() - start, cpu: ticks * 10 };
  }
  const { success } = await child.status;
  if (!success || seen === undefined) throw new Error(`Cannot build: ${text}`);
  return seen;
}

/**
 * A builder on busybox and five layers of this machine's own programs and libraries, real sizes and real links, in the
 * registry as `name`.
 *
 * @returns The name of its run image.
 */
async function makeBuilder(
  root: string,
  wherry: string,
  host: string,
  name: string,
): Promise<string> {
  const base = join(root, "base");
  await writeBase(base, 1);
  await writeBuildBase(base);
  const layout = await openLayout(base);
  const small = (await readImage(layout, LAYOUT_REPOSITORY, "build", PLATFORM))!;
  await run("sh", ["-c", PICK, "sh", root, `${MB * 1e6}`, `${LAYERS}`]);
  const layers: Layer[] = [];
  for (let at = 0; at < LAYERS; at++) {
    const tar = new Deno.Command("tar", {
      args: [
        ...["--create", "--no-recursion", "--sort=name", "--mtime=@0", "--owner=0", "--group=0"],
        ...["--numeric-owner", "--transform", "s,^usr,opt/bench,S", "-C", "/"],
        ...["--files-from", join(root, `list-${at}`)],
      ],
      stdout: "piped",
    }).spawn();
    const upload = await layout.upload(LAYOUT_REPOSITORY);
    const { diffId, descriptor } = await uploadTar(tar.stdout, upload);
    if (!(await tar.status).success) throw new Error("Cannot pack files of this machine");
    const blob = async () => (await layout.blob(LAYOUT_REPOSITORY, descriptor.digest))!;
    const origin = { registry: layout, repository: LAYOUT_REPOSITORY };
    layers.push({ diffId, descriptor, blob, origin });
  }
  const image = makeImage(small.config, [...small.layers, ...layers]);
  await pushImage(image, layout, LAYOUT_REPOSITORY, { tags: ["large"] });
  await using registry = connectRegistry(host, {});
  const runImage = (await readImage(layout, LAYOUT_REPOSITORY, "1", PLATFORM))!;
  await pushImage(runImage, registry, "run", { tags: ["1"] });
  await writeFiles(root, host);
  await run(wherry, [
    ...["builder", "create", name, "--publish", "--config", join(root, "builder.toml")],
    ...["--store", join(root, "made")],
  ]);
  const size = image.layers.reduce((sum, layer) => sum + layer.descriptor.size, 0);
  const files = (await run("sh", ["-c", 'cat "$1"/list-* | wc -l', "sh", root])).trim();
  console.log(
    `a builder of ${MB} MB in ${files} files and ${image.layers.length} layers, ${
      (size / 1e6).toFixed(0)
    } MB compressed`,
  );
  return `${host}/run:1`;
}

/** Files and links below /usr in order of their names, until there are enough bytes, in lists of equal size. */
const PICK =
  `find /usr/lib /usr/share /usr/bin -xdev \\( -type f -o -type l \\) -readable -printf '%P\\t%H\\t%s\\n' |
  LC_ALL=C sort | awk -F '\\t' -v to="$1" -v most="$2" -v parts="$3" '
    sum < most && $3 < most / parts / 4 && $1 !~ /[\\\\"]/ {
      sum += $3; part = int(sum * parts / most); if (part >= parts) part = parts - 1
      print substr($2, 2) "/" $1 >(to "/list-" part)
    }'`;

async function writeFiles(root: string, host: string): Promise<void> {
  const files: Readonly<Record<string, string>> = {
    "bp/buildpack.toml":
      'api = "0.10"\n[buildpack]\nid = "bench/none"\nversion = "1"\n[[targets]]\nos = "linux"\n',
    "bp/bin/detect": "#!/bin/sh\n",
    "bp/bin/build": "#!/bin/sh\n",
    "lifecycle/lifecycle.toml":
      '[lifecycle]\nversion = "1.0.0"\n[apis.buildpack]\ndeprecated = []\nsupported = ["0.10"]\n' +
      '[apis.platform]\ndeprecated = []\nsupported = ["0.12"]\n',
    "lifecycle/lifecycle/lifecycle": "#!/bin/sh\n",
    "builder.toml": `
[[buildpacks]]
uri = "bp"
[[order]]
[[order.group]]
id = "bench/none"
[build]
image = "oci:base:large"
[run]
[[run.images]]
image = "${host}/run:1"
[lifecycle]
uri = "lifecycle"
`,
  };
  for (const [name, text] of Object.entries(files)) {
    const path = join(root, name);
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, text);
    if (text.startsWith("#!")) await Deno.chmod(path, 0o755);
  }
}
