/** Where an image that is yet to be made shall go: all that can be wrong about it is said before any work. */
import { dirname } from "node:path";
import { familiarName, type Place, type Reference } from "../registry/oci/reference.ts";
import { ExitCode, LifecycleError } from "../lifecycle/error.ts";
import { UsageError } from "./exit.ts";
import { readName, readPlace } from "./places.ts";
import type { Session } from "./session.ts";

/** Flags about it. */
export interface DestinationFlags {
  /** Straight to the registry. */
  readonly publish?: boolean | undefined;
  /** More names there. */
  readonly tag?: readonly string[] | undefined;
}

/** Where images go. */
export interface Destination {
  /** As typed. */
  readonly name: string;
  /** The same, read. */
  readonly place: Place;
  /** All names, the first first; none of a layout or archive. */
  readonly references: readonly Reference[];
}

/**
 * Reads the destination `name`.
 *
 * @throws {UsageError} When no image can be put there with these flags.
 */
export async function readDestination(
  session: Session,
  name: string,
  { publish = false, tag = [] }: DestinationFlags,
): Promise<Destination> {
  const place = readPlace(name);
  if (publish && place.kind !== "registry") {
    throw new UsageError(
      `Cannot publish ${name}: --publish wants the name of an image in a registry`,
    );
  }
  if (place.kind !== "registry" && place.kind !== "store") {
    if (tag.length > 0) {
      throw new UsageError(`Cannot tag ${name}: --tag goes with the name of an image`);
    }
    if (place.kind === "oci") {
      const { refuseNoLayout } = await import("../registry/store/layout.ts");
      await refuseNoLayout(session.path(place.path));
    } else await refuseNowhere(session, name, place.path);
    return { name, place, references: [] };
  }
  const references = [place.reference, ...tag.map(readName)];
  for (const reference of references) {
    if (reference.digest === undefined) continue;
    throw new UsageError(
      `Cannot make ${familiarName(reference)}: its digest is not known before; want a tag`,
    );
  }
  const other = references.find(({ registry }) => registry !== place.reference.registry);
  if (publish && other !== undefined) {
    throw new LifecycleError(
      ExitCode.arguments,
      `writing to multiple registries is unsupported: ${familiarName(place.reference)}, ${
        familiarName(other)
      }`,
    );
  }
  return { name, place, references };
}

/** @throws {UsageError} When an archive of docker's, which holds one image, shall get `several`. */
export function refuseSeveral({ name, place }: Destination, several: number): void {
  if (place.kind !== "docker-archive" || several < 2) return;
  throw new UsageError(
    `Cannot write ${name}: it holds one platform, want oci-archive:FILE or oci:DIR for several`,
  );
}

async function refuseNowhere(session: Session, name: string, path: string): Promise<void> {
  const dir = dirname(session.path(path));
  if ((await Deno.stat(dir).catch(() => undefined))?.isDirectory) return;
  throw new UsageError(`Cannot write ${name}: ${dir} is no directory`);
}
