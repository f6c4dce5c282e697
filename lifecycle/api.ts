/**
 * What each API version turns on. A phase looks its switches up once and then asks for a switch by
 * name, never for a version.
 *
 * @see CNB platform spec and buildpack spec, "API Versions"
 */
import { ExitCode, LifecycleError } from "./error.ts";

/** What a platform API version turns on. */
export interface PlatformCapabilities {
  /** The version, `major.minor`. */
  readonly platformApi: string;
  /** SBOM files reach image and cache, and come back (P0.8). */
  readonly sboms: boolean;
  /** The deprecated BOM is a file beside the SBOMs, no longer part of label and report (P0.9). */
  readonly legacyBomFiles: boolean;
  /** `SOURCE_DATE_EPOCH` (P0.9). */
  readonly sourceDateEpoch: boolean;
  /** A creator that is to restore nothing still restores `store.toml` (P0.10). */
  readonly skippingRestoresStore: boolean;
  /** SBOMs of the lifecycle and its launcher (P0.11). */
  readonly ownSboms: boolean;
  /** The cache image that a new one replaces is left to the registry (P0.13). */
  readonly keepsOldCacheImage: boolean;
  /** `run.toml`, and targets instead of stacks (P0.12). */
  readonly targets: boolean;
  /** `image` and `mirrors` under `runImage` of the metadata label (P0.12). */
  readonly runImageInLabel: boolean;
  /** Each layer of the app image says in the history who made it (P0.12). */
  readonly history: boolean;
  /** `command` is an array in `metadata.toml` and in the build metadata label (P0.10). */
  readonly commandArray: boolean;
  /** `<build-config>/env`. */
  readonly buildConfig: boolean;
  /** Image extensions are no experiment, and have contexts (P0.13). */
  readonly stableExtensions: boolean;
  /** Image extensions, as an experiment at first; `analyzed.toml` is read by the detector (P0.10). */
  readonly extensions: boolean;
  /** The run image can be extended, and the exporter takes its new layers (P0.12). */
  readonly runImageExtension: boolean;
  /** `-insecure-registry` (P0.13). */
  readonly insecureRegistries: boolean;
  /** `-parallel` (P0.13). */
  readonly parallelExport: boolean;
  /** Metadata of a launch and cache layer may come from the cache alone (P0.14). */
  readonly launchMetadataFromCache: boolean;
  /** The restorer checks that the selected run image can be read (P0.14). */
  readonly restoreChecksRunImage: boolean;
  /** `CNB_EXEC_ENV` and `exec-env` (P0.15). */
  readonly execEnv: boolean;
  /** `system.toml` (P0.15). */
  readonly system: boolean;
}

/** What a buildpack API version turns on. */
export interface BuildpackCapabilities {
  /** The version, `major.minor`. */
  readonly buildpackApi: string;
  /** Directories and files are told in the environment too (B0.8). */
  readonly inputVariables: boolean;
  /** `working-dir` of a process (B0.8). */
  readonly workingDir: boolean;
  /** `command` is an array and every process is direct (B0.9). */
  readonly commandArray: boolean;
  /** `CNB_TARGET_*` (B0.10). */
  readonly targets: boolean;
  /** `exec-env` and `CNB_EXEC_ENV` (B0.12). */
  readonly execEnv: boolean;
}

/** Both halves for one buildpack; `execEnv` and `targets` want both sides. */
export interface Capabilities {
  /** Of the platform. */
  readonly platform: PlatformCapabilities;
  /** Of the buildpack. */
  readonly buildpack: BuildpackCapabilities;
  /** Both sides know execution environments (P0.15 and B0.12). */
  readonly execEnv: boolean;
}

type Switch<T> = Exclude<keyof T, "platformApi" | "buildpackApi">;

/** The platform versions carried out, oldest first. */
export const PLATFORM_APIS = [
  "0.7",
  "0.8",
  "0.9",
  "0.10",
  "0.11",
  "0.12",
  "0.13",
  "0.14",
  "0.15",
] as const;

/** The buildpack versions carried out, oldest first. */
export const BUILDPACK_APIS = ["0.7", "0.8", "0.9", "0.10", "0.11", "0.12"] as const;

