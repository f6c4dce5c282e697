/** `wherry bundle create`. */
import { type Closure, closureOf } from "../../registry/bundle/closure.ts";
import {
  contentOf,
  type Lock,
  type LockedImage,
  parseLock,
  type Role,
} from "../../registry/bundle/lock.ts";
import { openBundle } from "../../registry/bundle/read.ts";
import { writeBundle } from "../../registry/bundle/write.ts";
import { makeImage, readImage } from "../../registry/image.ts";
import type { Descriptor, Platform } from "../../registry/oci/descriptor.ts";
import { type Digest, digestOf } from "../../registry/oci/digest.ts";
import { isOciError } from "../../registry/oci/error.ts";
import { bytesSource, fileSource, type Source } from "../../registry/source.ts";
import type { Store } from "../../registry/store/store.ts";
import { dependenciesOf, type Dependency } from "../../lifecycle/platform/bundle_dependencies.ts";
import { needsOf } from "../../lifecycle/platform/bundle_needs.ts";
import { executableFile } from "../assets.ts";
import type { CommonFlags } from "../common.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import {
  fromRegistry,
  inStore,
  type Located,
  openForReading,
  readName,
  readPlace,
} from "../places.ts";
import { machinePlatform } from "../platform.ts";
import { readPlatform } from "../platform.ts";
import { Session } from "../session.ts";
import { formatSize, parseSize } from "../ui/size.ts";
import { formatTable } from "../ui/table.ts";
import { VERSION } from "../version.ts";
import { readFilters, takeDependencies } from "./dependencies.ts";
import { bundleName } from "./names.ts";
import { readSigner } from "./keys.ts";
import { count } from "../ui/count.ts";

/** Flags of the command. */
export interface CreateBundleFlags extends CommonFlags {
  readonly builder?: readonly string[];
  readonly runImage?: readonly string[];
  readonly app?: readonly string[];
  readonly package?: readonly string[];
  readonly includeTool?: boolean;
  readonly withDependencies?: boolean;
  readonly filter?: readonly string[];
  readonly platform?: readonly string[];
  readonly since?: string;
  readonly split?: string;
  readonly sign?: string;
  readonly dryRun?: boolean;
  readonly output: string;
}

/** Where blobs wait in the store: a creation that was broken off goes on with them. */
const SCRATCH = "wherry-scratch/bundle";

interface Taken {
  readonly locked: LockedImage;
  readonly from: Located;
  readonly closure: Closure;
}

function namesOf(dependencies: readonly Dependency[]): string {
  return [...new Set(dependencies.map(({ id, version }) => `${id} ${version}`))].join(", ");
}

/** Writes a bundle. */
export async function createBundle(
  io: Io,
  file: string,
  flags: CreateBundleFlags,
): Promise<void> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  const platforms = (flags.platform ?? []).map(readPlatform);
  const isWanted = readFilters(flags.filter ?? []);
  if (flags.filter !== undefined && !flags.withDependencies) {
    throw new UsageError("Cannot use --filter without --with-dependencies: it chooses among those");
  }
  const partBytes = flags.split === undefined ? undefined : parseSize(flags.split, "--split");
  const sign = flags.sign === undefined ? undefined : await readSigner(session.path(flags.sign));
  const before = flags.since === undefined
    ? undefined
    : await readSince(session, flags.since, stack);
  await session.lendStore();
  const store = await session.store();
  stack.use(await store.lease());
  const dependencies: Dependency[] = [];
  const taken = await takeAll(session, flags, platforms, dependencies, stack);
  const wanted = dependencies.filter(isWanted);
  if (wanted.length === 0 && dependencies.length > 0) {
    session.log.warn(`No dependency fits --filter: buildpacks name ${namesOf(dependencies)}`);
  }
  if (flags.dryRun && wanted.length > 0) {
    session.log.info(`Would be downloaded, too: ${namesOf(wanted)}`);
  }
  const files = flags.dryRun ? undefined : await takeDependencies(session, wanted, store, SCRATCH);
  const tool = flags.includeTool ? toolImage() : undefined;
  const images = [
    ...taken.map(({ locked }) => locked),
    ...(tool ? [tool.locked] : []),
    ...(files ? [files.locked] : []),
  ]
    .sort((a, b) => a.reference < b.reference ? -1 : 1);
  if (images.length === 0) {
    throw new UsageError(
      "Cannot make an empty bundle: want --builder, --run-image, --app or --package",
    );
  }
  const has = new Set(before && contentOf(before.lock).map(({ digest }) => digest));
  const draft: Omit<Lock, "parts"> = {
    version: 1,
    tool: `wherry ${VERSION}`,
    platforms,
    ...(before === undefined ? {} : { since: before.digest }),
    before: contentOf({ images }).map(({ digest }) => digest).filter((one) => has.has(one)),
    images,
  };
  const content = contentOf({ images }).filter(({ digest }) => !has.has(digest));
  if (flags.dryRun) {
    tellPlan(io, flags, images, content);
    return;
  }
  await fetchAll(session, taken, new Set(content.map(({ digest }) => digest)), store);
  const meter = session.ctx.meter(
    `Writing ${file}`,
    content.reduce((sum, one) => sum + one.size, 0),
  );
  const written = await writeBundle(
    session.path(file),
    draft,
    async ({ digest }) =>
      tool?.content.get(digest) ?? files?.content.get(digest) ?? documentOf(taken, digest) ??
        await blobOf(store, digest),
    { signal: session.ctx.signal, partBytes, sign, onProgress: (bytes) => meter.add(bytes) },
  );
  meter.end();
  const { lockBytes } = written;
  if (flags.output === "json") {
    io.stdout.write(
      JSON.stringify(
        {
          files: written.files,
          lock: digestOf(lockBytes),
          images: images.map(({ reference, role, descriptor }) => ({
            reference,
            role,
            digest: descriptor.digest,
          })),
          blobs: content.length,
          bytes: content.reduce((sum, one) => sum + one.size, 0),
        },
        null,
        2,
      ) + "\n",
    );
    return;
  }
  tellSize(session, images, content);
  for (const one of written.files) io.stdout.write(`${one}\n`);
}

