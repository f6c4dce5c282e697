/** `wherry bundle push`. */
import { join } from "node:path";
import { copy } from "../../registry/copy.ts";
import type { Bundle } from "../../registry/bundle/read.ts";
import type { LockedImage } from "../../registry/bundle/lock.ts";
import { isOciError } from "../../registry/oci/error.ts";
import { familiarRepository, type Reference } from "../../registry/oci/reference.ts";
import type { Registry } from "../../registry/registry.ts";
import type { CommonFlags } from "../common.ts";
import { failureOf, UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import { inRegistry, readName } from "../places.ts";
import { Session } from "../session.ts";
import { receiverFiles } from "./receiver.ts";
import { mapName } from "./names.ts";
import { readRule } from "./inspect.ts";
import { openFiles, refuseIncomplete } from "./open.ts";

/** Flags of the command. */
export interface PushBundleFlags extends CommonFlags {
  readonly map?: readonly string[];
  readonly dryRun?: boolean;
  readonly jobs: string;
  readonly keepGoing?: boolean;
  readonly configOut?: string;
  readonly output: string;
}

interface Move {
  readonly image: LockedImage;
  readonly target: Reference;
  readonly name: string;
}

type Moved = Move & { readonly digest?: string; readonly error?: string };

/** Puts all images of a bundle into a registry. @returns 1 when some could not be. */
export async function pushBundle(
  io: Io,
  words: readonly string[],
  flags: PushBundleFlags,
): Promise<number> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  const prefix = words.at(-1)!.replace(/\/+$/, "");
  const files = words.slice(0, -1);
  if (files.length === 0) {
    throw new UsageError("Cannot push a bundle: want its files, and REGISTRY or REGISTRY/PREFIX");
  }
  const jobs = Number(flags.jobs);
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > 64) {
    throw new UsageError(`Cannot use --jobs ${JSON.stringify(flags.jobs)}: want 1 to 64`);
  }
  const rules = (flags.map ?? []).map(readRule);
  const bundle = await openFiles(session, files, stack);
  refuseIncomplete(bundle);
  const moves = bundle.images.filter(({ role }) => role !== "referrer").map((image): Move => {
    const name = mapName(image.reference, prefix, rules);
    return { image, target: readName(name), name };
  });
  const moved = flags.dryRun ? moves : await pushAll(session, bundle, moves, jobs, flags);
  report(io, flags, moved);
  if (flags.configOut !== undefined && !flags.dryRun) {
    const dir = session.path(flags.configOut);
    await Deno.mkdir(dir, { recursive: true });
    for (const [name, text] of receiverFiles(moves)) {
      const path = join(dir, name);
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(path, text);
      session.log.info(`Wrote ${path}`);
    }
  }
  const failed = moved.filter((one: Moved) => one.error !== undefined).length;
  if (failed > 0) session.log.error(`${failed} of ${moved.length} images were not pushed`);
  return failed > 0 ? 1 : 0;
}

function report(io: Io, flags: PushBundleFlags, moved: readonly Moved[]): void {
  if (flags.output === "json") {
    io.stdout.write(
      JSON.stringify(
        moved.map(({ image, name, digest, error }) => ({
          original: image.reference,
          original_digest: image.descriptor.digest,
          name,
          digest: digest ?? null,
          ...(error === undefined ? {} : { error }),
        })),
        null,
        2,
      ) + "\n",
    );
    return;
  }
  for (const { image, target, digest, error } of moved) {
    const original = image.reference.replace(/[:@][^/]*$/, "");
    const to = `${familiarRepository(target)}@${digest ?? image.descriptor.digest}`;
    if (error === undefined) {
      io.stdout.write(`${original}@${image.descriptor.digest}\t${to}\n`);
    }
  }
}

async function pushAll(
  session: Session,
  bundle: Bundle,
  moves: readonly Move[],
  jobs: number,
  flags: PushBundleFlags,
): Promise<readonly Moved[]> {
  const results: Moved[] = [];
  let next = 0;
  const work = async () => {
    for (let at = next++; at < moves.length; at = next++) {
      const move = moves[at]!;
      try {
        results[at] = { ...move, digest: await pushOne(session, bundle, move) };
        session.log.info(`Pushed ${move.image.reference} as ${move.name}`);
      } catch (error) {
        session.ctx.signal.throwIfAborted();
        if (!flags.keepGoing) {
          next = moves.length;
          throw error;
        }
        const { message } = failureOf(error);
        session.log.error(message ?? "");
        results[at] = { ...move, error: message ?? "" };
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: jobs }, work));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  return results;
}

/** Blobs, children, the index, what speaks of it, the tag last. */
async function pushOne(session: Session, bundle: Bundle, move: Move): Promise<string> {
  const { image, target } = move;
  const { signal } = session.ctx;
  const { registry, repository } = await inRegistry(session, target);
  const tags = target.digest === undefined ? [target.tag ?? "latest"] : [];
  const digest = image.absent.length === 0
    ? (await copy(bundle.reader, "", image.descriptor.digest, registry, repository, {
      signal,
      tags,
    })).descriptor.digest
    : await pushSparse(session, bundle, move, registry, repository, tags);
  for (const { digest } of await referrersOf(bundle, image)) {
    await copy(bundle.reader, "", digest, registry, repository, { signal });
  }
  return digest;
}

/** Documents of an image that speak of one of its others. */
async function referrersOf(
  bundle: Bundle,
  image: LockedImage,
): Promise<readonly { digest: string }[]> {
  const own = new Set([image.descriptor.digest, ...image.content.map(({ digest }) => digest)]);
  const found = [];
  for (const { digest, mediaType } of image.content) {
    if (!/manifest|index/.test(mediaType)) continue;
    const raw = await bundle.reader.manifest("", digest);
    if (raw === undefined) continue;
    const { subject } = JSON.parse(new TextDecoder().decode(raw.bytes));
    if (own.has(subject?.digest)) found.push({ digest });
  }
  return found;
}

/** An index with children left out keeps its digest where the registry takes it; otherwise its only child is offered. */
async function pushSparse(
  session: Session,
  bundle: Bundle,
  { image, name }: Move,
  registry: Registry,
  repository: string,
  tags: readonly string[],
): Promise<string> {
  const { signal } = session.ctx;
  const { parseDocument } = await import("../../registry/oci/manifest.ts");
  const raw = (await bundle.reader.manifest("", image.descriptor.digest))!;
  const document = parseDocument(raw.bytes, raw.mediaType);
  const children = document.kind === "index"
    ? document.index.manifests.filter(({ digest }) =>
      image.content.some((one) => one.digest === digest)
    )
    : [];
  for (const { digest } of children) {
    await copy(bundle.reader, "", digest, registry, repository, { signal });
  }
  try {
    return (await registry.pushManifest(
      repository,
      { mediaType: raw.mediaType, bytes: raw.bytes },
      { signal, tags },
    )).digest;
  } catch (error) {
    if (!isOciError(error, "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID")) throw error;
    const [only, ...more] = children;
    if (only === undefined || more.length > 0) throw error;
    session.log.warn(
      `${name}: the registry takes no index with missing children, so the one image of it gets the name, with another digest`,
    );
    const source = await bundle.reader.manifest("", only.digest);
    return (await registry.pushManifest(
      repository,
      { mediaType: source!.mediaType, bytes: source!.bytes },
      { signal, tags },
    )).digest;
  }
}
