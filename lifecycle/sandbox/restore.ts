/** The verb `restore`: plain tars become layers on disk, hashed on the way. */
import { z } from "zod";
import type { TreeLooks } from "../../registry/layer/unchanged.ts";
import { type Digest, hexOf } from "../../registry/oci/digest.ts";
import { helperDigest, runVerb } from "./child.ts";

/** A layer for {@linkcode restoreWith}: the directory `name` of `directory`, which is `inside` in the plain tar `tar`. */
export interface TarLayer {
  readonly tar: string;
  readonly directory: string;
  readonly inside: string;
  readonly name: string;
  /** What the tar has to be. */
  readonly sha: Digest;
}

/** What became of a layer: it is on disk and was what it should be, or why it is for others, who find it `touched` or not. */
export type TarOutcome =
  | { readonly frame: Digest; readonly looks: TreeLooks }
  | { readonly why: string; readonly touched: boolean };

const tarOutcome = z.lazy(() =>
  z.union([
    z.object({
      frame: helperDigest,
      looks: helperDigest,
      newest: z.string().regex(/^[0-9]{1,20}$/),
    }).transform(({ frame, looks, newest }) => ({
      frame,
      looks: { digest: looks, newest: BigInt(newest) },
    })),
    z.object({ why: z.string(), touched: z.boolean() }),
  ])
);

/**
 * Restores layers side by side, hashing on the way.
 *
 * @param owner To whom all of it is given; ours without.
 * @returns Of each, in order.
 * @throws {Error} With the helper's reason; anything may lie in the places of the layers then.
 * @throws The signal's reason.
 */
export async function restoreWith(
  helper: string,
  layers: readonly TarLayer[],
  signal: AbortSignal,
  owner?: { readonly uid: number; readonly gid: number },
): Promise<readonly TarOutcome[]> {
  const words = layers.flatMap((
    { tar, directory, inside, name, sha },
  ) => [tar, directory, inside, name, hexOf(sha)]);
  const whose = owner === undefined ? "self" : `${owner.uid}:${owner.gid}`;
  const said = await runVerb(helper, ["restore", whose, ...words], signal);
  return said.trim().split("\n").map((line) => tarOutcome.parse(JSON.parse(line)));
}
