/** The Go rebaser and ours on the same images: config, labels and diffIDs of what comes out, and the exit codes. */
import {
  commandLine,
  madeApp,
  madeBase,
  makeScene,
  put,
  type Shape,
} from "../../cli/rebase/rebase_testing.ts";
import { type Image, makeImage, readImage } from "../../registry/image.ts";
import type { ImageConfig } from "../../registry/oci/config.ts";

/** One image to rebase, and onto what. */
export interface RebaseCase {
  /** For people. */
  readonly name: string;
  /** Of the app; `change` has the last word. */
  readonly app?: Shape;
  /** Of both bases. */
  readonly base?: Shape;
  /** Of the new base alone. */
  readonly next?: Shape;
  /** Changes the app's config. */
  readonly change?: (config: ImageConfig) => ImageConfig;
  /** Changes the new base's config. */
  readonly changeNext?: (config: ImageConfig) => ImageConfig;
  /** The platform API the rebaser is called with; 0.14. */
  readonly platformApi?: string;
  /** The platform API in the app's environment; 0.14. */
  readonly appApi?: string;
  /** Flags. */
  readonly flags?: readonly string[];
  /** Why ours differs, where that is meant; then only exit codes are compared. */
  readonly differs?: string;
}

const labels = (more: Readonly<Record<string, string>>) => (config: ImageConfig): ImageConfig => ({
  ...config,
  config: { ...config.config, Labels: { ...config.config.Labels, ...more } },
});
const without = (...names: readonly string[]) => (config: ImageConfig): ImageConfig => ({
  ...config,
  config: {
    ...config.config,
    Labels: Object.fromEntries(
      Object.entries(config.config.Labels ?? {}).filter(([name]) => !names.includes(name)),
    ),
  },
});
const stack = (id: string, mixins?: readonly string[]) => ({
  "io.buildpacks.stack.id": id,
  ...(mixins === undefined ? {} : { "io.buildpacks.stack.mixins": JSON.stringify(mixins) }),
});
const DISTRO = "io.buildpacks.base.distro.";

/** The corpus. */
export const REBASE_CASES: readonly RebaseCase[] = [
  ...["0.7", "0.8", "0.9", "0.10", "0.11", "0.12", "0.13", "0.14", "0.15"].map((api) => ({
    name: `called at platform API ${api}`,
    platformApi: api,
    base: { labels: stack("s") },
    app: { labels: stack("s") },
  })),
  ...["0.9", "0.11", "0.12", "0.13"].map((api) => ({
    name: `an app built at platform API ${api}`,
    appApi: api,
    base: { labels: stack("s", ["git"]) },
    app: { labels: stack("s", ["git"]) },
  })),
  {
    name: "stacks differ",
    appApi: "0.11",
    base: { labels: stack("t") },
    app: { labels: stack("s") },
  },
  { name: "no stack on the app", appApi: "0.11", base: { labels: stack("s") } },
  { name: "no stack on the base", appApi: "0.11", app: { labels: stack("s") } },
  {
    name: "a mixin is missing",
    appApi: "0.11",
    base: { labels: stack("s", ["git"]) },
    app: { labels: stack("s", ["git", "run:curl"]) },
  },
  {
    name: "mixins for build and run",
    appApi: "0.11",
    base: { labels: stack("s", ["run:git", "curl"]) },
    app: { labels: stack("s", ["git", "build:curl"]) },
  },
  { name: "not rebasable", app: { labels: { "io.buildpacks.rebasable": "false" } } },
  {
    name: "not rebasable, forced",
    app: { labels: { "io.buildpacks.rebasable": "false" } },
    flags: ["-force"],
  },
  { name: "nothing says whether it is rebasable", change: without("io.buildpacks.rebasable") },
  { name: "another architecture", next: { arch: "arm64" } },
  { name: "another distro version", next: { distro: "13" } },
  { name: "another distro version, forced", next: { distro: "13" }, flags: ["-force"] },
  {
    name: "no distro on the app",
    change: without(`${DISTRO}name`, `${DISTRO}version`),
  },
  {
    name: "no distro on the base",
    changeNext: without(`${DISTRO}name`, `${DISTRO}version`),
  },
  { name: "another run image's name", app: { run: "registry.example/other:1" } },
  {
    name: "another run image's name, forced",
    app: { run: "registry.example/other:1" },
    flags: ["-force"],
  },
  {
    name: "labels of the base come and go",
    next: { labels: { "io.buildpacks.base.maintainer": "me", "io.buildpacks.stack.x": "y" } },
    base: { labels: { "io.buildpacks.base.homepage": "old" } },
    app: { labels: { "io.buildpacks.base.homepage": "old", "some.other": "<stays> & stays" } },
  },
  { name: "one layer under, one above", base: { layers: 1 }, app: { layers: 1 } },
  { name: "more layers under than before", next: { layers: 9 } },
  { name: "no layer above", app: { layers: 0 } },
  {
    name: "ports, volumes, entrypoint, user",
    change: (config) => ({
      ...config,
      config: {
        ...config.config,
        User: "1001:1000",
        ExposedPorts: { "8080/tcp": {} },
        Volumes: { "/data": {} },
        Entrypoint: ["/cnb/process/web"],
        Cmd: ["x"],
        WorkingDir: "/workspace",
        StopSignal: "SIGQUIT",
      },
    }),
  },
  {
    name: "history with entries that made no layer",
    change: (config) => ({
      ...config,
      history: [...config.history ?? [], { created_by: "ENV x", empty_layer: true }],
    }),
  },
  {
    name: "an app without history",
    change: ({ history: _, ...config }) => config as ImageConfig,
    differs: "Go loses the first layer of the app then (RB-8)",
  },
  {
    name: "an author",
    change: (config) => ({ ...config, author: "somebody" }),
    differs: "Go loses the author",
  },
  {
    name: "a variant on the base",
    changeNext: (config) => ({ ...config, variant: "v2" }),
    differs: "Go loses the variant (RB-9)",
  },
  {
    name: "an os version on the base",
    changeNext: (config) => ({ ...config, "os.version": "1.2" }),
  },
  { name: "no label", change: without("io.buildpacks.lifecycle.metadata") },
  {
    name: "a base layer that is not in it",
    change: labels({
      "io.buildpacks.lifecycle.metadata": JSON.stringify({
        runImage: { topLayer: `sha256:${"0".repeat(64)}`, reference: "x" },
        stack: { runImage: { image: "run" } },
      }),
    }),
    flags: ["-force"],
  },
  { name: "docker's media types", app: { docker: true }, base: { docker: true } },
];

