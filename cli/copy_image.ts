/** `push`, `pull` and `copy`: the same act between different places. */
import type { Meter } from "../registry/context.ts";
import { copy } from "../registry/copy.ts";
import type { Family } from "../registry/family.ts";
import type { Descriptor, Platform } from "../registry/oci/descriptor.ts";
import { isIndexType } from "../registry/oci/media_type.ts";
import {
  familiarName,
  formatPlace,
  type Place,
  type Reference,
} from "../registry/oci/reference.ts";
import type { CommonFlags } from "./common.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import { imageAt } from "./open_image.ts";
import type { OutputFormat } from "./output.ts";
import {
  fromRegistry,
  imagePlace,
  inRegistry,
  inStore,
  layout,
  type Located,
  openForReading,
  readName,
  readPlace,
  type Writable,
} from "./places.ts";
import { readPlatform } from "./platform.ts";
import { withStoreHint } from "./pull_policy.ts";
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
  const source = await imagePlace(session, from);
  const target = readPlace(to);
  await withStoreHint(session, source, () => copyBetween(session, source, target, flags));
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
      const { copyToArchive } = await import("./copy_archive.ts");
      await using _lease = await leaseFor(session, source);
      await checkPlatform(session, source, flags);
      const digest = await copyToArchive(
        session,
        await inFormat(source, flags),
        place,
        platformOf(flags),
      );
      const name = formatPlace(place);
      if (flags.output === "json") {
        session.io.stdout.write(JSON.stringify({ name, digest }, null, 2) + "\n");
      } else {
        session.log.info(`Copied ${source.name} to ${name}`);
        session.io.stdout.write(`${place.kind}:${place.path}@${digest}\n`);
      }
    }
  }
}

/** An image that stands alone is for one platform; `--platform` chooses only from an index. */
async function checkPlatform(
  session: Session,
  located: Located,
  { platform }: CopyFlags,
): Promise<void> {
  if (platform === undefined) return;
  const { registry, repository, reference } = located;
  const raw = await registry.manifest(repository, reference, { signal: session.ctx.signal });
  if (raw === undefined || isIndexType(raw.mediaType)) return;
  await imageAt(session, { ...located, reference: raw.digest }, { platform });
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
  await checkPlatform(session, from, flags);
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
