/** `--pull-policy`: where an image is taken from that both its registry and the store may have. */
import { isOciError } from "../registry/oci/error.ts";
import type { Reference } from "../registry/oci/reference.ts";
import { readImage } from "../registry/image.ts";
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
export async function underPolicy(
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

/** What `work` gives; when it fails under `always`, the error says whether the store has one of `references`. */
export async function withStoreHint<T>(
  session: Session,
  references: readonly Reference[],
  policy: PullPolicy,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (policy !== "always" || !isAbsence(error) || session.ctx.signal.aborted) throw error;
    for (const reference of references) {
      const local = await inStore(session, reference);
      if (!await isAt(local).catch(() => false)) continue;
      error.message += ` (the store has ${local.name}: --pull-policy if-not-present takes it)`;
      break;
    }
    throw error;
  }
}

/** Whether a registry had nothing, or could not be asked: other faults have nothing to do with the store. */
function isAbsence(error: unknown): error is Error {
  return isOciError(error) ||
    error instanceof Error && /^(?:Cannot|failed to) find /.test(error.message);
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
