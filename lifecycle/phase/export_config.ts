/** The config of the app image: how it starts, its environment, its history (13.5). No I/O. */
import { envOf, type History, type ImageConfig } from "../../registry/oci/config.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import { isProcessType } from "../file/launch_toml.ts";
import { compareBytes } from "../../registry/compare_bytes.ts";
import { formatTime } from "./created.ts";

/** Where the launcher lies in an image. */
const LAUNCHER_PATH = "/cnb/lifecycle/launcher";
const PROCESS_DIR = "/cnb/process";
const LIFECYCLE_DIR = "/cnb/lifecycle";

/** What {@linkcode composeConfig} is made of. */
export interface ConfigParts {
  /** For `CNB_PLATFORM_API`. */
  readonly platformApi: string;
  /** The layers directory in the image. */
  readonly layersDir: string;
  /** The app directory in the image. */
  readonly appDir: string;
  /** The process that starts; absent for none. */
  readonly defaultType: string | undefined;
  /** All labels to set. */
  readonly labels: ReadonlyMap<string, string>;
  /** Who made each app layer, bottom to top. */
  readonly createdBy: readonly string[];
  /** Say who made each layer (P0.12); without, history holds times only. Default true. */
  readonly history?: boolean | undefined;
  /** Of image and history. */
  readonly created: Date;
  /** How many layers the base has. */
  readonly baseLayers: number;
}

/**
 * Makes the config of an app image out of its base's (CF-1..CF-5). What is not mentioned there stays as the
 * base has it, also keys nobody knows. `rootfs` stays the base's: whoever adds the layers sets it.
 */
export function composeConfig(base: ImageConfig, parts: ConfigParts): ImageConfig {
  const created = formatTime(parts.created);
  const { Cmd: _cmd, ...container } = base.config;
  const { container: _id, ...rest } = base;
  const labels = Object.entries(base.config.Labels ?? {}).filter(([key]) => !parts.labels.has(key));
  return {
    ...rest as ImageConfig,
    created,
    config: {
      ...container,
      Env: appEnv(base, parts),
      Entrypoint: [
        parts.defaultType === undefined ? LAUNCHER_PATH : `${PROCESS_DIR}/${parts.defaultType}`,
      ],
      WorkingDir: parts.appDir,
      Labels: Object.fromEntries(
        [...labels, ...parts.labels].sort(([a], [b]) => compareBytes(a, b)),
      ),
    },
    history: parts.history === false ? blank(parts.baseLayers + parts.createdBy.length, created) : [
      ...baseHistory(base.history ?? [], parts.baseLayers, created),
      ...parts.createdBy.map((created_by) => ({ created, created_by })),
    ],
  };
}

/** The base's environment with the lifecycle's own set in place, or added at the end (CF-2). */
function appEnv(base: ImageConfig, parts: ConfigParts): string[] {
  const path = envOf(base, "PATH");
  const set: readonly (readonly [string, string])[] = [
    ["CNB_LAYERS_DIR", parts.layersDir],
    ["CNB_APP_DIR", parts.appDir],
    ["CNB_PLATFORM_API", parts.platformApi],
    ["CNB_DEPRECATION_MODE", "quiet"],
    // An empty part of PATH means the current directory: none is made for a base without PATH.
    ["PATH", [PROCESS_DIR, LIFECYCLE_DIR, ...(path ? [path] : [])].join(":")],
  ];
  const env = [...base.config.Env ?? []];
  for (const [name, value] of set) {
    const at = env.findIndex((entry) => entry.startsWith(name + "="));
    const entry = `${name}=${value}`;
    if (at < 0) env.push(entry);
    else env[at] = entry;
  }
  return env;
}

/** One entry a layer; blank ones when the base's history does not fit its layers (CF-5). */
function baseHistory(history: readonly History[], layers: number, created: string): History[] {
  const entries = history.filter((entry) => entry.empty_layer !== true);
  if (entries.length !== layers) return blank(layers, created);
  return entries.map((entry) => ({ ...entry, created }));
}

function blank(layers: number, created: string): History[] {
  return Array.from({ length: layers }, () => ({ created }));
}

/**
 * The process that starts when nothing is asked (CF-1).
 *
 * @param wanted `-process-type`.
 * @param fallback What the buildpacks chose.
 * @throws {LifecycleError} 62 when `wanted` is not among `types`.
 */
export function chooseDefaultType(
  types: readonly string[],
  wanted: string | undefined,
  fallback: string | undefined,
): string | undefined {
  if (wanted !== undefined && wanted !== "") {
    if (types.includes(wanted)) return wanted;
    throw new LifecycleError(
      ExitCode.export,
      `tried to set ${wanted} to default but it doesn't exist: the image has ${
        types.join(", ") || "no process"
      }`,
    );
  }
  return fallback !== undefined && types.includes(fallback) ? fallback : undefined;
}

/**
 * Checks process types (LTM-5): each names a file in the image.
 *
 * @throws {LifecycleError} 62 with the first that cannot be used.
 */
export function checkProcessTypes(types: readonly string[]): void {
  for (const type of types) {
    if (isProcessType(type)) continue;
    throw new LifecycleError(ExitCode.export, `invalid process type ${JSON.stringify(type)}`);
  }
}
