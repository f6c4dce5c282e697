/** Input and result of the export phase. */
import type { Image } from "../../registry/image.ts";
import type { TreeNote } from "../../registry/layer/unchanged.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import type { Registry } from "../../registry/registry.ts";
import type { Store } from "../../registry/store/store.ts";
import type { ProjectMetadata } from "../file/project_metadata_toml.ts";
import type { ReportFile } from "../file/report_toml.ts";
import type { Cache } from "../cache/cache.ts";
import type { LauncherVersion } from "../file/build_metadata_label.ts";
import type { BuildMetadata } from "../file/metadata_toml.ts";
import type { Dir } from "../sandbox/executor.ts";
import type { LifecycleMetadata, RunImageNames } from "../file/lifecycle_metadata.ts";
import type { RunImage } from "./analyze_types.ts";
import type { ExtendedImage } from "./extended_image.ts";

/** The launcher that goes into the image, as bytes. */
export interface Launcher extends Partial<LauncherVersion> {
  /** Of what it came with; empty when not known. */
  readonly version: string;
  /** The executable for the image's architecture. */
  readonly bytes: Uint8Array<ArrayBuffer>;
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
  /** The tag; without one the image is there by its digest only, for an index to name. */
  readonly tag?: string | undefined;
  /** For people: `registry.example/app:1`. */
  readonly name: string;
}

/** What export needs of the place that keeps new layers: a registry that remembers what it knows. */
export type LayerStore =
  & Registry
  & Pick<Store, "adopt" | "blob" | "memo" | "rememberLayer" | "upload">;

/** What export starts from. */
export interface ExportInput {
  /** For `CNB_PLATFORM_API` in the image. */
  readonly platformApi: string;
  /** The base. */
  readonly run: RunImage;
  /** What extensions made of it; absent when none extended it. */
  readonly extended?: ExtendedImage | undefined;
  /** Names of the run image for the label, from `run.toml` (EX-4); absent when nothing is known. */
  readonly runNames?: RunImageNames | undefined;
  /** The image whose layers may be reused. */
  readonly previous?: Image | undefined;
  /** What its label says; empty without one. */
  readonly previousMetadata: LifecycleMetadata;
  /** What the build decided, and who took part, in order (MDT-1). */
  readonly build: BuildMetadata;
  /** `project-metadata.toml`; absent when there is none (PMD-1). */
  readonly project?: ProjectMetadata | undefined;
  /** The layers directory. */
  readonly layers: Dir;
  /** The app directory. */
  readonly app: Dir;
  /**
   * Where a layer's parent directories and the modes of what we wrote come from: `configured` (default) makes the
   * same layer on any machine, `disk` the one the Go lifecycle would make here (TA-2, TA-3).
   */
  readonly parents?: "configured" | "disk" | undefined;
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
  /** The sandbox helper's executable: makes layers faster, and the same; their blobs have other digests. */
  readonly helper?: string | undefined;
  /** Layers made at once. Default 2. */
  readonly concurrency?: number | undefined;
  /** Where new layers are kept, so that each can be sent again; the very `to` when the image stays there. */
  readonly store: LayerStore;
  /** The repository of `store` that new layers are filed under. */
  readonly storeRepository: string;
  /** Where the image goes. */
  readonly to: Registry;
  /** Its names there, at least one; the first is written first. */
  readonly destinations: readonly Destination[];
  /** What the next build finds; absent for none. */
  readonly cache?: Cache | undefined;
  /** Write the cache while the image is pushed, not after it (SV-3). Default false. */
  readonly parallel?: boolean | undefined;
  /** Layers of this build's restore that can be told to be untouched, by `<id>:<name>`. */
  readonly notes?: LayerNotes | undefined;
}

/** Layers that were restored, as they were before any buildpack could touch them. */
export type LayerNotes = ReadonlyMap<string, TreeNote>;

/** What export made. */
export interface ExportResult {
  /** The image as it was pushed. */
  readonly image: Image;
  /** For `report.toml`. */
  readonly report: ReportFile;
  /** How layers came about, bottom to top, without those of the base. */
  readonly layers: readonly ExportedLayer[];
}

/** One layer of the app image. */
export interface ExportedLayer {
  /** `<id>:<name>`, `Launcher`, ... */
  readonly id: string;
  /** Its content. */
  readonly diffId: Digest;
  /** `added` was compressed now, `reused` came from the previous image, `known` from the store. */
  readonly how: "added" | "reused" | "known";
}
