/** What {@linkcode openSite} starts from and makes. */
import type { GroupOrder } from "../file/module.ts";
import type { ProjectMetadata } from "../file/project_metadata_toml.ts";
import type { System } from "../file/system_toml.ts";
import type { BuildpackInput, RunTarget } from "../phase/detect_types.ts";
import type { BuildGroup } from "../sandbox/cgroup.ts";
import type { Dir } from "../sandbox/executor.ts";
import type { Sandbox, SandboxDir } from "../sandbox/in_place.ts";
import type { CarriedDependency } from "./bundle_dependencies.ts";
import type { BuilderRoot } from "./builder_root.ts";
import type { OpenPackage } from "./buildpack_directory.ts";
import type { BuildpackRequest } from "./buildpack_source.ts";
import type { WorkDir } from "./work_dir.ts";

/** What buildpacks are given; everything is resolved, nothing is a flag. Paths are absolute. */
export interface SiteRequest {
  /** Platform API of the image. */
  readonly platformApi: string;
  /** The app: a directory, a zip or jar, or a tar. */
  readonly app: string;
  /** Where the app is for buildpacks and in the image. Usually `/workspace`. */
  readonly appDir: string;
  /** Buildpacks and order as the user named them. */
  readonly buildpacks: {
    /** See `BuildpackRequest.buildpacks`. */
    readonly named: readonly string[];
    /** See `BuildpackRequest.orderFile`. */
    readonly orderFile?: string | undefined;
    /** See `BuildpackRequest.platform`. */
    readonly platform?: BuildpackRequest["platform"];
    /** See `BuildpackRequest.buildpacksDir`. */
    readonly dir?: string | undefined;
    /** What relative names are relative to. */
    readonly cwd: string;
  };
  /** Image extensions as the user named them, and where ids of an order are looked up. */
  readonly extensions?: {
    readonly named: readonly string[];
    readonly dir?: string | undefined;
  } | undefined;
  /** The builder to enter; without one the machine itself is the build image. */
  readonly builder?: BuilderRoot | undefined;
  /** In front of every group, behind every group: as the user named them. Those of the descriptor come without. */
  readonly around?: {
    readonly pre: readonly string[];
    readonly post: readonly string[];
  } | undefined;
  /** See `BuildpackRequest.openPackage`. */
  readonly openPackage?: OpenPackage | undefined;
  /** Brings a file from a web server; gives its path. Absent: none can be had. */
  readonly download?: ((url: string) => Promise<string>) | undefined;
  /** More directories for buildpacks. */
  readonly volumes?: readonly SandboxDir[] | undefined;
  /** A project descriptor; without one `project.toml` of the app counts. */
  readonly descriptor?: string | undefined;
  /** Variables for buildpacks, from the user; they win over those of the descriptor. */
  readonly env: Readonly<Record<string, string>>;
  /** Service bindings: a name, and the directory that holds its entries. */
  readonly bindings?: Readonly<Record<string, string>> | undefined;
  /** Certificates of authorities that buildpacks should trust, too; PEM. They get them as a binding. */
  readonly caCerts?: readonly string[] | undefined;
  /** Files that a binding leads buildpacks to, instead of downloading them. */
  readonly dependencies?: readonly CarriedDependency[] | undefined;
  /** Where they run. */
  readonly machine: Machine;
  /** Owner of layers and app. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** `production`, `test`, ... */
  readonly execEnv: string;
}

/** The machine buildpacks run on. */
export interface Machine {
  /** The sandbox helper's executable. */
  readonly helper: string;
  /** Its environment; buildpacks get the few variables of ENV-1 from it. */
  readonly env: Readonly<Record<string, string>>;
  /** Work directories are made below the first one that will do. */
  readonly workDirs: readonly [string, ...string[]];
  /** HOME of the caller: hidden. */
  readonly home?: string | undefined;
  /** Other directories that are hidden: the store, where credentials are. */
  readonly hide: readonly string[];
  /** See `InPlaceOptions.network`. */
  readonly network?: "host" | "none" | undefined;
  /** The control group of what buildpacks run, where there is one. */
  readonly group?: BuildGroup | undefined;
  /** See `InPlaceOptions.allowRootBuild`. */
  readonly allowRootBuild?: boolean | undefined;
}

/** App and buildpacks in a work directory. Disposing removes it. */
export interface Site extends AsyncDisposable {
  /** The work directory. */
  readonly work: WorkDir;
  /** Its directories lie elsewhere: where buildpacks see them. */
  readonly placed: boolean;
  /** `/layers`, as the image calls it. */
  readonly layers: Dir;
  /** The app, as the image calls it. */
  readonly app: Dir;
  /** Groups to try. */
  readonly order: GroupOrder;
  /** Groups of image extensions. */
  readonly orderExtensions: GroupOrder;
  /** What surrounds every group. */
  readonly system?: System | undefined;
  /** What the descriptor says for the image's label. */
  readonly project?: ProjectMetadata | undefined;
  /**
   * Makes the walls. The caller disposes them before the site.
   *
   * @param builder The request's as extensions made it; from then on directories are where {@linkcode Enclosure.input}
   * says. Default: as it is.
   */
  enclose(target: RunTarget, builder?: BuilderRoot): Promise<Enclosure>;
}

/** Walls, and what buildpacks inside them are given. */
export interface Enclosure extends AsyncDisposable {
  /** The walls. */
  readonly sandbox: Sandbox;
  /** For detect and build. */
  readonly input: BuildpackInput;
}
