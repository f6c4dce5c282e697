/** What `wherry rebase` does with its words. */
import { isPattern } from "../../lifecycle/fleet/pattern.ts";
import type { Intent, JournalFile } from "../../lifecycle/fleet/journal.ts";
import type { RebaseFlags } from "../command/rebase.ts";
import { UsageError } from "../exit.ts";
import { readFleet } from "../read_fleet.ts";
import type { Session } from "../session.ts";
import { Bases } from "./bases.ts";
import { isOfRegistry, memoOf, rebaseOne, runWork, settingsOf, shardOf } from "./images.ts";
import { type RebaseHow, type RebaseItem, Rebaser } from "./one.ts";
import { readPolicy, refuseFrozen } from "./policy.ts";
import { checkTemplates } from "./targets.ts";

/** With one of these, one image is a fleet too. */
const OF_FLEETS = [
  "journal",
  "report",
  "shard",
  "canary",
  "then",
  "pause",
  "hook",
  "maxFailures",
] as const;

/** `rebase pln NAME` would rebase what was only to be looked at. */
function refuseSlips(first: string): void {
  const meant = ["plan", "apply", "rollback", "report"].find((word) => isSlipOf(first, word));
  if (meant === undefined) return;
  throw new UsageError(
    `Cannot rebase ${first}: it looks like "wherry rebase ${meant}", misspelt; want ${first}:latest for an image of that name`,
  );
}

/** One letter is missing, too many or another, or two have changed places. */
function isSlipOf(text: string, word: string): boolean {
  let from = 0;
  while (from < word.length && text[from] === word[from]) from++;
  const [a, b] = [text.slice(from), word.slice(from)];
  return a.slice(1) === b || a === b.slice(1) || a.slice(1) === b.slice(1) ||
    (a[0] === b[1] && a[1] === b[0] && a.slice(2) === b.slice(2));
}

/** Runs it; returns the exit code. */
export async function rebase(
  session: Session,
  names: readonly string[],
  flags: RebaseFlags,
): Promise<number> {
  const one = names.length === 1 && flags.from === undefined && !isPattern(names[0]!);
  for (
    const [flag, given] of Object.entries({
      "--tag": flags.tag,
      "--previous-image": flags.previousImage,
      "--referrers": flags.referrers,
    })
  ) {
    if (given !== undefined && !one) {
      throw new UsageError(`Cannot use ${flag}: it goes with one image, want one NAME`);
    }
  }
  if (names.length > 1) refuseSlips(names[0]!);
  if (flags.shard !== undefined) shardOf(session.io, flags);
  settingsOf(flags, 1, 1);
  checkTemplates(flags.tagTemplate, flags.backupTag);
  const policy = await readPolicy(session, flags.policy);
  const halt = () => policy.frozenAt(session.ctx.now());
  refuseFrozen(session, halt(), flags.dryRun ?? false);
  const known = session.known();
  const bases = new Bases(session, flags, policy, { known });
  const how: RebaseHow = {
    publish: flags.publish ?? false,
    force: flags.force ?? false,
    dryRun: flags.dryRun ?? false,
    tags: flags.tag,
    from: flags.previousImage,
    tagTemplate: flags.tagTemplate,
    backupTag: flags.backupTag,
    known,
  };
  if (one && !OF_FLEETS.some((flag) => flags[flag] !== undefined)) {
    await using rebaser = new Rebaser(session, bases, policy, { ...how, single: true });
    await rebaseOne(
      session,
      rebaser,
      { name: names[0]! },
      flags,
    );
    return 0;
  }
  const items: RebaseItem[] = (await readFleet(session, { names, from: flags.from }))
    .map(({ name }) => ({ name, published: isOfRegistry(names, name) }));
  let journal: JournalFile | undefined;
  await using rebaser = new Rebaser(session, bases, policy, {
    ...how,
    memo: await memoOf(session),
    onIntent: async (intent: Intent) => {
      journal?.add(intent);
      await journal?.durable();
    },
  });
  return await runWork(session, flags, {
    items,
    named: flags.from === undefined && !names.some(isPattern),
    publish: flags.publish ?? items.some(({ published }) => published),
    identity: items.map(({ name }) => name).join("\n"),
    open: () => rebaser.open(),
    halt: flags.dryRun ? undefined : halt,
    act: (item, worker) => rebaser.rebase(item, worker),
    onJournal: (file) => journal = file,
  });
}
