// deno-lint-ignore-file no-console -- a benchmark prints what it measured
/**
 * The phases of the lifecycle beside those of the Go lifecycle: same inputs, same registry (Debian's), in turns, as
 * the same user. `deno run -A tests/bench/lifecycle.ts [MiB]`, with the executable in `dist/` or at `$WHERRY`, and the
 * Go one built here or at `$GO_LIFECYCLE`.
 *
 * Look at CPU seconds and counts first: the clock tells more of who else is on the machine.
 */
import { join } from "node:path";
import {
  dockerRegistry,
  startDockerRegistry,
} from "../../registry/client/docker_registry_testing.ts";
import { goLifecycle } from "../oracle/go_lifecycle.ts";
import {
  BUILDPACK,
  layerDir,
  OWNER,
  PLATFORM_API,
  pushBase,
  writeBuildpacks,
  writeLayerToml,
  writeMany,
  writeMixed,
  writePhaseFiles,
} from "./lifecycle_scene.ts";
import { type Cost, costOf, sumOf } from "./run.ts";

const LAYERS = 10;
const MANY_FILES = 100_000;
const DETECTED = 20;
/** How often what can be repeated is; the table has medians. */
const ROUNDS = 3;

/** One of the two. */
interface Lifecycle {
  readonly name: string;
  /** Runs `PHASE flags...`. */
  readonly command: readonly [string, ...string[]];
}

/** What a run leaves behind: each lifecycle has its own, so that neither profits from the other. */
interface Place {
  readonly root: string;
  readonly host: string;
  readonly base: string;
  readonly launcher: string;
}

/** Prints the table. `mib` is the size of the layers in the large export. */
export async function benchLifecycle(
  options: { readonly mib: number; readonly wherry: string; readonly files?: number },
): Promise<void> {
  const both: Lifecycle[] = [{ name: "wherry", command: [options.wherry, "lifecycle"] }];
  const go = Deno.env.get("GO_LIFECYCLE") ?? await goLifecycle();
  if (typeof go === "string") both.unshift({ name: "go", command: [go] });
  else if ("file" in go) both.unshift({ name: "go", command: [go.file] });
  else console.log(`skipped: the Go lifecycle: ${go.why}`);
  if (dockerRegistry === undefined) {
    console.log("skipped: docker-registry is not installed");
    return;
  }
  await using stack = new AsyncDisposableStack();
  const root = await Deno.makeTempDir({ prefix: "wherry-bench-" });
  stack.defer(async () => await Deno.remove(root, { recursive: true }));
  await Deno.chmod(root, 0o755);
  const registry = stack.use(await startDockerRegistry());
  const launcher = join(root, "launcher");
  await Deno.writeFile(launcher, new Uint8Array(20_000).fill(1));
  await Deno.mkdir(join(root, "sboms"));
  const base = await pushBase(registry.host);
  const place: Place = { root, host: registry.host, base, launcher };
  const { mib, files = MANY_FILES } = options;
  console.log(`${mib} MiB in ${LAYERS} layers, half text and half noise, ${both[0]!.name} first`);
  await benchLayers(place, both, mib);
  await benchDetect(place, both);
  await benchManyFiles(place, both, files);
}

/** Export, restore, and the five phases again with nothing changed and with one file changed. */
async function benchLayers(place: Place, both: readonly Lifecycle[], mib: number): Promise<void> {
  const scenes = [];
  for (const lifecycle of both) {
    const dir = await newScene(place, lifecycle);
    for (let layer = 0; layer < LAYERS; layer++) {
      const name = `layer-${layer}`;
      await writeMixed(
        layerDir(dir.layers, name),
        Math.max(1, Math.round(mib / LAYERS)),
        layer + 1,
      );
      await writeLayerToml(dir.layers, name);
    }
    await own(dir.root);
    scenes.push(dir);
  }
  await compare(`first export of ${mib} MiB, with cache`, scenes, (scene) => scene.run("export"));
  const forget = (scene: Scene) => scene.forgetLayers();
  const restore = (scene: Scene) => scene.run("restore");
  await compare(`restore of ${mib} MiB from the cache`, scenes, restore, forget);
  const rebuild = async (scene: Scene) => {
    const costs: Cost[] = [];
    for (const phase of ["analyze", "detect", "restore", "build", "export"] as const) {
      costs.push(await scene.run(phase));
    }
    return sumOf(costs);
  };
  await compare("rebuild, nothing changed: five phases", scenes, rebuild, forget);
  await compare("rebuild, one file of the app changed", scenes, rebuild, async (scene) => {
    await scene.forgetLayers();
    await Deno.writeTextFile(join(scene.app, "file.txt"), `changed ${Math.random()}\n`);
  });
  for (const scene of scenes) await scene.remove();
}

async function benchManyFiles(
  place: Place,
  both: readonly Lifecycle[],
  files: number,
): Promise<void> {
  const scenes = [];
  for (const lifecycle of both) {
    const scene = await newScene(place, lifecycle);
    writeMany(layerDir(scene.layers, "many"), files);
    await writeLayerToml(scene.layers, "many");
    await own(scene.root);
    scenes.push(scene);
  }
  await compare(`first export of ${files} files`, scenes, (scene) => scene.run("export"));
  const restore = (scene: Scene) => scene.run("restore");
  await compare(`restore of ${files} files`, scenes, restore, (scene) => scene.forgetLayers());
  for (const scene of scenes) await scene.remove();
}

async function benchDetect(place: Place, both: readonly Lifecycle[]): Promise<void> {
  const scenes = [];
  for (const lifecycle of both) {
    const scene = await newScene(place, lifecycle);
    await writeBuildpacks(scene.root, DETECTED);
    await own(scene.root);
    scenes.push(scene);
  }
  await compare(
    `detect of ${DETECTED} buildpacks`,
    scenes,
    (scene) => scene.run("detect"),
    () => Promise.resolve(),
  );
  for (const scene of scenes) await scene.remove();
}

