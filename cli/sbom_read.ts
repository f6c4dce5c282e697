/** The bills of materials of one image, for the commands that show, copy and attach them. */
import {
  type BomDocument,
  type BomFormat,
  bomLayer,
  readBomLayer,
} from "../lifecycle/bom/document.ts";
import { attachedBoms, readAttachedBom } from "../lifecycle/bom/referrer.ts";
import { readMetadata } from "../lifecycle/platform/image_info.ts";
import { harmless } from "../registry/client/refusal.ts";
import type { Lister, Reader } from "../registry/registry.ts";
import type { CommonFlags } from "./common.ts";
import { UsageError } from "./exit.ts";
import { type OpenedImage, openImage } from "./open_image.ts";
import type { Session } from "./session.ts";

/** Flags that say which documents. */
export interface SbomFlags extends CommonFlags {
  readonly platform?: string;
  readonly remote?: boolean;
  readonly buildpack?: readonly string[];
  readonly layer?: readonly string[];
}

/** What was found. */
export interface FoundSboms extends OpenedImage {
  /** In byte order of their paths. */
  readonly documents: readonly BomDocument[];
}

/**
 * Opens an image and reads its bills of materials: the layer of the lifecycle, or what lies beside an image that has none.
 *
 * @throws {Error} When there are none.
 */
export async function findSboms(
  session: Session,
  name: string,
  flags: SbomFlags,
  stack: AsyncDisposableStack,
): Promise<FoundSboms> {
  return await sbomsOf(session, await openImage(session, name, flags, stack), name, flags);
}

/** As {@linkcode findSboms} for an image that is open. */
export async function sbomsOf(
  session: Session,
  opened: OpenedImage,
  name: string,
  flags: SbomFlags,
): Promise<FoundSboms> {
  const { image, located } = opened;
  const { signal } = session.ctx;
  const metadata = readMetadata(image.config);
  const layer = bomLayer(image, metadata);
  let documents: readonly BomDocument[];
  if (layer !== undefined) documents = await readBomLayer(layer, metadata, signal);
  else documents = await besideIt(session, opened);
  if (documents.length === 0) {
    throw new Error(
      `Cannot find a bill of materials in ${name}: ${
        metadata === undefined
          ? "no buildpacks made it, and none is attached"
          : "its buildpacks wrote none, and none is attached"
      }`,
    );
  }
  const wanted = documents.filter((one) =>
    (flags.buildpack ?? [one.buildpack]).includes(one.buildpack) &&
    (flags.layer ?? [one.layer]).includes(one.layer)
  );
  if (wanted.length > 0) return { ...opened, documents: wanted };
  const have = [
    ...new Set(documents.map(({ buildpack, layer }) => harmless(`${buildpack}:${layer}`))),
  ];
  throw new UsageError(
    `Cannot find such a bill of materials in ${located.name}: it has ${have.join(", ")}`,
  );
}

async function besideIt(
  session: Session,
  { image, located: { registry, repository } }: OpenedImage,
): Promise<readonly BomDocument[]> {
  if (!canList(registry)) return [];
  const { signal } = session.ctx;
  const found: BomDocument[] = [];
  for (const one of await attachedBoms(registry, repository, image.raw.digest, signal)) {
    const document = await readAttachedBom(registry, repository, one, signal);
    if (document !== undefined) found.push(document);
  }
  return found;
}

/** Archives can only be read. */
export function canList(place: Reader): place is Reader & Lister {
  return "referrers" in place;
}

/** Reads `--format`. */
export function bomFormat(text: string): BomFormat {
  const format = text === "cdx" ? "cyclonedx" : text;
  if (format === "cyclonedx" || format === "spdx" || format === "syft") return format;
  throw new UsageError(
    `Cannot use --format ${JSON.stringify(text)}: want cyclonedx, spdx or syft`,
  );
}
