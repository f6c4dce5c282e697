/** What extending is given and what it makes. */
import type { Image } from "../../registry/image.ts";
import type { Dockerfile } from "../dockerfile/parse.ts";
import type { ExtendArg } from "../file/extend_config.ts";
import type { ExtendRoot } from "../extend/root.ts";
import type { LayerCache } from "../extend/layer_cache.ts";
import type { ExtendKind } from "./generate_types.ts";

/** A Dockerfile of an extension, read. */
export interface ExtensionDockerfile {
  /** Whose it is. */
  readonly extension: string;
  /** Where it lies, for messages. */
  readonly path: string;
  /** It. */
  readonly dockerfile: Dockerfile;
  /** From `extend-config.toml`. */
  readonly args: readonly ExtendArg[];
  /** What COPY and ADD copy from. */
  readonly context: string;
}

/** What extending is given. */
export interface ExtendInput {
  /** Which image it is. */
  readonly kind: ExtendKind;
  /** The image; of its layers only digests are looked at. */
  readonly base: Image;
  /** In group order. */
  readonly dockerfiles: readonly ExtensionDockerfile[];
  /** Opens the image's files; asked for only when something has to be carried out. The caller disposes it. */
  readonly openRoot: () => Promise<ExtendRoot>;
  /**
   * What layers are made into. Layers of an earlier run are taken from it when nothing they were made from has
   * changed.
   */
  readonly cache: LayerCache;
  /** Changes of an earlier run are made again, although nobody asks for layers: buildpacks will run in the root. */
  readonly applyAll: boolean;
  /** The argument `build_id`: another each time, so that what uses it is never taken from the cache. */
  readonly buildId: string;
  /** Variables of commands that the image's own hide, and that stay nowhere: not in it, not in the cache's keys. */
  readonly passing?: Readonly<Record<string, string>> | undefined;
  /** Called with what commands print. The bytes belong to the callee. */
  readonly output: (chunk: Uint8Array, stream: "stdout" | "stderr") => void;
}

/** What extending made. */
export interface ExtendResult {
  /** The extended image: the layers of the base, and above them one for each instruction that changed a file. */
  readonly image: Image;
}