interface Scene {
  readonly name: string;
  readonly root: string;
  readonly layers: string;
  readonly app: string;
  run(phase: "analyze" | "detect" | "restore" | "build" | "export"): Promise<Cost>;
  /** As a platform does between two builds: the layers directory is new, the cache stays. */
  forgetLayers(): Promise<void>;
  remove(): Promise<void>;
}

let scenes = 0;

async function newScene(place: Place, lifecycle: Lifecycle): Promise<Scene> {
  const root = join(place.root, `${lifecycle.name}-${++scenes}`);
  const layers = join(root, "layers");
  const app = join(root, "app");
  const image = `${place.host}/${lifecycle.name}-${scenes}`;
  for (const dir of [layers, app, join(root, "cache"), join(root, "platform", "env")]) {
    await Deno.mkdir(dir, { recursive: true });
  }
  await Deno.mkdir(join(layers, BUILDPACK.replace("/", "_")), { recursive: true });
  await Deno.writeTextFile(join(app, "file.txt"), "app\n");
  await writeBuildpacks(root, 1);
  await writePhaseFiles(layers, place.base);
  const flags = {
    analyze: ["-run-image", place.base.split("@")[0]!, "-uid", "-gid", "-layers", image],
    detect: ["-app", "-layers", "-buildpacks", "-platform", "-order"],
    restore: ["-layers", "-uid", "-gid", "-cache-dir"],
    build: ["-app", "-layers", "-buildpacks", "-platform"],
    export: ["-app", "-layers", "-uid", "-gid", "-cache-dir", "-launcher", "-launcher-sbom", image],
  };
  const values: Readonly<Record<string, string>> = {
    "-app": app,
    "-layers": layers,
    "-buildpacks": join(root, "buildpacks"),
    "-platform": join(root, "platform"),
    "-order": join(root, "order.toml"),
    "-cache-dir": join(root, "cache"),
    "-launcher": place.launcher,
    "-launcher-sbom": join(place.root, "sboms"),
    "-uid": String(OWNER.uid),
    "-gid": String(OWNER.gid),
  };
  return {
    name: lifecycle.name,
    root,
    layers,
    app,
    async run(phase) {
      const [program, ...before] = lifecycle.command;
      const words = flags[phase].flatMap((flag) => flag in values ? [flag, values[flag]!] : [flag]);
      // Those two refuse to be root; the others drop to the user by themselves.
      const asUser = (phase === "detect" || phase === "build") && Deno.uid() === 0;
      const user = ["--reuid", String(OWNER.uid), "--regid", String(OWNER.gid), "--clear-groups"];
      const [file, args] = asUser
        ? ["setpriv", [...user, program, ...before, phase, ...words]]
        : [program, [...before, phase, ...words]];
      return await costOf(file, args, {
        cwd: "/tmp",
        env: { CNB_PLATFORM_API: PLATFORM_API, CNB_NO_COLOR: "true" },
      });
    },
    async forgetLayers() {
      // Aside, not away: ext4 does not use an inode again for minutes and looks at each that was freed whenever it wants one,
      // so 100,000 files made just after as many were removed take ten times as long as on the new volume of a platform.
      await Deno.rename(layers, join(root, `old-${crypto.randomUUID()}`));
      await Deno.mkdir(join(layers, BUILDPACK.replace("/", "_")), { recursive: true });
      await writePhaseFiles(layers, place.base);
      await own(layers);
    },
    remove: () => Deno.remove(root, { recursive: true }),
  };
}

async function own(dir: string): Promise<void> {
  await new Deno.Command("chown", { args: ["-R", `${OWNER.uid}:${OWNER.gid}`, dir] }).output();
}

/** Prints a line for each of the scenes: medians of a few rounds in turns when `before` makes each round a new one. */
async function compare(
  what: string,
  scenes: readonly Scene[],
  act: (scene: Scene) => Promise<Cost>,
  before?: (scene: Scene) => Promise<void>,
): Promise<void> {
  const rounds: Cost[][] = scenes.map(() => []);
  for (let round = 0; round < (before ? ROUNDS : 1); round++) {
    for (const [at, scene] of scenes.entries()) {
      await before?.(scene);
      rounds[at]!.push(await act(scene));
    }
  }
  const costs = rounds.map((each) => ({
    cpu: median(each.map(({ cpu }) => cpu)),
    wall: median(each.map(({ wall }) => wall)),
    peakMib: median(each.map(({ peakMib }) => peakMib)),
  }));
  for (const [at, cost] of costs.entries()) {
    const scene = scenes[at]!;
    console.log(
      `${what.padEnd(40)} ${scene.name.padEnd(7)} ${cost.cpu.toFixed(2).padStart(7)} s of CPU ${
        cost.wall.toFixed(2).padStart(7)
      } s ${cost.peakMib.toFixed(0).padStart(5)} MiB peak`,
    );
  }
  const [theirs, ours] = costs;
  if (theirs === undefined || ours === undefined) return;
  console.log(
    `${"  ratio".padEnd(48)} ${(theirs.cpu / ours.cpu).toFixed(2).padStart(7)} x        ${
      (theirs.wall / ours.wall).toFixed(2).padStart(7)
    } x`,
  );
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

if (import.meta.main) {
  await benchLifecycle({
    mib: Number(Deno.args[0] ?? "1024"),
    files: Number(Deno.args[1] ?? MANY_FILES),
    wherry: Deno.env.get("WHERRY") ?? new URL("../../dist/wherry", import.meta.url).pathname,
  });
}
