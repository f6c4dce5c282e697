/** What the commands of `wherry manifest` do. */
import { copy } from "../registry/copy.ts";
import { readAll } from "../registry/source.ts";
import { MAX_CONFIG_BYTES } from "../registry/image.ts";
import { parseConfig } from "../registry/oci/config.ts";
import type { Descriptor, Platform } from "../registry/oci/descriptor.ts";
import { isDigest } from "../registry/oci/digest.ts";
import { parseDocument } from "../registry/oci/manifest.ts";
import { formatPlatform } from "../registry/oci/platform.ts";
import { familiarRepository } from "../registry/oci/reference.ts";
import type { RawManifest } from "../registry/registry.ts";
import { collectLabels } from "./package/labels.ts";
import type { CommonFlags } from "./common.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import {
  type Draft,
  type DraftEntry,
  dropDraft,
  encodeDraft,
  mustReadDraft,
  readDraft,
  writeDraft,
} from "./manifest_draft.ts";
import {
  inRegistry,
  inStore,
  type Located,
  openForReading,
  readName,
  readPlace,
} from "./places.ts";
import { Session } from "./session.ts";
import { count } from "./ui/count.ts";

/** Flags of all of them. */
export interface ListFlags extends CommonFlags {
  readonly format?: "oci" | "docker";
  readonly publish?: boolean;
  readonly purge?: boolean;
  readonly os?: string;
  readonly arch?: string;
  readonly variant?: string;
  readonly annotations?: readonly string[];
}

/** `manifest create`. */
export async function createList(
  io: Io,
  name: string,
  images: readonly string[],
  flags: ListFlags,
): Promise<void> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  readName(name);
  if (!flags.publish && await readDraft(session, name) !== undefined) {
    throw new UsageError(
      `Cannot begin index ${name}: it was begun already (see: wherry manifest add, remove)`,
    );
  }
  let draft: Draft = { format: flags.format ?? "oci", entries: [] };
  for (const image of images) draft = merge(draft, await entriesOf(session, image, stack));
  if (flags.publish) return await publish(session, name, draft, stack);
  await writeDraft(session, name, draft);
  session.log.info(`Began index ${name} with ${count(draft.entries.length, "image")}`);
}

/** `manifest add`. */
export async function addToList(
  io: Io,
  name: string,
  image: string,
  flags: ListFlags,
): Promise<void> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  const draft = await mustReadDraft(session, name);
  const added = await entriesOf(session, image, stack);
  await writeDraft(session, name, merge(draft, added));
  for (const { descriptor } of added) {
    session.log.info(`Added ${descriptor.digest} (${formatPlatform(descriptor.platform)})`);
  }
}

/** The same digest once: what was added last counts. */
function merge(draft: Draft, added: readonly DraftEntry[]): Draft {
  const all = new Map([...draft.entries, ...added].map((one) => [one.descriptor.digest, one]));
  return { ...draft, entries: [...all.values()] };
}

/** `manifest annotate`. */
export async function annotateList(
  io: Io,
  name: string,
  image: string,
  flags: ListFlags,
): Promise<void> {
  await using session = new Session(io, flags);
  const draft = await mustReadDraft(session, name);
  const chosen = await choose(session, draft, name, image);
  const annotations = collectLabels(flags.annotations, "--annotations");
  const entries = draft.entries.map((entry): DraftEntry => {
    if (entry !== chosen) return entry;
    const { descriptor } = entry;
    const old = descriptor.platform;
    const platform: Platform = {
      architecture: flags.arch ?? old?.architecture ?? "",
      os: flags.os ?? old?.os ?? "",
      ...(flags.variant ?? old?.variant ? { variant: flags.variant ?? old?.variant } : {}),
    };
    const all = { ...descriptor.annotations, ...annotations };
    return {
      ...entry,
      descriptor: {
        ...descriptor,
        platform,
        ...(Object.keys(all).length > 0 ? { annotations: all } : {}),
      },
    };
  });
  await writeDraft(session, name, { ...draft, entries });
}

/** `manifest inspect`. */
export async function inspectList(io: Io, name: string, flags: ListFlags): Promise<void> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  const draft = await readDraft(session, name);
  let bytes = draft && encodeDraft(draft).bytes;
  if (bytes === undefined) {
    const reference = readName(name);
    const local = await inStore(session, reference);
    const raw = await local.registry.manifest(local.repository, local.reference) ??
      await read(session, await openForReading(session, { kind: "registry", reference }, stack));
    bytes = raw.bytes;
  }
  io.stdout.write(
    JSON.stringify(JSON.parse(new TextDecoder().decode(bytes)), null, 2) + "\n",
  );
}

/** `manifest push`. */
export async function pushList(io: Io, name: string, flags: ListFlags): Promise<void> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  const draft = await mustReadDraft(session, name);
  await publish(session, name, { ...draft, format: flags.format ?? draft.format }, stack);
  if (flags.purge) await dropDraft(session, name);
}

