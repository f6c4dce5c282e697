/** Image names of the command line as places that can be read or written. */
import type { Reader, Registry } from "../registry/registry.ts";
import { OciError } from "../registry/oci/error.ts";
import {
  familiarName,
  familiarRepository,
  parsePlace,
  parseReference,
  type Place,
  type Reference,
  wantedOf,
} from "../registry/oci/reference.ts";
import { storeRepository } from "../registry/store/name.ts";
import { UsageError } from "./exit.ts";
import type { Session } from "./session.ts";

/** An image somewhere. */
export interface Located {
  /** The place. */
  readonly registry: Reader;
  /** The repository in it. */
  readonly repository: string;
  /** Tag or digest. */
  readonly reference: string;
  /** For people, as they would type it. */
  readonly name: string;
  /** The name before any tag or digest. */
  readonly repositoryName: string;
}

/** A place that can be written, too. */
export interface Writable extends Located {
  /** The place. */
  readonly registry: Registry;
}

/** Reads an image name, saying which word was wrong. */
export function readPlace(text: string): Place {
  try {
    return parsePlace(text);
  } catch (error) {
    if (error instanceof OciError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

/**
 * Reads the name of an image to be read: a path, or a name that ends in `.tar`, is an archive of whichever of the two kinds.
 *
 * @throws {UsageError} When it can be neither.
 */
export async function imagePlace(session: Session, name: string): Promise<Place> {
  const isPath = /^[./]/.test(name);
  if (isPath || name.endsWith(".tar") && !/^[a-z-]+:/.test(name)) {
    const path = session.path(name);
    const stat = await Deno.stat(path).catch(() => undefined);
    if (stat?.isFile) {
      const { isLayoutArchive } = await import("../registry/store/oci_archive.ts");
      const kind = await isLayoutArchive(path) ? "oci-archive" : "docker-archive";
      return readPlace(`${kind}:${path}`);
    }
    if (stat?.isDirectory) {
      throw new UsageError(
        `Cannot use ${
          JSON.stringify(name)
        }: it is a directory (of an OCI layout? want oci:${name})`,
      );
    }
    // In a registry somebody might call an image so; without a host it can only be meant as a file.
    if (isPath || !/^[^/]*[.:][^/]*\//.test(name)) {
      throw new UsageError(`Cannot find ${JSON.stringify(name)}: no such file`);
    }
  }
  return readPlace(name);
}

/** Reads a name that must be of a registry (or the store), without a transport prefix. */
export function readName(text: string): Reference {
  const prefix = /^(?:store|oci|oci-archive|docker-archive):/.exec(text)?.[0];
  if (prefix !== undefined) { // else it would be the tag of a repository of that name, on Docker Hub
    throw new UsageError(`Cannot use ${JSON.stringify(text)} here: want a name without ${prefix}`);
  }
  try {
    return parseReference(text);
  } catch (error) {
    if (error instanceof OciError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

/** The image as it is in the local store. */
export async function inStore(session: Session, reference: Reference): Promise<Writable> {
  return {
    registry: await session.store(),
    repository: storeRepository(reference),
    reference: wantedOf(reference),
    name: familiarName(reference),
    repositoryName: familiarRepository(reference),
  };
}

/** The image as it is in its registry. */
export async function inRegistry(
  session: Session,
  reference: Reference,
): Promise<Writable & { readonly registry: Awaited<ReturnType<Session["registry"]>> }> {
  return {
    registry: await session.registry(reference.registry),
    repository: reference.repository,
    reference: wantedOf(reference),
    name: familiarName(reference),
    repositoryName: familiarRepository(reference),
  };
}

/** The image as a bundle of `--from`, its mirrors or its registry have it, to be read only. */
export async function fromRegistry(session: Session, reference: Reference): Promise<Located> {
  const carried = await session.carried(reference);
  if (carried !== undefined) {
    return {
      registry: carried.reader,
      repository: reference.repository,
      reference: carried.digest,
      name: familiarName(reference),
      repositoryName: familiarRepository(reference),
    };
  }
  const located = await inRegistry(session, reference);
  return { ...located, registry: await session.source(reference.registry) };
}

/**
 * Opens any place for reading.
 *
 * @param stack Closes archives with the command.
 */
export async function openForReading(
  session: Session,
  place: Place,
  stack: AsyncDisposableStack,
): Promise<Located> {
  switch (place.kind) {
    case "registry":
      return await fromRegistry(session, place.reference);
    case "store":
      return await inStore(session, place.reference);
    case "oci":
      return await inLayout(
        await layout(session, place, false),
        session.path(place.path),
        place.tag,
      );
    case "oci-archive": {
      const { readOciArchive } = await import("../registry/store/oci_archive.ts");
      const archive = stack.use(await readOciArchive(session.path(place.path)));
      return fromArchive(archive, `oci-archive:${place.path}`, place.tag);
    }
    case "docker-archive": {
      const { readDockerArchive } = await import("../registry/store/docker_archive.ts");
      const archive = stack.use(await readDockerArchive(session.path(place.path)));
      const name = place.reference && familiarName(place.reference);
      return fromArchive(archive, `docker-archive:${place.path}`, name);
    }
  }
}

/** Opens an OCI layout. */
export async function layout(
  session: Session,
  place: Extract<Place, { kind: "oci" }>,
  create: boolean,
): Promise<Writable> {
  const { LAYOUT_REPOSITORY, openLayout } = await import("../registry/store/layout.ts");
  const dir = session.path(place.path);
  const registry = await openLayout(dir, { create });
  let reference = place.tag ?? "latest";
  if (
    place.tag === undefined && !create &&
    await registry.stat(LAYOUT_REPOSITORY, reference) === undefined
  ) {
    const tags = await Array.fromAsync(registry.tags(LAYOUT_REPOSITORY));
    if (tags.length === 1) reference = tags[0]!; // one image needs no name
  }
  return {
    registry,
    repository: LAYOUT_REPOSITORY,
    reference,
    name: `oci:${place.path}${place.tag === undefined ? "" : `:${place.tag}`}`,
    repositoryName: `oci:${place.path}`,
  };
}

/** The layout in `dir` is there; that its tag is not is told with the tags that are. One image that has no tag needs none. */
async function inLayout(located: Writable, dir: string, tag?: string): Promise<Located> {
  const { registry, repository, reference, repositoryName } = located;
  if (await registry.stat(repository, reference) !== undefined) return located;
  const have = await Array.fromAsync(registry.tags(repository));
  if (have.length === 0 && tag === undefined) {
    const { onlyManifest } = await import("../registry/store/layout.ts");
    const only = await onlyManifest(dir);
    if (only !== undefined) return { ...located, reference: only };
  }
  throw new UsageError(
    `Cannot find ${reference} in ${repositoryName}: it has ${have.join(", ") || "no tags"}`,
  );
}

type Archive = {
  readonly reader: Reader;
  readonly repository: string;
  readonly images: readonly { readonly digest: string; readonly names: readonly string[] }[];
};

function fromArchive(archive: Archive, name: string, wanted: string | undefined): Located {
  const images = wanted === undefined
    ? archive.images
    : archive.images.filter(({ names }) =>
      names.includes(wanted) || names.includes(`${wanted}:latest`)
    );
  if (images.length !== 1) {
    const have = archive.images.flatMap(({ names }) => names);
    throw new UsageError(
      `Cannot choose an image of ${name}: it has ${
        have.join(", ") || `${archive.images.length} without a name`
      }`,
    );
  }
  return {
    registry: archive.reader,
    repository: archive.repository,
    reference: images[0]!.digest,
    name,
    repositoryName: name,
  };
}
