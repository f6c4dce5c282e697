/** Where a built image goes: the store, a registry, an OCI layout or an archive. */
import type { AccessCheck, ImagePlace } from "../lifecycle/phase/analyze_types.ts";
import type { Destination as Written } from "../lifecycle/phase/export_types.ts";
import type { Image } from "../registry/image.ts";
import {
  familiarName,
  familiarRepository,
  type Place,
  type Reference,
} from "../registry/oci/reference.ts";
import type { Registry } from "../registry/registry.ts";
import { storeRepository } from "../registry/store/name.ts";
import type { Destination } from "./destination.ts";
import { inRegistry, inStore, layout } from "./places.ts";
import type { Session } from "./session.ts";
import { type ArchivePlace, writeArchive } from "./write_archive.ts";

/** One destination, opened. */
export interface BuildTarget {
  /** For people, as typed. */
  readonly name: string;
  /** Goes before `@digest` in the result. */
  readonly repositoryName: string;
  /** The place. */
  readonly registry: Registry;
  /** Names there; the first is written first. */
  readonly destinations: readonly Written[];
  /** The image that is there already, for reuse. */
  readonly previous?: ImagePlace | undefined;
  /** Rights to ask for. */
  readonly access: readonly AccessCheck[];
  /** The registry's host, for choosing among mirrors. */
  readonly host?: string | undefined;
  /** Repository of the store that new layers are kept in until they are where they belong. */
  readonly spoolRepository: string;
  /** A file name that is the same for the same image. */
  readonly cacheName: string;
  /** What is left to do when the image is made: archives are written here. */
  finish(image: Image): Promise<void>;
}

/** Opens a destination; archives are closed with `stack`. */
export async function openTarget(
  session: Session,
  { place, references }: Destination,
  publish: boolean | undefined,
  stack: AsyncDisposableStack,
): Promise<BuildTarget> {
  switch (place.kind) {
    case "registry":
    case "store":
      return publish
        ? await registryTarget(session, references)
        : await storeTarget(session, references);
    case "oci":
      return await layoutTarget(session, place);
    default:
      return await archiveTarget(session, place, stack);
  }
}

function destinations(
  references: readonly Reference[],
  repository: (of: Reference) => string,
): readonly Written[] {
  return references.map((reference) => ({
    repository: repository(reference),
    tag: reference.tag ?? "latest",
    name: familiarName(reference),
  }));
}

const nothing = () => Promise.resolve();

async function storeTarget(session: Session, all: readonly Reference[]): Promise<BuildTarget> {
  const located = await inStore(session, all[0]!);
  return {
    ...located,
    destinations: destinations(all, storeRepository),
    previous: located,
    access: [],
    spoolRepository: located.repository,
    cacheName: cacheNameOf(located.repository),
    finish: nothing,
  };
}

async function registryTarget(session: Session, all: readonly Reference[]): Promise<BuildTarget> {
  const reference = all[0]!;
  const located = await inRegistry(session, reference);
  const client = located.registry;
  const repositories = new Map(all.map((one) => [one.repository, familiarRepository(one)]));
  return {
    ...located,
    destinations: destinations(all, (one) => one.repository),
    previous: located,
    access: [...repositories].map(([repository, name]) => ({
      name,
      mode: "read/write",
      check: async (signal) => await client.checkAccess(repository, "write", { signal }),
    })),
    host: reference.registry,
    spoolRepository: storeRepository(reference),
    cacheName: cacheNameOf(storeRepository(reference)),
    finish: nothing,
  };
}

async function layoutTarget(
  session: Session,
  place: Extract<Place, { kind: "oci" }>,
): Promise<BuildTarget> {
  const located = await layout(session, place, true);
  return {
    ...located,
    destinations: [{ repository: located.repository, tag: located.reference, name: located.name }],
    previous: located,
    access: [],
    spoolRepository: `${SCRATCH}/layout`,
    cacheName: cacheNameOf(`oci-${session.path(place.path)}`),
    finish: nothing,
  };
}

/** Repositories of the store for images that only pass through. */
export const SCRATCH = "wherry-scratch";

/** An archive is written in one piece, so the image is made in the store first and then leaves it. */
async function archiveTarget(
  session: Session,
  place: ArchivePlace,
  stack: AsyncDisposableStack,
): Promise<BuildTarget> {
  const file = session.path(place.path);
  const store = await session.store();
  const repository = `${SCRATCH}/${crypto.randomUUID()}`;
  stack.defer(async () => {
    await store.deleteManifest(repository, TAG).catch(() => false);
  });
  const name = `${place.kind}:${place.path}`;
  return {
    name,
    repositoryName: name,
    registry: store,
    destinations: [{ repository, tag: TAG, name }],
    access: [],
    spoolRepository: repository,
    cacheName: cacheNameOf(`${place.kind}-${file}`),
    finish: async (image) => void await writeArchive(session, place, [image]),
  };
}

const TAG = "build";

function cacheNameOf(text: string): string {
  return text.replaceAll(/[^\w.-]+/g, "_");
}
