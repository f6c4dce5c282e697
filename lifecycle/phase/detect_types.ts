/** What detection is given and what it finds: plain values, and two things it may call. */
import { type ExitCode, LifecycleError } from "../error.ts";
import type { BuildpackDescriptor } from "../file/buildpack_toml.ts";
import type { ExtensionDescriptor } from "../file/extension_toml.ts";
import type { Group } from "../file/group_toml.ts";
import type { Distro } from "../file/module.ts";
import type { Order } from "../file/order_toml.ts";
import type { Plan } from "../file/plan_toml.ts";
import type { System } from "../file/system_toml.ts";
import type { Trial } from "../plan/resolve.ts";
import type { Dir, Executor } from "../sandbox/executor.ts";

/** A buildpack that can be run. */
export interface Buildpack {
  /** Its `buildpack.toml`. */
  readonly descriptor: BuildpackDescriptor;
  /** The directory that holds `buildpack.toml` and `bin`. */
  readonly dir: Dir;
}

/** An image extension that can be run. */
export interface Extension {
  /** Its `extension.toml`. */
  readonly descriptor: ExtensionDescriptor;
  /** The directory that holds `extension.toml` and perhaps `bin`, `detect` and `generate`. */
  readonly dir: Dir;
}

/** A component of a group, looked up. */
export type Module =
  | ({ readonly kind: "buildpack" } & Buildpack)
  | ({ readonly kind: "extension" } & Extension);

/** Where image extensions are looked up. */
export interface ExtensionStore {
  /**
   * The extension `id` of exactly `version`; without a version (or with an empty one) the newest.
   *
   * @throws {FileError} When it is there and its `extension.toml` is malformed.
   */
  find(id: string, version?: string): Extension | undefined;
}

/** Where buildpacks are looked up. */
export interface BuildpackStore {
  /**
   * The buildpack `id` of exactly `version`; without a version (or with an empty one) the newest.
   *
   * @throws {FileError} When it is there and its `buildpack.toml` is malformed.
   */
  find(id: string, version?: string): Buildpack | undefined;
}

/** What a run image is, as `[run-image.target]` of `analyzed.toml` says. Empty: unknown. */
export interface RunTarget {
  /** Id of the run image. */
  readonly id: string;
  /** `linux`, ... */
  readonly os: string;
  /** `amd64`, ... */
  readonly arch: string;
  /** `v8`, ... */
  readonly variant: string;
  /** Absent when the run image does not say. */
  readonly distro?: Distro | undefined;
}

/** The numeric owner of what a phase makes for buildpacks to write into. */
export interface Owner {
  /** User. */
  readonly uid: number;
  /** Group. */
  readonly gid: number;
}

/** What detect and build have in common. */
export interface BuildpackInput {
  /** Platform API version. */
  readonly platformApi: string;
  /** Where buildpacks are looked up. */
  readonly store: BuildpackStore;
  /** Where image extensions are looked up; absent: there are none. */
  readonly extensionStore?: ExtensionStore | undefined;
  /** Runs their executables. */
  readonly executor: Executor;
  /** The application; the working directory of every executable. */
  readonly appDir: Dir;
  /** `<layers>`. */
  readonly layersDir: Dir;
  /** `<platform>`; its `env` holds user-provided variables. */
  readonly platformDir: Dir;
  /** `<build-config>`; its `env` holds the operator's variables. */
  readonly buildConfigDir?: Dir | undefined;
  /** An existing directory that executables can read and write, for plans. Nothing stays in it. */
  readonly tempDir: Dir;
  /** Environment of the build image; only the variables of ENV-1 are taken from it. */
  readonly env: Readonly<Record<string, string>>;
  /** `CNB_EXEC_ENV`, usually `production`. */
  readonly execEnv: string;
  /** The run image. */
  readonly target: RunTarget;
  /**
   * Distribution of the build image (`ID`, `VERSION_ID` of its `/etc/os-release`), used when the run
   * image does not tell its own (ENV-6, DT-11).
   */
  readonly buildDistro?: Distro | undefined;
  /** Owner of directories and files made for executables; absent: the caller. */
  readonly owner?: Owner | undefined;
}

/** What detection is given. */
export interface DetectInput extends BuildpackInput {
  /** `order.toml`. */
  readonly order: Order;
  /** `system.toml`; heeded from P0.15 on. */
  readonly system?: System | undefined;
  /** Where `group.toml` is written, on this machine; default: in `layersDir`. */
  readonly groupPath?: string | undefined;
  /** Where `plan.toml` is written, on this machine; default: in `layersDir`. */
  readonly planPath?: string | undefined;
}

/** How one `bin/detect` ended. */
export interface Detection {
  /** Its id. */
  readonly id: string;
  /** Its version. */
  readonly version: string;
  /** `skip` is a target that does not match an optional buildpack (D15). */
  readonly verdict: "pass" | "fail" | "error" | "skip";
  /** Exit code; -1 when it did not run to its end or its plan cannot be used (DT-14). */
  readonly code: number;
  /** All it printed, in order of arrival. */
  readonly output: Uint8Array;
  /** Why it is an error; empty when it is none. */
  readonly error: string;
}

/** One fully expanded group that was tried. */
export interface GroupTrial {
  /** Its members in order. */
  readonly members: readonly {
    /** Its id. */
    readonly id: string;
    /** Its version. */
    readonly version: string;
    /** It is an image extension. */
    readonly extension: boolean;
    /** The group can pass without it. */
    readonly optional: boolean;
    /** The composites it came from, outermost first, as `id@version`. */
    readonly from: readonly string[];
    /** How its detection ended. */
    readonly detection: Detection;
  }[];
  /** What became of the group. */
  readonly verdict: "pass" | "fail" | "error";
  /** Why it did not pass: one line. Empty when it passed. */
  readonly reason: string;
  /** The plans that were tried, in order; empty when members had failed already. */
  readonly trials: readonly Trial[];
}

/** What detection found. */
export interface DetectResult {
  /** Who takes part. */
  readonly group: Group;
  /** What they agreed upon. */
  readonly plan: Plan;
  /** All groups that were tried, in order; the last one passed. */
  readonly tree: readonly GroupTrial[];
}

/** No group passed: exit code 20, or 21 when a buildpack had an error. */
export class DetectError extends LifecycleError {
  /** All groups that were tried, in order. */
  readonly tree: readonly GroupTrial[];

  /** Makes an error that tells what was tried. */
  constructor(exitCode: ExitCode, message: string, tree: readonly GroupTrial[]) {
    super(exitCode, message);
    this.name = "DetectError";
    this.tree = tree;
  }
}
