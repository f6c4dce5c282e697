/** What one comparison is made of. */

/** A buildpack of a case: shell scripts and what its `buildpack.toml` says besides. */
export interface CaseBuildpack {
  /** Buildpack API. Default 0.10. */
  readonly api?: string;
  /** Keys of `[buildpack]`. */
  readonly keys?: string;
  /** What follows: targets, stacks, order, metadata. Default: any Linux. */
  readonly rest?: string;
  /** `bin/detect`, without its first line. Default: passes. Absent with `order`. */
  readonly detect?: string;
  /** `bin/build`, without its first line. Default: does nothing. */
  readonly build?: string;
  /** More files. */
  readonly files?: Readonly<Record<string, string>>;
}

/** An image extension of a case. */
export interface CaseExtension {
  /** Buildpack API. Default 0.10. */
  readonly api?: string;
  /** Keys of `[extension]`. */
  readonly keys?: string;
  /** `bin/detect`, without its first line. Absent: there is none, and it passes. */
  readonly detect?: string;
  /** `bin/generate`, without its first line; `HOST` stands for the registry. Absent: there is none. */
  readonly generate?: string;
  /** More files. */
  readonly files?: Readonly<Record<string, string>>;
}

/** The phases of a build, in order. */
export const PHASES = ["analyzer", "detector", "restorer", "builder", "exporter"] as const;

/** One of {@linkcode PHASES}, or all of them in one process. */
export type Phase = (typeof PHASES)[number] | "creator" | "rebaser";

/** One build, or several in a row, by both lifecycles. */
export interface OracleCase {
  /** Unique. */
  readonly name: string;
  /** Default 0.13. */
  readonly platformApi?: string;
  /** By `id@version`. */
  readonly buildpacks: Readonly<Record<string, CaseBuildpack>>;
  /** By `id@version`; one group of all, unless `order` says otherwise. */
  readonly extensions?: Readonly<Record<string, CaseExtension>>;
  /** `order.toml`; default: one group of all buildpacks, in order. */
  readonly order?: string;
  /** Files of the app. Default: one. */
  readonly app?: Readonly<Record<string, string>>;
  /** Variables of the user. */
  readonly env?: Readonly<Record<string, string>>;
  /** Files of `<build-config>/env`. */
  readonly buildConfig?: Readonly<Record<string, string>>;
  /** Files below the layers directory, before the build. */
  readonly layers?: Readonly<Record<string, string>>;
  /** `run.toml`; `HOST` stands for the registry. Default: the run image. */
  readonly run?: string;
  /** `system.toml`. */
  readonly system?: string;
  /** Default `dir`. */
  readonly cache?: "dir" | "image" | "none";
  /** More flags of a phase. `HOST` stands for the registry and the lifecycle's own namespace. */
  readonly flags?: Partial<Readonly<Record<Phase, readonly string[]>>>;
  /** More environment of every phase. */
  readonly vars?: Readonly<Record<string, string>>;
  /** Builds in a row. Default 1. Scripts see the number, from 1, in `$BUILD_NUMBER` of the user's variables. */
  readonly builds?: number;
  /** All phases in one process. */
  readonly creator?: boolean;
  /** Flags of a rebase after the last build, onto `HOST/run:next` unless they say otherwise. */
  readonly rebase?: readonly string[];
  /** Images are OCI layouts on disk. */
  readonly layout?: boolean;
  /** More names of the image. */
  readonly tags?: readonly string[];
  /** Something to be done to the scene between two phases. */
  readonly tamper?: {
    readonly before: Phase;
    readonly build?: number;
    readonly act: (root: string) => Promise<void>;
  };
}