/** A case whose outcome differs. */
export interface RebaseDifference {
  readonly name: string;
  readonly go: string;
  readonly wherry: string;
}

/** Runs all cases through `go` (a file called rebaser) and our own. */
export async function compareRebases(go: string): Promise<readonly RebaseDifference[]> {
  const found: RebaseDifference[] = [];
  await using it = await makeScene();
  await Deno.chmod(it.dir, 0o777);
  for (const [at, one] of REBASE_CASES.entries()) {
    const run = `${it.host}/run${at}:2`;
    const old = madeBase("1", one.base ?? {});
    const fresh = madeBase("2", { ...one.base, ...one.next });
    const app = madeApp(old, `app ${at}`, { run, ...one.app });
    const withApi: ImageConfig = {
      ...app.config,
      config: {
        ...app.config.config,
        Env: [`CNB_PLATFORM_API=${one.appApi ?? "0.14"}`, "PATH=/cnb"],
      },
    };
    const changed = makeImage(one.change?.(withApi) ?? withApi, app.layers, app);
    await put(
      it.place,
      `run${at}`,
      "2",
      makeImage(one.changeNext?.(fresh.config) ?? fresh.config, fresh.layers, fresh),
    );
    const outcome = async (who: "go" | "wherry"): Promise<string> => {
      const repository = `${who}${at}`;
      await put(it.place, repository, "1", changed);
      const report = `${it.dir}/${repository}.toml`;
      const args = ["-run-image", run, "-report", report, ...one.flags ?? []];
      const api = { CNB_PLATFORM_API: one.platformApi ?? "0.14" };
      const code = who === "wherry"
        ? (await commandLine(
          ["lifecycle", "rebaser", ...args, `${it.host}/${repository}:1`],
          it.dir,
          api,
        )).code
        : (await new Deno.Command(go, {
          args: [...args, "-uid", "1000", "-gid", "1000", `${it.host}/${repository}:1`],
          env: { ...api, HOME: it.dir },
          stdout: "null",
          stderr: "null",
        }).output()).code;
      const image = await readImage(it.place, repository, "1", {
        os: changed.config.os,
        architecture: changed.config.architecture,
      });
      return JSON.stringify({
        code,
        image: one.differs === undefined && image && shown(image, repository),
      });
    };
    const [theirs, ours] = [await outcome("go"), await outcome("wherry")];
    if (theirs !== ours) found.push({ name: one.name, go: theirs, wherry: ours });
  }
  return found;
}

/**
 * What is compared: all of the config but what is empty, in one order. Go writes the metadata label anew, with keys that
 * say nothing, and history without what made a layer; ours keeps both (ANT-2b, RB-8).
 */
function shown(image: Image, repository: string): unknown {
  const isEmpty = (value: unknown) =>
    value === null || value === undefined || value === "" || value === false ||
    (typeof value === "object" && Object.keys(value as object).length === 0);
  const sorted = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(sorted);
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value).map(([key, one]) => [key, sorted(one)] as const)
      .filter(([, one]) => !isEmpty(one));
    return Object.fromEntries(entries.sort(([a], [b]) => a < b ? -1 : 1));
  };
  const config = JSON.parse(
    new TextDecoder().decode(image.rawConfig).replaceAll(repository, "OWN"),
  );
  const labels = config.config?.Labels ?? {};
  const label = labels["io.buildpacks.lifecycle.metadata"];
  if (label) labels["io.buildpacks.lifecycle.metadata"] = JSON.parse(label);
  for (const entry of config.history ?? []) delete entry.created_by;
  return sorted({ ...config, diffIds: image.layers.map(({ diffId }) => diffId) });
}
