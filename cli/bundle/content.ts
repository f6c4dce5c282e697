/** What a bundle is made of: all that was asked for, and what that needs. */
import { dependenciesOf, type Dependency } from "../../lifecycle/platform/bundle_dependencies.ts";
import { needsOf } from "../../lifecycle/platform/bundle_needs.ts";
import { readBuilder } from "../../lifecycle/platform/package/builder.ts";
import { type Closure, closureOf } from "../../registry/bundle/closure.ts";
import type { LockedImage, Role } from "../../registry/bundle/lock.ts";
import { readImage } from "../../registry/image.ts";
import type { Descriptor, Platform } from "../../registry/oci/descriptor.ts";
import { isOciError, OciError } from "../../registry/oci/error.ts";
import { isIndexType } from "../../registry/oci/media_type.ts";
import { formatPlatform } from "../../registry/oci/platform.ts";
import { UsageError } from "../exit.ts";
import { inStore, type Located, openForReading, readName, readPlace } from "../places.ts";
import { machinePlatform, suits } from "../platform.ts";
import { placeUnder, withStoreHint } from "../pull_policy.ts";
import type { Session } from "../session.ts";
import { bundleName } from "./names.ts";

/** What was asked for. */
export interface BundleContent {
  readonly builder?: readonly string[];
  readonly runImage?: readonly string[];
  readonly app?: readonly string[];
  readonly package?: readonly string[];
  readonly withDependencies?: boolean;
}

/** An image that goes into the bundle. */
export interface Taken {
  /** As the lock has it. */
  readonly locked: LockedImage;
  /** Where it lies. */
  readonly from: Located;
  /** All of it. */
  readonly closure: Closure;
}

/**
 * All that was asked for, and what that needs.
 *
 * @param dependencies Gets what buildpacks would download.
 */
export async function takeAll(
  session: Session,
  flags: BundleContent,
  platforms: readonly Platform[],
  dependencies: Dependency[],
  stack: AsyncDisposableStack,
): Promise<readonly Taken[]> {
  const taken = new Map<string, Taken>();
  const take = async (name: string, role: Role, requiredBy?: string): Promise<void> => {
    const { reference, located } = await locate(session, name, stack);
    if (taken.has(reference)) return;
    const { signal } = session.ctx;
    session.log.debug(`looking at ${reference}`);
    const closure = await withStoreHint(
      session,
      readPlace(name),
      () => closureOf(located, { platforms, signal, named: located.name }),
    );
    const { top, documents, blobs, absent } = closure;
    if (!isIndexType(top.mediaType)) await refuseLone(located, name, platforms, signal);
    const others = [...documents.values()].filter(({ digest }) => digest !== top.digest)
      .map(describe);
    taken.set(reference, {
      locked: {
        reference,
        role,
        ...(requiredBy === undefined ? {} : { requiredBy }),
        descriptor: describe(top),
        absent,
        content: [...others, ...[...blobs.values()].map(bare)].sort((a, b) =>
          a.digest < b.digest ? -1 : 1
        ),
      },
      from: located,
      closure,
    });
    if (role !== "builder" && role !== "app" && !(role === "package" && flags.withDependencies)) {
      return;
    }
    for (const platform of await platformsIn(located, platforms, signal)) {
      const image = await readImage(
        located.registry,
        located.repository,
        located.reference,
        platform,
        { signal },
      );
      if (image === undefined) continue;
      if (role === "builder") readBuilder(image, name);
      if (flags.withDependencies) {
        const { found, skipped } = await dependenciesOf(image, name, platforms, signal);
        dependencies.push(...found);
        for (const one of skipped) session.log.warn(`Left out of the bundle: ${one}`);
      }
      for (const need of needsOf(image, name)) await takeNeed(need.names, need.role, reference);
    }
  };
  /** Names that cannot be had, and why: asked and told once. */
  const absent = new Map<string, string>();
  /** A run image has to be there under one of its names; the others are taken where they can be had. */
  const takeNeed = async (names: readonly string[], role: Role, requiredBy: string) => {
    const failures: string[] = [];
    const known = new Set(absent.values());
    for (const name of names) {
      const why = absent.get(name);
      if (why !== undefined) {
        failures.push(why);
        continue;
      }
      try {
        await take(name, role, requiredBy);
      } catch (error) {
        session.ctx.signal.throwIfAborted();
        if (!isOciError(error)) throw error;
        absent.set(name, error.message);
        failures.push(error.message);
      }
    }
    if (failures.length === names.length) {
      throw new UsageError(
        `Cannot bundle ${requiredBy}: its run image cannot be had: ${failures.join("; ")}`,
      );
    }
    for (const failure of failures) {
      if (!known.has(failure)) session.log.warn(`Left out of the bundle: ${failure}`);
    }
  };
  // First, so that what a builder names need not be found once more: it may have been given as store:NAME.
  for (const name of flags.runImage ?? []) await take(name, "run");
  for (const name of flags.builder ?? []) await take(name, "builder");
  for (const name of flags.app ?? []) await take(name, "app");
  for (const name of flags.package ?? []) await take(name, "package");
  return [...taken.values()];
}

/** An index is asked for its platforms; of a lone image only its config knows. */
async function refuseLone(
  { registry, repository, reference }: Located,
  name: string,
  platforms: readonly Platform[],
  signal: AbortSignal,
): Promise<void> {
  const [platform] = platforms;
  if (platform === undefined) return;
  const image = await readImage(registry, repository, reference, platform, { signal });
  const config = image?.config;
  if (!config?.os || platforms.some((wanted) => suits(config, wanted))) return;
  throw new OciError(
    "MANIFEST_UNKNOWN",
    `Cannot take ${name} for ${platforms.map(formatPlatform).join(", ")}: it is one image, for ${
      formatPlatform(config)
    }`,
  );
}

/** The platforms to look at labels for. */
async function platformsIn(
  { registry, repository, reference }: Located,
  platforms: readonly Platform[],
  signal: AbortSignal,
): Promise<readonly Platform[]> {
  if (platforms.length > 0) return platforms;
  const raw = await registry.manifest(repository, reference, { signal });
  const { parseDocument } = await import("../../registry/oci/manifest.ts");
  const document = raw && parseDocument(raw.bytes, raw.mediaType);
  if (document?.kind !== "index") return [machinePlatform()];
  return document.index.manifests.flatMap(({ platform }) =>
    platform === undefined || platform.os === "unknown" ? [] : [platform]
  );
}

async function locate(
  session: Session,
  name: string,
  stack: AsyncDisposableStack,
): Promise<{ readonly reference: string; readonly located: Located }> {
  const place = readPlace(name);
  if (place.kind === "registry") {
    return {
      reference: bundleName(place.reference),
      located: await placeUnder(session, place.reference, undefined),
    };
  }
  if (place.kind === "store") {
    return {
      reference: bundleName(place.reference),
      located: await inStore(session, place.reference),
    };
  }
  const located = await openForReading(session, place, stack);
  // An image without a name of its own gets one that nobody can mistake for a registry's.
  const own = "tag" in place && place.tag?.includes("/") ? place.tag : undefined;
  const base = place.path.split("/").at(-1)!.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  return { reference: own ?? bundleName(readName(`local.invalid/${base}:latest`)), located };
}

/** What a lock says of a document. */
export function describe({ mediaType, digest, bytes }: {
  readonly mediaType: string;
  readonly digest: Descriptor["digest"];
  readonly bytes: Uint8Array;
}): Descriptor {
  return { mediaType, digest, size: bytes.byteLength };
}

/** What a lock says of a blob. */
export function bare({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}
