/** A policy's word on who must have signed a run image. */
import type { KeyObject } from "node:crypto";
import { ExitCode, LifecycleError } from "../../lifecycle/error.ts";
import { readPublicKey, signedBy } from "../../lifecycle/platform/cosign.ts";
import type { NewBase } from "../../lifecycle/platform/rebase_base.ts";
import { fileFault, UsageError } from "../exit.ts";
import { count } from "../ui/count.ts";

/**
 * The key of one of `files` must have signed the base; of an index the index itself.
 *
 * @throws {LifecycleError} When none has.
 * @throws {UsageError} When a file is no public key.
 */
export async function demandSignature(
  name: string,
  { place, digest }: NewBase,
  files: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const keys = await readKeys(files);
  const { good, found } = await signedBy(place.registry, place.repository, digest, keys, signal);
  if (good) return;
  const seen = found === 0
    ? "it has no signature"
    : `it has ${count(found, "signature")}, none by that`;
  throw new LifecycleError(
    ExitCode.rebase,
    `Cannot use run image ${name} (${digest}): the policy wants it signed by ${
      files.join(" or ")
    }, ${seen}`,
  );
}

/**
 * Reads public keys.
 *
 * @throws {UsageError} When a file is none.
 */
export async function readKeys(files: readonly string[]): Promise<readonly KeyObject[]> {
  return await Promise.all(files.map(readKey));
}

async function readKey(file: string): Promise<KeyObject> {
  try {
    return readPublicKey(await Deno.readTextFile(file));
  } catch (cause) {
    const why = cause instanceof TypeError ? cause.message : fileFault(cause);
    throw new UsageError(`Cannot use key ${file} of the policy: ${why}`, { cause });
  }
}
