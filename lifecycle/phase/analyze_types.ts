/** Input and result of the analyze phase. */
import type { Image } from "../../registry/image.ts";
import type { Platform } from "../../registry/oci/descriptor.ts";
import type { Reader } from "../../registry/registry.ts";
import type { Dir } from "../sandbox/executor.ts";
import type { Analyzed, AnalyzedTarget } from "../file/analyzed_toml.ts";
import type { LifecycleMetadata } from "../file/lifecycle_metadata.ts";

/** What is known of an image that does not exist. */
export const EMPTY_METADATA: LifecycleMetadata = {
  app: [],
  buildpacks: [],
  config: { sha: "" },
  launcher: { sha: "" },
  processTypes: { sha: "" },
  runImage: { topLayer: "", reference: "" },
};

/** Where an image may be read. */
export interface ImagePlace {
  /** The place. Pass the very object that is written to later: equal objects mean "nothing to move". */
  readonly registry: Reader;
  /** The repository in that place. */
  readonly repository: string;
  /** Tag or digest. */
  readonly reference: string;
  /** For people, as they wrote it: `registry.example/app:1`. */
  readonly name: string;
  /** The part before `@` of a digest reference: `registry.example/app`. */
  readonly repositoryName: string;
}

/** The base of the app image. */
export interface RunImage {
  /** Its documents; for `scratch` an image without layers. */
  readonly image: Image;
  /** The name as it was given; empty for `scratch`. */
  readonly name: string;
  /** Digest reference `registry.example/run@sha256:...`; empty for `scratch`. */
  readonly reference: string;
}

/** One right the build will need, asked before any work (AN-3). */
export interface AccessCheck {
  /** The image, as people write it. */
  readonly name: string;
  /** What is needed. */
  readonly mode: "read" | "read/write";
  /** Resolves when it is granted; a name that does not exist yet is no reason to refuse. */
  readonly check: (signal: AbortSignal) => Promise<void>;
}

/** What analyze starts from. */
export interface AnalyzeInput {
  /** The image whose layers may be reused; absent for none. */
  readonly previous?: ImagePlace | undefined;
  /** The base: a resolved image, what opens it once access has been checked, or `scratch` for none at all. */
  readonly run: RunImage | "scratch" | (() => Promise<RunImage>);
  /** What the image is for: chooses from indexes, and is the platform of `scratch`. */
  readonly platform: Platform;
  /** User of a `scratch` image. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Where SBOMs of the previous image are restored to (AN-5). */
  readonly layers: Dir;
  /** Neither layers nor SBOMs will be restored (AN-8). */
  readonly skipLayers?: boolean | undefined;
  /** Checks to make first, all at once (AN-3). */
  readonly access?: readonly AccessCheck[] | undefined;
}

/** What analyze found. */
export interface AnalyzeResult {
  /** For `analyzed.toml`. */
  readonly analyzed: Analyzed & {
    /** Always known here. */
    readonly runImage: NonNullable<Analyzed["runImage"]> & { readonly target: AnalyzedTarget };
  };
  /** The previous image, when its label can be used. */
  readonly previous?: Image | undefined;
  /** The base, ready for export. */
  readonly run: RunImage;
}
