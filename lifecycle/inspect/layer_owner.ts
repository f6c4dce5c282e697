/** Which part of a build made a layer, told from the labels alone. */
import type { Image } from "../../registry/image.ts";
import type { LifecycleMetadata } from "../file/lifecycle_metadata.ts";
import { moduleOwners } from "./module_owner.ts";

/** What a layer is. */
export type LayerKind =
  | "base"
  | "buildpack"
  | "sbom"
  | "app"
  | "launcher"
  | "config"
  | "process-types"
  | "build-image"
  | "builder"
  | "unknown";

/** Who made a layer. */
export interface LayerOwner {
  /** What it is. */
  readonly kind: LayerKind;
  /** The buildpack's id; empty unless `kind` is `buildpack`. */
  readonly buildpack: string;
  /** The buildpack's version; empty unless `kind` is `buildpack`. */
  readonly version: string;
  /** `jre`, `slice 2`; empty where the kind says it all. */
  readonly name: string;
  /** Of a module in a builder or a package: its directory, which has its version in it. */
  readonly dir?: string;
}

/**
 * The owner of each layer of `image`, bottom to top. What stands below the base's last layer is the base's; above it
 * a diffID says whose a layer is. Equal layers of two owners take turns in the order of the build.
 *
 * @param metadata Of its label; `undefined` where there is none: builders and packages have others, the rest is `unknown`.
 */
export function layerOwners(
  image: Image,
  metadata: LifecycleMetadata | undefined,
): readonly LayerOwner[] {
  if (metadata === undefined) {
    return moduleOwners(image) ?? image.layers.map(() => owner("unknown"));
  }
  const ids = image.layers.map(({ diffId }) => String(diffId));
  const base = metadata.runImage.topLayer === "" ? 0 : ids.indexOf(metadata.runImage.topLayer) + 1;
  const claims = claimsOf(metadata);
  return ids.map((id, at) => {
    if (at < base) return owner("base");
    const waiting = claims.get(id);
    // A layer that is claimed once may lie twice in an image; the last claim serves for all that follow.
    const claimed = waiting && waiting.length > 1 ? waiting.shift() : waiting?.[0];
    return claimed ?? owner("unknown");
  });
}

function claimsOf(metadata: LifecycleMetadata): Map<string, LayerOwner[]> {
  const claims = new Map<string, LayerOwner[]>();
  const claim = (sha: string, claimed: LayerOwner) => {
    if (sha !== "") claims.set(sha, [...claims.get(sha) ?? [], claimed]);
  };
  for (const { key, version, layers } of metadata.buildpacks) {
    for (const [name, { sha }] of Object.entries(layers)) {
      claim(sha, { kind: "buildpack", buildpack: key, version, name });
    }
  }
  claim(metadata.sbom?.sha ?? "", owner("sbom"));
  metadata.app.forEach(({ sha }, at) => {
    claim(sha, owner("app", metadata.app.length > 1 ? `slice ${at + 1}` : ""));
  });
  claim(metadata.launcher.sha, owner("launcher"));
  claim(metadata.config.sha, owner("config"));
  claim(metadata.processTypes.sha, owner("process-types"));
  return claims;
}

function owner(kind: LayerKind, name = ""): LayerOwner {
  return { kind, buildpack: "", version: "", name };
}

const WORDS: Readonly<Record<LayerKind, string>> = {
  base: "run image",
  buildpack: "",
  sbom: "bill of materials",
  app: "app",
  launcher: "launcher",
  config: "launcher config",
  "process-types": "process types",
  "build-image": "build image",
  builder: "builder",
  unknown: "-",
};

/** Who made it, for people: `samples/java@1.0`, `run image`, `app`. */
export function formatOwner(owner: LayerOwner): string {
  if (owner.kind !== "buildpack") return WORDS[owner.kind];
  return owner.version === "" ? owner.buildpack : `${owner.buildpack}@${owner.version}`;
}