/** The minor version of 0.x that brought each switch. */
const PLATFORM_SINCE: Readonly<Record<Switch<PlatformCapabilities>, number>> = {
  sboms: 8,
  legacyBomFiles: 9,
  sourceDateEpoch: 9,
  commandArray: 10,
  skippingRestoresStore: 10,
  // The text says 11, and so does the flag; Go reads the directory whatever the platform.
  buildConfig: 7,
  ownSboms: 11,
  targets: 12,
  runImageInLabel: 12,
  history: 12,
  extensions: 10,
  runImageExtension: 12,
  stableExtensions: 13,
  insecureRegistries: 13,
  parallelExport: 13,
  keepsOldCacheImage: 13,
  launchMetadataFromCache: 14,
  restoreChecksRunImage: 14,
  execEnv: 15,
  system: 15,
};

const BUILDPACK_SINCE: Readonly<Record<Switch<BuildpackCapabilities>, number>> = {
  inputVariables: 8,
  workingDir: 8,
  commandArray: 9,
  targets: 10,
  execEnv: 12,
};

/**
 * Reads an API version; a missing minor part is 0.
 *
 * @returns `[major, minor]`, or `undefined` when `text` is no version (VER-1).
 */
export function parseApiVersion(text: string): readonly [number, number] | undefined {
  const match = /^v?(\d+)\.?(\d*)$/.exec(text);
  return match ? [Number(match[1]), Number(match[2] || "0")] : undefined;
}

/**
 * The one of `supported` that speaks for `wanted`: the same minor version below 1.0; from 1.0 on the
 * same major version with at least that minor (VER-2).
 */
export function matchApiVersion(wanted: string, supported: readonly string[]): string | undefined {
  const want = parseApiVersion(wanted);
  if (!want) return undefined;
  return supported.find((one) => {
    const have = parseApiVersion(one);
    if (!have || have[0] !== want[0]) return false;
    return want[0] === 0 ? have[1] === want[1] : have[1] >= want[1];
  });
}

/**
 * What the platform API `version` turns on.
 *
 * @throws {LifecycleError} 11 when it is empty, malformed or not supported (VER-3).
 */
export function platformCapabilities(version: string): PlatformCapabilities {
  const platformApi = matchApiVersion(version, PLATFORM_APIS);
  if (platformApi === undefined) {
    throw new LifecycleError(
      ExitCode.platformApi,
      `Cannot use platform API "${version}": want one of ${PLATFORM_APIS.join(", ")}`,
    );
  }
  return { platformApi, ...switches(PLATFORM_SINCE, minorOf(platformApi)) };
}

/**
 * What the buildpack API `version` turns on.
 *
 * @param owner Who asks for it, e.g. `samples/go@1.2`, for the message.
 * @throws {LifecycleError} 12 when it is empty, malformed or not supported (VER-4).
 */
export function buildpackCapabilities(version: string, owner: string): BuildpackCapabilities {
  const buildpackApi = matchApiVersion(version, BUILDPACK_APIS);
  if (buildpackApi === undefined) {
    throw new LifecycleError(
      ExitCode.buildpackApi,
      `Cannot use buildpack "${owner}": its API is "${version}", want one of ${
        BUILDPACK_APIS.join(", ")
      }`,
    );
  }
  return { buildpackApi, ...switches(BUILDPACK_SINCE, minorOf(buildpackApi)) };
}

/**
 * What the two versions turn on together.
 *
 * @throws {LifecycleError} 11 or 12, as {@linkcode platformCapabilities} and
 * {@linkcode buildpackCapabilities}.
 */
export function capabilities(
  platformApi: string,
  buildpackApi: string,
  owner: string,
): Capabilities {
  const platform = platformCapabilities(platformApi);
  const buildpack = buildpackCapabilities(buildpackApi, owner);
  return { platform, buildpack, execEnv: platform.execEnv && buildpack.execEnv };
}

function minorOf(version: string): number {
  return parseApiVersion(version)?.[1] ?? 0;
}

function switches<Key extends string>(
  since: Readonly<Record<Key, number>>,
  minor: number,
): Record<Key, boolean> {
  const on = {} as Record<Key, boolean>;
  for (const key in since) on[key] = minor >= since[key];
  return on;
}
