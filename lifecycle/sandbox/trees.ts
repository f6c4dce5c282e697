/** Directory trees that a build left, as the helper can change them: whatever modes, names and depth they have. */
import { runVerb } from "./child.ts";
import { giveFew } from "./give_few.ts";
import { probeMachine } from "./probe_machine.ts";
import { findSubIds, type SubIds, subIdWords } from "./subids.ts";

/**
 * Deletes directory trees. A path that is not there is fine.
 *
 * @throws {Error} With the helper's reason.
 */
export async function removeTrees(helper: string, paths: readonly string[]): Promise<void> {
  if (paths.length === 0) return;
  try {
    await runVerb(helper, ["remove", ...paths]);
  } catch (cause) {
    // A build with lent ids was killed: what it left is theirs.
    const lent = await findLentIds(helper);
    if (lent === undefined) throw cause;
    await runVerb(helper, [...subIdWords(lent), "/proc/self/exe", "remove", ...paths]);
  }
}

async function findLentIds(helper: string): Promise<SubIds | undefined> {
  const uid = Deno.uid() ?? 0;
  if (uid === 0) return undefined;
  const { gid, noNewPrivs } = await probeMachine(helper);
  const found = await findSubIds({ uid, gid, path: "", noNewPrivs });
  return "reason" in found ? undefined : found;
}

/** As {@linkcode removeTrees}, but the directories themselves stay, empty. */
export async function clearTrees(helper: string, paths: readonly string[]): Promise<void> {
  if (paths.length > 0) await runVerb(helper, ["clear", ...paths]);
}

/**
 * Gives directory trees to `uid`:`gid`, entries that are theirs already left alone, links not
 * followed. For real root only, and while nothing else writes there: in a user namespace the caller's files are the build's.
 *
 * @throws {Error} When an entry cannot be given.
 */
export async function handOver(
  helper: string,
  paths: readonly string[],
  uid: number,
  gid: number,
): Promise<void> {
  if (!giveFew(paths, uid, gid)) await runVerb(helper, ["chown", `${uid}`, `${gid}`, ...paths]);
}
