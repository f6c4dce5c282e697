/** Every input of a lifecycle, as one table: its flag, its variable, its default, and who takes it since when. */
import type { GoFlagKind } from "./go_flags.ts";

/** A phase, by the name of its sub-command. */
export type PhaseName =
  | "analyze"
  | "detect"
  | "restore"
  | "extend"
  | "build"
  | "export"
  | "create"
  | "rebase";

/** One input (2.2). */
export interface InputRow {
  /** Flag, without dash; absent where there is only a variable. */
  readonly flag?: string;
  /** Variable; absent where there is only a flag. */
  readonly env?: string;
  /** What it holds. */
  readonly kind: GoFlagKind;
  /** When neither flag nor variable is given. `<layers>` stands for the layers directory. */
  readonly fallback?: string;
  /** A directory: made absolute (CLI-6). */
  readonly directory?: true;
  /** Phases that have the flag, each with the first minor version of platform API 0.x that does. */
  readonly phases: Partial<Readonly<Record<PhaseName, number>>>;
  /** The first minor version that has the flag no more, for all phases but the creator. */
  readonly until?: number;
  /** For `-help`. */
  readonly usage: string;
}

const ALL = {
  analyze: 0,
  detect: 0,
  restore: 0,
  extend: 0,
  build: 0,
  export: 0,
  create: 0,
  rebase: 0,
};

