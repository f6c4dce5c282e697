/** One image of a store on a new base, computed apart from the thread that writes: usual images only. */
import { carryingCodec } from "../../registry/carrying_codec.ts";
import { assembleImage, type Image } from "../../registry/image.ts";
import type { Log } from "../../registry/context.ts";
import type { Descriptor, Platform } from "../../registry/oci/descriptor.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import { parseDocument } from "../../registry/oci/manifest.ts";
import { isIndexType } from "../../registry/oci/media_type.ts";
import type { RawManifest, Reader } from "../../registry/registry.ts";
import type { NewBase } from "./rebase_base.ts";
import { prepareRebase } from "./rebase_read.ts";
import { sameName } from "./same_name.ts";

/** How a run rebases: the same for all its images. */
export interface RebaseOrder {
  /** The new base's name, as in {@linkcode NewBase}. */
  readonly name: string;
  /** Its name without tag and digest. */
  readonly repositoryName: string;
  /** Names it is known by besides. */
  readonly alsoKnownAs: readonly string[];
  /** Of the document its name led to. */
  readonly digest: Digest;
  /** What is questionable would be a warning. */
  readonly force: boolean;
}

/** The documents of the base for a platform. */
export interface BaseDocuments {
  /** The manifest. */
  readonly raw: RawManifest;
  /** The config. */
  readonly rawConfig: Uint8Array<ArrayBuffer>;
}

/** An image that is to be written. */
export interface MadeImage {
  /** Its manifest. */
  readonly raw: RawManifest;
  /** Its config. */
  readonly rawConfig: Uint8Array<ArrayBuffer>;
  /** Of the config, as the manifest has it. */
  readonly config: Descriptor;
}

/** What came of an image. */
export type Computed =
  | {
    readonly is: "made" | "current";
    /** What its name led to. */
    readonly old: Digest;
    /** The reference in its label, before. */
    readonly oldBase: string;
    /** And after. */
    readonly newBase: string;
    /** What it shall be; nothing of one that is current. */
    readonly made?: MadeImage | undefined;
    /** Which base it is on. */
    readonly platform: Platform;
  }
  /** The base for a platform has to be said first. */
  | { readonly is: "waiting"; readonly platform: Platform }
  /** There is something to say of it, or it is unusual: for whoever can say it. */
  | { readonly is: "unusual" };

const UNUSUAL: Computed = { is: "unusual" };

/** Computes images with the bases it was given. */
export class RebaseComputer {
  readonly #from: Reader;
  readonly #order: RebaseOrder;
  readonly #bases = new Map<string, Image>();
  readonly #signal = new AbortController().signal;

  /** Reads images from a place. */
  constructor(from: Reader, order: RebaseOrder) {
    this.#from = from;
    this.#order = order;
  }

  /** The base for a platform. */
  addBase(platform: Platform, { raw, rawConfig }: BaseDocuments): void {
    const document = parseDocument(raw.bytes, raw.mediaType);
    if (document.kind === "index") throw new Error("Cannot compute a rebase: its base is an index");
    const origin = { registry: this.#from, repository: "" }; // nobody opens its layers here
    this.#bases.set(
      platformKey(platform),
      assembleImage(raw, document.manifest, rawConfig, origin),
    );
  }

  /** Reads an image and computes what it is on its base. Never throws: what goes wrong is for others to say. */
  async compute(repository: string, reference: string): Promise<Computed> {
    let platform: Platform | undefined;
    let known = false;
    const image = (wanted: Platform): Promise<Image> => {
      platform = wanted;
      const base = this.#bases.get(platformKey(wanted));
      known = base !== undefined;
      return base === undefined ? Promise.reject(new Unusual()) : Promise.resolve(base);
    };
    try {
      const raw = await this.#from.manifest(repository, reference);
      if (raw === undefined || isIndexType(raw.mediaType)) return UNUSUAL;
      const { name, repositoryName, alsoKnownAs, digest, force } = this.#order;
      const place = { registry: this.#from, repository: "", reference: digest };
      const base: NewBase = {
        place: { ...place, name, repositoryName, alsoKnownAs },
        digest,
        image,
      };
      const { images: [first], made } = await prepareRebase(
        { registry: this.#from, repository, reference, name: "" },
        {
          chooseBase: () => Promise.resolve(base),
          oldBase: () => Promise.reject(new Unusual()),
          force,
          normalize: sameName,
          codec: carryingCodec(isCarried),
          log: SILENT,
          signal: this.#signal,
        },
        raw,
      );
      if (first === undefined || platform === undefined) return UNUSUAL;
      const { oldBase, newBase } = first;
      const said = { old: raw.digest, oldBase, newBase, platform };
      if (made === raw) return { is: "current", ...said };
      const { rawConfig, manifest } = first.made;
      return {
        is: "made",
        ...said,
        made: { raw: made, rawConfig, config: manifest.config },
      };
    } catch {
      return platform === undefined || known ? UNUSUAL : { is: "waiting", platform };
    }
  }
}

/** Rebases look into labels of buildpacks.io only, and of these not into what the build said of itself. */
function isCarried(key: string): boolean {
  return !key.startsWith("io.buildpacks.") || key === "io.buildpacks.build.metadata";
}

class Unusual extends Error {}

/** A warning is heard by somebody, or it is none. */
const SILENT: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {
    throw new Unusual();
  },
  error: () => {
    throw new Unusual();
  },
};

/** Images with the same one get the same base. */
export function platformKey({ os, architecture, variant = "" }: Platform): string {
  return `${os}/${architecture}/${variant}`;
}