function tellSize(
  session: Session,
  images: readonly LockedImage[],
  content: readonly Descriptor[],
): void {
  const bytes = content.reduce((sum, one) => sum + one.size, 0);
  session.log.info(
    `Bundled ${count(images.length, "image")}: ${count(content.length, "blob")}, ${
      formatSize(bytes)
    }`,
  );
}

function tellPlan(
  io: Io,
  flags: CreateBundleFlags,
  images: readonly LockedImage[],
  content: readonly Descriptor[],
): void {
  const bytes = content.reduce((sum, one) => sum + one.size, 0);
  if (flags.output === "json") {
    io.stdout.write(JSON.stringify({ images, blobs: content.length, bytes }, null, 2) + "\n");
    return;
  }
  const rows = images.map((one) => [one.role, one.reference, one.requiredBy ?? "-"]);
  io.stdout.write(
    `${formatTable(["ROLE", "IMAGE", "NEEDED BY"], rows)}${count(content.length, "blob")}, ${
      formatSize(bytes)
    } would be written\n`,
  );
}

/** All that was asked for, and what that needs. */
async function takeAll(
  session: Session,
  flags: CreateBundleFlags,
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
    const closure = await closureOf(located, { platforms, signal, named: located.name });
    const { top, documents, blobs, absent } = closure;
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
      if (flags.withDependencies) {
        const { found, skipped } = await dependenciesOf(image, name, platforms, signal);
        dependencies.push(...found);
        for (const one of skipped) session.log.warn(`Left out of the bundle: ${one}`);
      }
      for (const need of needsOf(image, name)) await takeNeed(need.names, need.role, reference);
    }
  };
  /** A run image has to be there under one of its names; the others are taken where they can be had. */
  const takeNeed = async (names: readonly string[], role: Role, requiredBy: string) => {
    const failures: string[] = [];
    for (const name of names) {
      try {
        await take(name, role, requiredBy);
      } catch (error) {
        session.ctx.signal.throwIfAborted();
        if (!isOciError(error)) throw error;
        failures.push(error.message);
      }
    }
    if (failures.length === names.length) {
      throw new UsageError(
        `Cannot bundle ${requiredBy}: its run image cannot be had: ${failures.join("; ")}`,
      );
    }
    for (const failure of failures) session.log.warn(`Left out of the bundle: ${failure}`);
  };
  for (const name of flags.builder ?? []) await take(name, "builder");
  for (const name of flags.runImage ?? []) await take(name, "run");
  for (const name of flags.app ?? []) await take(name, "app");
  for (const name of flags.package ?? []) await take(name, "package");
  return [...taken.values()];
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
      located: await fromRegistry(session, place.reference),
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

