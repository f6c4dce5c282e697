/** `--pull-policy`: where an image is taken from that both its registry and the store may have. */
import { isOciError, type OciError } from "../registry/oci/error.ts";
import { HUB, type Place, type Reference } from "../registry/oci/reference.ts";
import { readImage } from "../registry/image.ts";
import { UsageError } from "./exit.ts";
import { fromRegistry, inStore, type Located } from "./places.ts";
import { readPlatform, suits } from "./platform.ts";
import type { Session } from "./session.ts";

/** Whether an image in the store will do. */
export type PullPolicy = "always" | "if-not-present" | "never";

/**
 * The image where `policy` takes it from. Asks no registry: the image need not be there.
 *
 * @param asked See {@linkcode isAt}.
 */
async function underPolicy(
  session: Session,
  reference: Reference,
  policy: PullPolicy,
  asked?: string,
): Promise<Located> {
  if (policy !== "always") {
    const local = await inStore(session, reference);
    if (policy === "never" || await isAt(local, asked)) return local;
  }
  return await fromRegistry(session, reference);
}

/** What {@linkcode readUnder} has read, and where. */
export interface Taken<T> {
  /** `undefined` when nothing is there. */
  readonly value: T | undefined;
  /** The store, or what stands for the registry. */
  readonly located: Located;
}

/**
 * Reads an image where the policy takes it from.
 *
 * `policy` is what was said. Without a word the registry is asked, as under `always`; but a name without a registry's host
 * is most often that of an image made here, so where Docker Hub has none or cannot be asked the store's will do, and that is
 * told. Any other name fails then, and the error says that the store has one.
 *
 * @param asked See {@linkcode isAt}.
 * @param read Gives `undefined` when there is no such image.
 */
export async function readUnder<T>(
  session: Session,
  reference: Reference,
  policy: PullPolicy | undefined,
  asked: string | undefined,
  read: (located: Located) => Promise<T | undefined>,
): Promise<Taken<T>> {
  const located = await underPolicy(session, reference, policy ?? "always", asked);
  let absence: OciError | undefined;
  try {
    const value = await read(located);
    if (value !== undefined) return { value, located };
  } catch (error) {
    session.ctx.signal.throwIfAborted();
    if (!isAbsence(error)) throw error;
    absence = error;
  }
  const local = await inStore(session, reference);
  const kept = (policy ?? "always") === "always" && await isAt(local, asked).catch(() => false);
  if (kept && policy === undefined && reference.registry === HUB) {
    const why = absence?.message ?? `${await session.askedFor(reference)} has none`;
    session.log.info(`${local.name} is the store's (${why})`);
    return { value: await read(local), located: local };
  }
  const hint = ` (the store has ${local.name}: --pull-policy if-not-present takes it)`;
  if (absence !== undefined) {
    if (kept) absence.message += hint;
    throw absence;
  }
  if (kept) {
    const asked = await session.askedFor(reference);
    throw new UsageError(`Cannot find ${local.name}: ${asked} has none${hint}`);
  }
  return { value: undefined, located };
}

/** Where {@linkcode readUnder} would read from, for those who read later: found with one small question, and only when the store has it. */
export async function placeUnder(
  session: Session,
  reference: Reference,
  policy: PullPolicy | undefined,
): Promise<Located> {
  const mayBeOurs = policy === undefined && reference.registry === HUB &&
    await isAt(await inStore(session, reference)).catch(() => false);
  if (!mayBeOurs) return await underPolicy(session, reference, policy ?? "always");
  const ask = ({ registry, repository, reference }: Located) =>
    registry.stat(repository, reference);
  return (await readUnder(session, reference, policy, undefined, ask)).located;
}

/** What `work` gives; when a registry had nothing, or could not be asked, the error says how to name what the store has. */
export async function withStoreHint<T>(
  session: Session,
  place: Place,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    session.ctx.signal.throwIfAborted();
    if (place.kind !== "registry" || !isAbsence(error)) throw error;
    const local = await inStore(session, place.reference);
    if (await isAt(local).catch(() => false)) {
      error.message += `; the store has it: store:${local.name}`;
    }
    throw error;
  }
}

/** A registry had nothing, or could not be asked: other faults have nothing to do with the store. */
function isAbsence(error: unknown): error is OciError {
  return isOciError(
    error,
    ...["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "UNAUTHORIZED", "DENIED"] as const,
    ...["UNAVAILABLE", "TOOMANYREQUESTS"] as const,
  );
}

/**
 * Whether there is an image at `located`.
 *
 * @param asked `--platform` as given: one for another platform is none then.
 */
export async function isAt(
  { registry, repository, reference }: Located,
  asked?: string,
): Promise<boolean> {
  if (asked === undefined) return await registry.stat(repository, reference) !== undefined;
  const wanted = readPlatform(asked);
  try {
    const image = await readImage(registry, repository, reference, wanted);
    return image !== undefined && suits(image.config, wanted);
  } catch (error) {
    if (isOciError(error)) return false;
    throw error;
  }
}
