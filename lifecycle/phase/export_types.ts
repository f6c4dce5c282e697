/** Input and result of the export phase. */
import type { Image } from "../../registry/image.ts";
import type { Descriptor } from "../../registry/oci/descriptor.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import type { Registry } from "../../registry/registry.ts";
import type { Cache } from "../cache/cache.ts";
import type { Dir } from "../sandbox/executor.ts";
import type { LifecycleMetadata, RunImageNames } from "./analyze_metadata.ts";
import type { RunImage } from "./analyze_types.ts";
import type { GroupMember } from "./restore_types.ts";

/** One process of the app (MDT-1). */
export interface ExportProcess {
  /** Its type. */
  readonly type: string;
  /** The command: one entry, or more that users cannot replace. */
  readonly command: readonly string[];
  /** Its arguments. */
  readonly args?: readonly string[] | undefined;
  /** Whether it runs without a shell. */
  readonly direct: boolean;
  /** Where it starts; the app directory without one. */
  readonly workingDir?: string | undefined;
  /** Who wants it. */
  readonly buildpackId: string;
  /** [P0.15] */
  readonly execEnv?: readonly string[] | undefined;
}

/** What the build phase decided: `<layers>/config/metadata.toml` as a value (MDT-1). */
export interface BuildResult {
  /** The type that starts when nothing is asked; absent for none. */
  readonly defaultProcessType?: string | undefined;
  /** Sorted by type (MDT-3). */
  readonly processes: readonly ExportProcess[];
  /** In the order buildpacks wrote them; a later one of a key wins (BU-8). */
  readonly labels: readonly { readonly key: string; readonly value: string }[];
  /** In the order buildpacks wrote them (SL-3). */
  readonly slices: readonly { readonly paths: readonly string[] }[];
}

/** The launcher that goes into the image, as bytes. */
export interface Launcher {
  /** The executable for the image's architecture. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Of the tool it came with; empty when not known. */
  readonly version: string;
  /** Where its source lies; empty when not known. */
  readonly repository?: string | undefined;
  /** The commit. */
  readonly commit?: string | undefined;
}

/** A bill of materials that comes with wherry itself, not from a buildpack (SB-6). */
export interface OwnSbom {
  /** Of what. */
  readonly of: "lifecycle" | "launcher";
  /** File name it gets, e.g. `sbom.cdx.json`. */
  readonly file: string;
  /** The document. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** One name the image will have. */
export interface Destination {
  /** The repository in the destination registry. */
  readonly repository: string;
  /** The tag. */
  readonly tag: string;
  /** For people: `registry.example/app:1`. */
  readonly name: string;
}

/** Where layers made here are kept until the image is pushed; the local store is one. */
export interface LayerSpool {
  /** Holds blobs; the very destination object when the image stays in the store. */
  readonly registry: Registry;
  /** The repository that new blobs are filed under. */
  readonly repository: string;
  /** A blob of this content that is there already, in `repository` of the spool. */
  findLayer(diffId: Digest): Promise<SpooledLayer | undefined>;
  /** Keeps the pair for later builds. */
  rememberLayer(diffId: Digest, layer: SpooledLayer): Promise<void>;
}

/** A compressed layer in a spool. */
export type SpooledLayer = Descriptor;

/** What export starts from. */
export interface ExportInput {
  /** For `CNB_PLATFORM_API` in the image. */
  readonly platformApi: string;
  /** The base. */
  readonly run: RunImage;
  /** Names of the run image for the label, from `run.toml` (EX-4); absent when nothing is known. */
  readonly runNames?: RunImageNames | undefined;
  /** The image whose layers may be reused. */
  readonly previous?: Image | undefined;
  /** What its label says; empty without one. */
  readonly previousMetadata: LifecycleMetadata;
  /** The buildpacks that took part, in order. */
  readonly group: readonly GroupMember[];
  /** The extensions that took part, in order. */
  readonly extensions?: readonly GroupMember[] | undefined;
  /** What they decided. */
  readonly build: BuildResult;
  /** `project-metadata.toml`'s `[source]`, or absent (PMD-1). */
  readonly projectSource?: Readonly<Record<string, unknown>> | undefined;
  /** The layers directory. */
  readonly layers: Dir;
  /** The app directory. */
  readonly app: Dir;
  /** Owner of everything a buildpack made (TA-3). */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** The launcher. */
  readonly launcher: Launcher;
  /** Bills of materials of the lifecycle and the launcher. */
  readonly ownSboms?: readonly OwnSbom[] | undefined;
  /** `-process-type` (CF-1). */
  readonly processType?: string | undefined;
  /** [P0.15] for the label (LB-6); absent below it. */
  readonly execEnv?: string | undefined;
  /** Creation time of image and history (CF-4); 1980-01-01T00:00:01Z when absent. */
  readonly created?: Date | undefined;
  /** How new layers travel. Default gzip. */
  readonly compression?: "gzip" | "zstd" | undefined;
  /** Layers made at once. Default 2. */
  readonly concurrency?: number | undefined;
  /** Where new layers are kept. */
  readonly spool: LayerSpool;
  /** Where the image goes. */
  readonly to: Registry;
  /** Its names there, at least one; the first is written first. */
  readonly destinations: readonly Destination[];
  /** What the next build finds; absent for none. Stays open: the caller closes it. */
  readonly cache?: Cache | undefined;
}

/** What export made. */
export interface ExportResult {
  /** The image as it was pushed. */
  readonly image: Image;
  /** For `report.toml`. */
  readonly report: Report;
  /** How layers came about, bottom to top, without those of the base. */
  readonly layers: readonly ExportedLayer[];
}

/** One layer of the app image. */
export interface ExportedLayer {
  /** `<id>:<name>`, `Launcher`, ... */
  readonly id: string;
  /** Its content. */
  readonly diffId: Digest;
  /** `added` was compressed now, `reused` came from the previous image, `known` from the spool. */
  readonly how: "added" | "reused" | "known";
}

/** `report.toml` as a value (RPT-1, RPT-3). */
export interface Report {
  /** The image. */
  readonly image: {
    /** Names that were written. */
    readonly tags: readonly string[];
    /** Of the manifest. */
    readonly digest: Digest;
    /** Bytes of the manifest. */
    readonly manifestSize: number;
  };
  /** The base. */
  readonly runImage?: {
    /** Its name. */
    readonly image?: string | undefined;
    /** Other names. */
    readonly mirrors?: readonly string[] | undefined;
    /** Digest reference. */
    readonly reference?: string | undefined;
    /** DiffID. */
    readonly topLayer?: string | undefined;
  } | undefined;
}
