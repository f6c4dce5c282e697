/** What the label `io.buildpacks.lifecycle.metadata` says, as a value (LB-1). */

/** A layer's diffID; empty when there is none. */
export interface Sha {
  /** `sha256:...` or empty. */
  readonly sha: string;
}

/** One layer of a buildpack. */
export interface LayerMetadata extends Sha {
  /** `[metadata]` of its TOML; free-form, carried through untouched; `null` without any. */
  readonly data: unknown;
  /** Its flags at that build. */
  readonly build: boolean;
  /** It is in the image. */
  readonly launch: boolean;
  /** It is in the cache. */
  readonly cache: boolean;
}

/** What one buildpack left. */
export interface BuildpackLayers {
  /** The buildpack's id. */
  readonly key: string;
  /** Its version. */
  readonly version: string;
  /** By layer name. */
  readonly layers: Readonly<Record<string, LayerMetadata>>;
  /** `store.toml`. */
  readonly store?: { readonly metadata: unknown } | undefined;
}

/** Names of a run image. */
export interface RunImageNames {
  /** Its name as the platform writes it. */
  readonly image: string;
  /** Other places that hold it. */
  readonly mirrors: readonly string[];
}

/** The document `io.buildpacks.lifecycle.metadata`: what an image's next build may reuse. */
export interface LifecycleMetadata {
  /** Slices of the app, oldest first. */
  readonly app: readonly Sha[];
  /** Launch SBOMs. */
  readonly sbom?: Sha | undefined;
  /** In group order; launch layers only. */
  readonly buildpacks: readonly BuildpackLayers[];
  /** `<layers>/config`. */
  readonly config: Sha;
  /** The launcher. */
  readonly launcher: Sha;
  /** The links of processes; an empty sha when there are none. */
  readonly processTypes: Sha;
  /** The base it stands on. */
  readonly runImage: {
    /** DiffID of its last layer. */
    readonly topLayer: string;
    /** Digest reference. */
    readonly reference: string;
    /** Name, since platform 0.12. */
    readonly image?: string | undefined;
    /** Mirrors, since platform 0.12. */
    readonly mirrors?: readonly string[] | undefined;
  };
  /** Deprecated twin of the names. */
  readonly stack?: { readonly runImage: Partial<RunImageNames> } | undefined;
}

/** What is known of an image that does not exist. */
export const EMPTY_METADATA: LifecycleMetadata = {
  app: [],
  buildpacks: [],
  config: { sha: "" },
  launcher: { sha: "" },
  processTypes: { sha: "" },
  runImage: { topLayer: "", reference: "" },
};
