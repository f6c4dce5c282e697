/** `push`, `pull` and `copy`: the same act between different places. */
import type { Meter } from "../registry/context.ts";
import { copy } from "../registry/copy.ts";
import type { Family } from "../registry/family.ts";
import { readImage } from "../registry/image.ts";
import type { Descriptor, Platform } from "../registry/oci/descriptor.ts";
import { familiarName, type Place, type Reference } from "../registry/oci/reference.ts";
import type { CommonFlags } from "./common.ts";
import { failureOf, UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import type { OutputFormat } from "./output.ts";
import {
  fromRegistry,
  inRegistry,
  inStore,
  layout,
  type Located,
  openForReading,
  readName,
  readPlace,
  type Writable,
} from "./places.ts";
import { machinePlatform, readPlatform } from "./platform.ts";
import { Session } from "./session.ts";
import { formatSize } from "./ui/size.ts";
import { count } from "./ui/count.ts";

/** Flags of the three. */
export interface CopyFlags extends CommonFlags {
  readonly platform?: string;
  readonly allowNondistributable?: boolean;
  /** Of media types. */
  readonly format?: Family;
  readonly output: OutputFormat;
}

/** Store to registry. */
export async function push(io: Io, name: string, flags: CopyFlags): Promise<void> {
  await using session = begin(io, flags);
  const reference = readName(name);
  if (!await isInStore(session, reference)) {
    throw new UsageError(
      `Cannot push ${familiarName(reference)}: it is not in the store (see: wherry ls)`,
    );
  }
  await move(
    session,
    await inStore(session, reference),
    await inRegistry(session, reference),
    flags,
    "Pushed",
  );
}

/** Registry to store. */
export async function pull(io: Io, name: string, flags: CopyFlags): Promise<void> {
  await using session = begin(io, flags);
  const reference = readName(name);
  await move(
    session,
    await fromRegistry(session, reference),
    await inStore(session, reference),
    flags,
    "Pulled",
  );
}

/** Any place to any other. */
export async function copyImage(io: Io, from: string, to: string, flags: CopyFlags): Promise<void> {
  await using session = begin(io, flags);
  const source = readPlace(from);
  try {
    await copyBetween(session, source, readPlace(to), flags);
  } catch (cause) {
    io.signal.throwIfAborted();
    if (source.kind !== "registry" || !await isInStore(session, source.reference)) throw cause;
    const { code, message } = failureOf(cause);
    throw Object.assign(
      new Error(`${message}; the store has it: store:${familiarName(source.reference)}`, { cause }),
      { exitCode: code },
    );
  }
}

/** A flag that cannot be meant is told before anything is looked for. */
function begin(io: Io, flags: CopyFlags): Session {
  platformOf(flags);
  return new Session(io, flags);
}

async function isInStore(session: Session, reference: Reference): Promise<boolean> {
  const { registry, repository, reference: wanted } = await inStore(session, reference);
  return await registry.stat(repository, wanted) !== undefined;
}

async function copyBetween(
  session: Session,
  from: Place,
  place: Place,
  flags: CopyFlags,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const source = await openForReading(session, from, stack);
  switch (place.kind) {
    case "registry":
      return await move(session, source, await inRegistry(session, place.reference), flags);
    case "store":
      return await move(session, source, await inStore(session, place.reference), flags);
    case "oci":
      return await move(session, source, await layout(session, place, true), flags);
    default: {
      const wanted = platformOf(flags) ?? machinePlatform();
      const { signal } = session.ctx;
      stack.use(await leaseFor(session, source));
      const { registry, repository, reference } = await inFormat(source, flags);
      const image = await readImage(registry, repository, reference, wanted, { signal });
      if (image === undefined) throw new UsageError(`Cannot copy ${source.name}: it is not there`);
      const file = session.path(place.path);
      if (place.kind === "oci-archive") {
        const { writeOciArchive } = await import("../registry/store/oci_archive.ts");
        await writeOciArchive(file, [{ image, names: [place.tag ?? "latest"] }], { signal });
      } else {
        const { writeDockerArchive } = await import("../registry/store/docker_archive.ts");
        const names = place.reference ? [familiarName(place.reference)] : [];
        await writeDockerArchive(file, [{ image, names }], { signal });
      }
      session.io.stdout.write(`${image.raw.digest}\n`);
    }
  }
}

function platformOf(flags: CopyFlags): Platform | undefined {
  return flags.platform === undefined ? undefined : readPlatform(flags.platform);
}

/** The image in the family of media types that `--format` asks for. */
async function inFormat(located: Located, { format }: CopyFlags): Promise<Located> {
  if (format === undefined) return located;
  const { inFamily } = await import("../registry/family.ts");
  return { ...located, registry: inFamily(located.registry, format) };
}

/** Keeps collectors from what the store holds of an image that is on its way in or out. */
async function leaseFor(
  session: Session,
  ...places: readonly Located[]
): Promise<AsyncDisposable | undefined> {
  const store = places.some(({ registry }) => "name" in registry && registry.name === "store");
  return store ? await (await session.store()).lease() : undefined;
}

async function move(
  session: Session,
  from: Located,
  to: Writable,
  flags: CopyFlags,
  did: "Pushed" | "Pulled" | "Copied" = "Copied",
): Promise<void> {
  const format = flags.output;
  await using _lease = await leaseFor(session, from, to);
  const { ctx, log, io } = session;
  const meters = new Map<string, Meter>();
  const short = (blob: Descriptor) => blob.digest.slice(7, 19);
  const meterOf = (blob: Descriptor) => {
    let meter = meters.get(blob.digest);
    if (!meter) meters.set(blob.digest, meter = ctx.meter(`Copying ${short(blob)}`, blob.size));
    return meter;
  };
  const result = await copy(
    (await inFormat(from, flags)).registry,
    from.repository,
    from.reference,
    to.registry,
    to.repository,
    {
      signal: ctx.signal,
      named: from.name,
      tags: to.reference.includes(":") ? [] : [to.reference],
      platform: platformOf(flags),
      foreign: flags.allowNondistributable,
      onProgress: (blob, bytes) => meterOf(blob).add(bytes),
      onBlob: (blob, how) => {
        meters.get(blob.digest)?.end();
        log.debug(`${how} ${blob.digest} (${formatSize(blob.size)})`);
      },
    },
  );
  for (const meter of meters.values()) meter.end();
  const { digest } = result.descriptor;
  if (format === "json") {
    io.stdout.write(
      JSON.stringify(
        {
          name: to.name,
          digest,
          uploaded_blobs: result.uploaded,
          uploaded_bytes: result.uploadedBytes,
          reused_blobs: result.reused,
        },
        null,
        2,
      ) + "\n",
    );
    return;
  }
  const { uploaded, uploadedBytes, reused } = result;
  const what = did === "Copied" ? `${from.name} to ${to.name}` : to.name;
  log.info(
    uploaded + reused === 0
      ? `${did} ${what}: all of it was there`
      : `${did} ${what}: ${count(uploaded, "blob")} (${
        formatSize(uploadedBytes)
      }) moved, ${reused} ${reused === 1 ? "was" : "were"} there`,
  );
  io.stdout.write(`${to.repositoryName}@${digest}\n`);
}