/** `manifest remove`. */
export async function forgetLists(
  io: Io,
  names: readonly string[],
  flags: ListFlags,
): Promise<void> {
  await using session = new Session(io, flags);
  const absent: string[] = [];
  for (const name of names) {
    if (await dropDraft(session, name)) session.log.info(`Forgot index ${name}`);
    else absent.push(name);
  }
  if (absent.length > 0) {
    throw new UsageError(`Cannot forget ${absent.join(", ")}: no such index was begun here`);
  }
}

/** `manifest rm`. */
export async function takeOut(
  io: Io,
  name: string,
  images: readonly string[],
  flags: ListFlags,
): Promise<void> {
  await using session = new Session(io, flags);
  const draft = await mustReadDraft(session, name);
  const gone = new Set<DraftEntry>();
  for (const image of images) gone.add(await choose(session, draft, name, image));
  await writeDraft(session, name, {
    ...draft,
    entries: draft.entries.filter((entry) => !gone.has(entry)),
  });
}

/** The entry that a digest, a repository or, by what it is now, a tag stands for. */
async function choose(
  session: Session,
  draft: Draft,
  name: string,
  image: string,
): Promise<DraftEntry> {
  const found = draft.entries.filter(({ from, descriptor }) =>
    descriptor.digest === image || from === image || from.startsWith(`${image}@`)
  );
  if (found.length === 1) return found[0]!;
  const tagged = found.length === 0 ? await behindTag(session, draft, image) : undefined;
  if (tagged !== undefined) return tagged;
  const have = draft.entries.map(({ from }) => from).join(", ");
  throw new UsageError(
    found.length === 0
      ? `Cannot find ${image} in index ${name}: it has ${have || "no images"}`
      : `Cannot choose ${image} in index ${name}: ${found.length} fit, want a digest`,
  );
}

async function behindTag(
  session: Session,
  draft: Draft,
  image: string,
): Promise<DraftEntry | undefined> {
  if (isDigest(image)) return undefined;
  const place = readPlace(image);
  if (place.kind !== "registry" && place.kind !== "store") return undefined;
  const prefix = place.kind === "store" ? "store:" : "";
  const from = `${prefix}${familiarRepository(place.reference)}@`;
  if (!draft.entries.some((entry) => entry.from.startsWith(from))) return undefined;
  await using stack = new AsyncDisposableStack();
  const { registry, repository, reference } = await openForReading(session, place, stack);
  const there = await registry.stat(repository, reference, { signal: session.ctx.signal });
  return draft.entries.find(({ descriptor }) => descriptor.digest === there?.digest);
}

/** The image behind a name, or all images of an index. */
async function entriesOf(
  session: Session,
  name: string,
  stack: AsyncDisposableStack,
): Promise<readonly DraftEntry[]> {
  const place = readPlace(name);
  if (place.kind !== "registry" && place.kind !== "store") {
    throw new UsageError(
      `Cannot add ${name} to an index: want an image of a registry, or of the store (store:NAME)`,
    );
  }
  const located = await openForReading(session, place, stack);
  const raw = await read(session, located);
  const document = parseDocument(raw.bytes, raw.mediaType);
  const from = (digest: string) =>
    `${place.kind === "store" ? "store:" : ""}${located.repositoryName}@${digest}`;
  if (document.kind === "index") {
    return document.index.manifests.map((descriptor) => ({
      from: from(descriptor.digest),
      descriptor,
    }));
  }
  const { signal } = session.ctx;
  const blob = await located.registry.blob(
    located.repository,
    document.manifest.config.digest,
    { signal },
  );
  if (blob === undefined) throw new UsageError(`Cannot add ${name}: its config is not there`);
  const { os, architecture, variant } = parseConfig(await readAll(blob, MAX_CONFIG_BYTES));
  const descriptor: Descriptor = {
    mediaType: raw.mediaType,
    digest: raw.digest,
    size: raw.bytes.byteLength,
    platform: { architecture, os, ...(variant === undefined ? {} : { variant }) },
  };
  return [{ from: from(raw.digest), descriptor }];
}

async function read(session: Session, located: Located): Promise<RawManifest> {
  const { registry, repository, reference, name } = located;
  const raw = await registry.manifest(repository, reference, { signal: session.ctx.signal });
  if (raw !== undefined) return raw;
  throw new UsageError(`Cannot find ${name}: it is not there`);
}

/** Images first, the index with its tag last. */
async function publish(
  session: Session,
  name: string,
  draft: Draft,
  stack: AsyncDisposableStack,
): Promise<void> {
  if (draft.entries.length === 0) throw new UsageError(`Cannot push index ${name}: it is empty`);
  const { signal } = session.ctx;
  const to = await inRegistry(session, readName(name));
  for (const { from, descriptor } of draft.entries) {
    const place = readPlace(from);
    // The client itself, not a mirror of it: what lies in the same registry is mounted.
    const source = place.kind === "registry"
      ? await inRegistry(session, place.reference)
      : await openForReading(session, place, stack);
    await copy(source.registry, source.repository, descriptor.digest, to.registry, to.repository, {
      signal,
    });
  }
  const { digest } = await to.registry.pushManifest(to.repository, encodeDraft(draft), {
    signal,
    tags: [to.reference],
  });
  session.log.info(`Pushed index ${to.name} of ${count(draft.entries.length, "image")}`);
  session.io.stdout.write(`${to.repositoryName}@${digest}\n`);
}