/** The inputs, by the name the code has for them. */
export const INPUTS = {
  logLevel: {
    flag: "log-level",
    env: "CNB_LOG_LEVEL",
    kind: "string",
    fallback: "info",
    phases: ALL,
    usage: "logging level: debug, info, warn or error",
  },
  noColor: {
    flag: "no-color",
    env: "CNB_NO_COLOR",
    kind: "bool",
    phases: ALL,
    usage: "disable color output",
  },
  appDir: {
    flag: "app",
    env: "CNB_APP_DIR",
    kind: "string",
    fallback: "/workspace",
    directory: true,
    phases: { detect: 0, build: 0, export: 0, extend: 0, create: 0 },
    usage: "path to the app directory",
  },
  layersDir: {
    flag: "layers",
    env: "CNB_LAYERS_DIR",
    kind: "string",
    fallback: "/layers",
    directory: true,
    phases: { analyze: 0, detect: 0, restore: 0, extend: 0, build: 0, export: 0, create: 0 },
    usage: "path to the layers directory",
  },
  platformDir: {
    flag: "platform",
    env: "CNB_PLATFORM_DIR",
    kind: "string",
    fallback: "/platform",
    directory: true,
    phases: { detect: 0, build: 0, extend: 0, create: 0 },
    usage: "path to the platform directory",
  },
  buildConfigDir: {
    flag: "build-config",
    env: "CNB_BUILD_CONFIG_DIR",
    kind: "string",
    fallback: "/cnb/build-config",
    directory: true,
    phases: { detect: 11, build: 11, create: 11 },
    usage: "path to the build config directory",
  },
  buildpacksDir: {
    flag: "buildpacks",
    env: "CNB_BUILDPACKS_DIR",
    kind: "string",
    fallback: "/cnb/buildpacks",
    directory: true,
    phases: { detect: 0, build: 0, extend: 0, create: 0 },
    usage: "path to the buildpacks directory",
  },
  extensionsDir: {
    flag: "extensions",
    env: "CNB_EXTENSIONS_DIR",
    kind: "string",
    fallback: "/cnb/extensions",
    directory: true,
    phases: { detect: 10 },
    usage: "path to the extensions directory",
  },
  orderPath: {
    flag: "order",
    env: "CNB_ORDER_PATH",
    kind: "string",
    fallback: "<layers>/order.toml",
    phases: { detect: 0, create: 0 },
    usage: "path to order.toml",
  },
  systemPath: {
    flag: "system",
    env: "CNB_SYSTEM_PATH",
    kind: "string",
    fallback: "/cnb/system.toml",
    phases: { detect: 15, create: 15 },
    usage: "path to system.toml",
  },
  runPath: {
    flag: "run",
    env: "CNB_RUN_PATH",
    kind: "string",
    fallback: "/cnb/run.toml",
    phases: { analyze: 12, detect: 12, restore: 14, export: 12, create: 12 },
    usage: "path to run.toml",
  },
  stackPath: {
    flag: "stack",
    env: "CNB_STACK_PATH",
    kind: "string",
    fallback: "/cnb/stack.toml",
    phases: { analyze: 0, export: 0, create: 0 },
    until: 12,
    usage: "path to stack.toml",
  },
  analyzedPath: {
    flag: "analyzed",
    env: "CNB_ANALYZED_PATH",
    kind: "string",
    fallback: "<layers>/analyzed.toml",
    phases: { analyze: 0, detect: 10, restore: 0, build: 12, extend: 0, export: 0 },
    usage: "path to analyzed.toml",
  },
  groupPath: {
    flag: "group",
    env: "CNB_GROUP_PATH",
    kind: "string",
    fallback: "<layers>/group.toml",
    phases: { detect: 0, restore: 0, build: 0, extend: 0, export: 0 },
    usage: "path to group.toml",
  },
  planPath: {
    flag: "plan",
    env: "CNB_PLAN_PATH",
    kind: "string",
    fallback: "<layers>/plan.toml",
    phases: { detect: 0, build: 0, extend: 0 },
    usage: "path to plan.toml",
  },
  generatedDir: {
    flag: "generated",
    env: "CNB_GENERATED_DIR",
    kind: "string",
    fallback: "<layers>/generated",
    directory: true,
    phases: { detect: 10, restore: 12, extend: 0 },
    usage: "path to the directory of files that extensions generate",
  },
  extendedDir: {
    flag: "extended",
    env: "CNB_EXTENDED_DIR",
    kind: "string",
    fallback: "<layers>/extended",
    phases: { extend: 12, export: 12 },
    usage: "path to the directory of image layers made by extensions",
  },
  extendKind: {
    flag: "kind",
    env: "CNB_EXTEND_KIND",
    kind: "string",
    fallback: "build",
    phases: { extend: 12 },
    usage: "kind of image to extend: build or run",
  },
  kanikoCacheTtl: {
    flag: "kaniko-cache-ttl",
    env: "CNB_KANIKO_CACHE_TTL",
    kind: "duration",
    fallback: "336h",
    phases: { extend: 10 },
    usage: "how long layers of extensions are kept",
  },
  reportPath: {
    flag: "report",
    env: "CNB_REPORT_PATH",
    kind: "string",
    fallback: "<layers>/report.toml",
    phases: { export: 0, rebase: 0, create: 0 },
    usage: "path to report.toml",
  },
  projectMetadataPath: {
    flag: "project-metadata",
    env: "CNB_PROJECT_METADATA_PATH",
    kind: "string",
    fallback: "<layers>/project-metadata.toml",
    phases: { export: 0, create: 0 },
    usage: "path to project-metadata.toml",
  },
  cacheDir: {
    flag: "cache-dir",
    env: "CNB_CACHE_DIR",
    kind: "string",
    directory: true,
    phases: { restore: 0, export: 0, create: 0 },
    usage: "path to the cache directory",
  },
  cacheImage: {
    flag: "cache-image",
    env: "CNB_CACHE_IMAGE",
    kind: "string",
    phases: { analyze: 0, restore: 0, export: 0, create: 0 },
    usage: "name of the cache image",
  },
  launchCacheDir: {
    flag: "launch-cache",
    env: "CNB_LAUNCH_CACHE_DIR",
    kind: "string",
    directory: true,
    phases: { analyze: 9, export: 0, create: 0 },
    usage: "path to the launch cache directory; only with -daemon",
  },
  skipLayers: {
    flag: "skip-layers",
    env: "CNB_SKIP_LAYERS",
    kind: "bool",
    phases: { analyze: 9, restore: 0 },
    usage: "do not provide layer metadata to buildpacks",
  },
  skipRestore: {
    flag: "skip-restore",
    env: "CNB_SKIP_RESTORE",
    kind: "bool",
    phases: { create: 0 },
    usage: "do not restore layers or layer metadata",
  },
  previousImage: {
    flag: "previous-image",
    env: "CNB_PREVIOUS_IMAGE",
    kind: "string",
    phases: { analyze: 0, create: 0, rebase: 11 },
    usage: "name of the image whose layers may be reused",
  },
  runImage: {
    flag: "run-image",
    env: "CNB_RUN_IMAGE",
    kind: "string",
    phases: { analyze: 0, create: 0, rebase: 0, export: 0 },
    usage: "name of the run image",
  },
  oldRunImage: {
    flag: "image",
    kind: "string",
    phases: { create: 0, rebase: 0, export: 0 },
    usage: "deprecated name of -run-image",
  },
  buildImage: {
    flag: "build-image",
    env: "CNB_BUILD_IMAGE",
    kind: "string",
    phases: { restore: 10 },
    usage: "name of the build image",
  },
  processType: {
    flag: "process-type",
    env: "CNB_PROCESS_TYPE",
    kind: "string",
    phases: { export: 0, create: 0 },
    usage: "default process type",
  },
  forceRebase: {
    flag: "force",
    env: "CNB_FORCE_REBASE",
    kind: "bool",
    phases: { rebase: 12 },
    usage: "rebase even if it is unsafe",
  },
  launcherSbomDir: {
    flag: "launcher-sbom",
    kind: "string",
    fallback: "/cnb/lifecycle",
    phases: { export: 11, create: 11 },
    usage: "path to the directory of the launcher's SBOMs",
  },
  launcherPath: {
    flag: "launcher",
    kind: "string",
    fallback: "/cnb/lifecycle/launcher",
    phases: { export: 0, create: 0 },
    usage: "path to the launcher",
  },
  tags: {
    flag: "tag",
    kind: "list",
    phases: { analyze: 0, create: 0 },
    usage: "additional tag (repeatable)",
  },
  useDaemon: {
    flag: "daemon",
    env: "CNB_USE_DAEMON",
    kind: "bool",
    phases: { analyze: 0, restore: 12, export: 0, create: 0, rebase: 0 },
    usage: "export to a container daemon: not supported",
  },
  useLayout: {
    flag: "layout",
    env: "CNB_USE_LAYOUT",
    kind: "bool",
    phases: { analyze: 12, restore: 12, export: 12, create: 12 },
    usage: "images are OCI layouts on disk",
  },
  layoutDir: {
    flag: "layout-dir",
    env: "CNB_LAYOUT_DIR",
    kind: "string",
    phases: { analyze: 12, restore: 12, export: 12, create: 12 },
    usage: "path to the directory of OCI layouts",
  },
  insecureRegistries: {
    flag: "insecure-registry",
    env: "CNB_INSECURE_REGISTRIES",
    kind: "list",
    phases: { analyze: 13, restore: 13, export: 13, create: 13, rebase: 13 },
    usage: "prefix of image names whose registry may lack a valid certificate (repeatable)",
  },
  parallelExport: {
    flag: "parallel",
    env: "CNB_PARALLEL_EXPORT",
    kind: "bool",
    phases: { export: 0, create: 0 },
    usage: "export app image and cache at the same time",
  },
  uid: {
    flag: "uid",
    env: "CNB_USER_ID",
    kind: "int",
    phases: { analyze: 0, restore: 0, export: 0, extend: 0, create: 0, rebase: 0 },
    usage: "numeric user of build and run image",
  },
  gid: {
    flag: "gid",
    env: "CNB_GROUP_ID",
    kind: "int",
    phases: { analyze: 0, restore: 0, export: 0, extend: 0, create: 0, rebase: 0 },
    usage: "numeric group of build and run image",
  },
  execEnv: {
    env: "CNB_EXEC_ENV",
    kind: "string",
    fallback: "production",
    phases: {},
    usage: "",
  },
  deprecationMode: {
    env: "CNB_DEPRECATION_MODE",
    kind: "string",
    fallback: "warn",
    phases: {},
    usage: "",
  },
  experimentalMode: {
    env: "CNB_EXPERIMENTAL_MODE",
    kind: "string",
    fallback: "error",
    phases: {},
    usage: "",
  },
} as const satisfies Readonly<Record<string, InputRow>>;

/** Names of inputs. */
export type InputName = keyof typeof INPUTS;

/** Whether `phase` takes the flag of `row` at platform API 0.`minor`. */
export function takesFlag(row: InputRow, phase: PhaseName, minor: number): boolean {
  const since = row.phases[phase];
  if (row.flag === undefined || since === undefined || minor < since) return false;
  return row.until === undefined || minor < row.until || phase === "create";
}
