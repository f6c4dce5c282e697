/** The journal of a run, in a file or in a registry. */
import { type Intent, type Journal, JournalFile } from "../../lifecycle/fleet/journal.ts";
import type { Shard } from "../../lifecycle/fleet/shard.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { UsageError } from "../exit.ts";
import type { Session } from "../session.ts";
import type { FleetWork } from "./images.ts";
import { JournalCopy } from "./journal_copy.ts";
import { keepAt } from "./kept.ts";
import type { RebaseItem } from "./one.ts";

/** What the journal is of. */
export interface JournalOf extends Pick<FleetWork, "items" | "identity" | "publish"> {
  /** The part of the fleet that is ours. */
  readonly shard: Shard | undefined;
  /** Its images. */
  readonly mine: number;
}

/** An open journal. */
export interface OpenJournal {
  /** Being written. */
  readonly file: JournalFile;
  /** What runs before this one wrote. */
  readonly before: Journal | undefined;
  /** Where it is pushed to. */
  readonly copy: JournalCopy | undefined;
  /** What an earlier run was about to do with an image, and did not tell the end of. */
  readonly intentOf: (item: RebaseItem) => Pick<Intent, "old" | "new"> | undefined;
}

/**
 * Opens `name`, a file or `oci:REGISTRY/REPOSITORY:TAG`, to go on with it or to begin it.
 *
 * @param stack Closes it; one in a registry is pushed before that.
 * @throws {UsageError} When it is of something else.
 */
export async function openJournal(
  session: Session,
  name: string,
  { items, identity, publish, shard, mine }: JournalOf,
  stack: AsyncDisposableStack,
): Promise<OpenJournal> {
  const own = name.replaceAll("{shard}", String(shard?.index ?? 1));
  const kept = keepAt(own);
  if (kept !== undefined && own === name && (shard?.count ?? 1) > 1) {
    throw new UsageError(
      `Cannot keep journal ${name} for ${
        shard!.count
      } shards: want {shard} in its tag, since each writes its own`,
    );
  }
  const copy = kept && await JournalCopy.open(session, kept);
  const path = copy?.path ?? session.path(own);
  const opened = await JournalFile.open(path, copy && ((text) => copy.merge(text)));
  stack.use(opened.file);
  if (copy !== undefined) stack.use(copy);
  const source = digestOf(new TextEncoder().encode(identity));
  const named = `${shard?.index ?? 1}/${shard?.count ?? 1}`;
  const header = opened.before?.header;
  if (header !== undefined && (header.source !== source || header.shard !== named)) {
    const why = header.source !== source ? "of another fleet" : `of shard ${header.shard}`;
    throw new UsageError(
      `Cannot go on with journal ${name}: it is ${why}; want another ${
        copy === undefined ? "file" : "tag"
      }`,
    );
  }
  opened.file.add({
    journal: 1,
    source,
    total: items.length,
    shard: named,
    mine,
    publish,
    started: session.ctx.now().toISOString(),
  });
  await opened.file.durable();
  await copy?.begin(opened.file);
  const lost = copy !== undefined && header !== undefined;
  return {
    ...opened,
    copy,
    // What was not pushed before its machine was lost was done by this plan all the same.
    intentOf: ({ name, planned }) => opened.before?.open.get(name) ?? (lost ? planned : undefined),
  };
}