function describe({ mediaType, digest, bytes }: {
  readonly mediaType: string;
  readonly digest: Descriptor["digest"];
  readonly bytes: Uint8Array;
}): Descriptor {
  return { mediaType, digest, size: bytes.byteLength };
}

function bare({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}

function documentOf(taken: readonly Taken[], digest: Descriptor["digest"]): Source | undefined {
  for (const { closure } of taken) {
    const raw = closure.documents.get(digest);
    if (raw !== undefined) return bytesSource(raw.bytes);
  }
  return undefined;
}

async function blobOf(store: Store, digest: Descriptor["digest"]): Promise<Source> {
  const source = await store.content(digest);
  if (source !== undefined) return source;
  throw new Error(`Cannot write ${digest}: it left the store`);
}

/** Brings blobs into the store, each once; what is there is not asked for. */
async function fetchAll(
  session: Session,
  taken: readonly Taken[],
  wanted: ReadonlySet<string>,
  store: Store,
): Promise<void> {
  const { signal } = session.ctx;
  const queue = [
    ...new Map(
      taken.flatMap(({ from, closure }) =>
        [...closure.blobs.values()].filter(({ digest }) => wanted.has(digest))
          .map((blob) => [blob.digest, { blob, from }] as const)
      ),
    ).values(),
  ];
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { blob, from } = next;
      signal.throwIfAborted();
      if (await store.adopt(SCRATCH, blob.digest)) continue;
      const meter = session.ctx.meter(`Fetching ${blob.digest.slice(7, 19)}`, blob.size);
      try {
        const source = await from.registry.blob(from.repository, blob.digest, { signal });
        if (source === undefined) {
          throw new UsageError(`Cannot bundle ${from.name}: it lacks blob ${blob.digest}`);
        }
        await store.pushBlob(SCRATCH, blob, source, {
          signal,
          onProgress: (bytes) => meter.add(bytes),
        });
      } finally {
        meter.end();
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: 4 }, async () => {
    try {
      await work();
    } catch (error) {
      queue.length = 0;
      throw error;
    }
  }));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

const TOOL_TYPE = "application/vnd.wherry.tool.v1";

/** This executable as an artefact: `tar xf` finds it by the name in its annotation. */
function toolImage(): { readonly locked: LockedImage; readonly content: Map<string, Source> } {
  const path = executableFile();
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = Deno.readFileSync(path);
  } catch (cause) {
    throw new UsageError(`Cannot include the tool: ${path} is not there`, { cause });
  }
  const { os, architecture } = machinePlatform();
  const layer: Descriptor = {
    mediaType: TOOL_TYPE,
    digest: digestOf(bytes),
    size: bytes.byteLength,
    annotations: { "org.opencontainers.image.title": `wherry-${os}-${architecture}` },
  };
  const image = makeImage(
    { os, architecture, config: {}, rootfs: { type: "layers", diff_ids: [] } },
    [{ diffId: layer.digest, descriptor: layer, blob: () => Promise.resolve(bytesSource(bytes)) }],
  );
  const { config } = image.manifest;
  return {
    locked: {
      reference: `wherry.invalid/tool:${VERSION}-${architecture}`,
      role: "tool",
      descriptor: describe(image.raw),
      absent: [],
      content: [bare(layer), bare(config)].sort((a, b) => a.digest < b.digest ? -1 : 1),
    },
    content: new Map([
      [layer.digest as string, fileSource(path, bytes.byteLength)],
      [config.digest as string, bytesSource(image.rawConfig)],
      [image.raw.digest as string, bytesSource(image.raw.bytes)],
    ]),
  };
}

async function readSince(
  session: Session,
  name: string,
  stack: AsyncDisposableStack,
): Promise<{ readonly lock: Lock; readonly digest: Digest }> {
  const path = session.path(name);
  if (name.endsWith(".json") || name.endsWith(".lock")) {
    let bytes: Uint8Array;
    try {
      bytes = await Deno.readFile(path);
    } catch (cause) {
      throw new UsageError(`Cannot read --since ${name}: ${(cause as Error).message}`, { cause });
    }
    return { lock: parseLock(bytes, name), digest: digestOf(bytes) };
  }
  const { lock, lockBytes } = stack.use(
    await openBundle([path], { signal: session.ctx.signal }),
  );
  return { lock, digest: digestOf(lockBytes) };
}
