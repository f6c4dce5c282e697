/** Bundles that a command names. */
import { type Bundle, openBundle } from "../../registry/bundle/read.ts";
import type { LockedImage } from "../../registry/bundle/lock.ts";
import { storeRepository } from "../../registry/store/name.ts";
import { UsageError } from "../exit.ts";
import { readName } from "../places.ts";
import type { Session } from "../session.ts";

/** Opens files that make one bundle; closed with `stack`. */
export async function openFiles(
  session: Session,
  files: readonly string[],
  stack: AsyncDisposableStack,
): Promise<Bundle> {
  return stack.use(
    await openBundle(files.map((file) => session.path(file)), { signal: session.ctx.signal }),
  );
}

/** Refuses a bundle of which something is not here. */
export function refuseIncomplete(bundle: Bundle): void {
  const missing = bundle.missing();
  if (missing.length === 0) return;
  const { lock } = bundle;
  const why = lock.since === undefined
    ? `it has ${lock.parts} parts`
    : "it adds to another bundle, which has to be given too";
  throw new UsageError(
    `Cannot use ${bundle.name} alone: ${missing.length} blobs are not in it (${why}; see: wherry bundle verify)`,
  );
}

/** Names under which an image can be asked for: as a store calls it, and without its host. */
export function repositoriesOf({ reference }: LockedImage): readonly string[] {
  const name = readName(reference);
  const host = reference.slice(0, reference.indexOf("/")).replace(":", "_");
  return [...new Set([`${host}/${name.repository}`, storeRepository(name), name.repository])];
}
