/** `wherry rebase plan` and `apply`: what would be done, and just that. */
import { PLAN, pushLines } from "../../lifecycle/fleet/artifact.ts";
import type { Intent, JournalFile } from "../../lifecycle/fleet/journal.ts";
import { formatPlan, parsePlan, type Plan } from "../../lifecycle/fleet/plan.ts";
import { type FleetResult, whyOf } from "../../lifecycle/fleet/result.ts";
import { runFleet } from "../../lifecycle/fleet/run.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { collect } from "../../registry/source.ts";
import { fileFault, UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import { inRegistry, readPlace } from "../places.ts";
import { readFleet } from "../read_fleet.ts";
import { Session } from "../session.ts";
import { count } from "../ui/count.ts";
import { liveLine } from "../ui/live.ts";
import { fitTable } from "../ui/table.ts";
import { Bases } from "./bases.ts";
import { formatCsv } from "./csv.ts";
import type { FleetFlags } from "./flags.ts";
import {
  isInMyShard,
  isListed,
  isOfRegistry,
  memoOf,
  numberOf,
  runWork,
  shardOf,
} from "./images.ts";
import { keepAt, keptAt, textOf } from "./kept.ts";
import { type RebaseItem, Rebaser } from "./one.ts";
import { readPolicy, refuseFrozen } from "./policy.ts";
import { checkTemplates } from "./targets.ts";

/** Exit code of a plan some of whose images cannot be rebased or read. */
export const NOT_ALL = 3;

/** Flags of `wherry rebase plan`. */
export interface PlanFlags extends FleetFlags {
  readonly out?: string;
}

/** Reads everything and writes nothing; returns the exit code: 0, or 3 when some image cannot be rebased. */
export async function plan(io: Io, names: readonly string[], flags: PlanFlags): Promise<number> {
  await using session = new Session(io, flags);
  if (flags.out !== undefined) keepAt(flags.out);
  checkTemplates(flags.tagTemplate);
  const policy = await readPolicy(session, flags.policy);
  refuseFrozen(session, policy.frozenAt(session.ctx.now()), true);
  const known = session.known();
  const bases = new Bases(session, flags, policy, { known });
  const items = inPlace(
    (await readFleet(session, { names, from: flags.from })).map(({ name }) => ({
      name,
      published: flags.publish || isListed(names, name) || isOfRegistry(names, name),
    })),
  );
  await using rebaser = new Rebaser(session, bases, policy, {
    publish: flags.publish ?? false,
    force: flags.force ?? false,
    dryRun: true,
    tagTemplate: flags.tagTemplate,
    memo: await memoOf(session),
    known,
  });
  const shard = shardOf(io, flags);
  const mine = items.filter(({ name }) => isInMyShard(name, shard));
  const results = new Map<string, FleetResult>();
  await rebaser.open();
  {
    using live = liveLine(io.stderr, session.log, mine.length, flags.quiet ?? false);
    await runFleet({
      items: mine,
      concurrency: numberOf(flags.concurrency, "--concurrency", 1, 1024) ?? 32,
      signal: session.ctx.signal,
      act: async (item, worker) => (await rebaser.rebase(item, worker)).result,
      onResult: (result) => {
        results.set(result.reference, result);
        live.step(true);
      },
    });
  }
  const inOrder = mine.map(({ name }) => results.get(name)!);
  const made: Plan = {
    header: {
      plan: 1,
      source: identityOf(mine.map(({ name }) => name)),
      total: inOrder.length,
      created: session.ctx.now().toISOString(),
      run_images: Object.fromEntries(await bases.opened()),
      flags: {
        runImage: flags.runImage,
        runImageMap: flags.runImageMap,
        publish: flags.publish ?? items.some(({ published }) => published),
        force: flags.force,
        tagTemplate: flags.tagTemplate,
      },
    },
    results: inOrder,
  };
  if (flags.out !== undefined) await writePlan(session, flags.out, made);
  if (flags.output === "json") io.stdout.write(formatPlan(made));
  else if (flags.output === "csv") io.stdout.write(formatCsv(inOrder));
  else if (inOrder.length > 0) io.stdout.write(tableOf(io, inOrder));
  const counts = new Map<string, number>();
  for (const { decision } of inOrder) counts.set(decision, (counts.get(decision) ?? 0) + 1);
  session.log.info(
    `${count(inOrder.length, "image")}: ${
      [...counts].map(([what, n]) => `${n} ${what}`).join(", ") || "none"
    }`,
  );
  return inOrder.some(({ decision }) => isStuck(decision)) ? NOT_ALL : 0;
}

/** Into a file, or a registry: then its digest is told, which names this plan for ever. */
async function writePlan(session: Session, out: string, made: Plan): Promise<void> {
  const text = formatPlan(made);
  const at = keepAt(out);
  if (at === undefined) {
    await Deno.writeTextFile(session.path(out), text).catch((cause) => {
      const why = cause instanceof Deno.errors.NotFound ? "no such directory" : fileFault(cause);
      throw new UsageError(`Cannot write plan ${out}: ${why}`, { cause });
    });
    return;
  }
  const { registry, repository, repositoryName } = await inRegistry(session, at);
  const bytes = new TextEncoder().encode(text);
  const to = { registry, repository, tag: at.tag };
  const { digest } = await pushLines(to, PLAN, [], bytes, session.ctx.signal);
  session.log.info(`The plan is oci:${repositoryName}@${digest}`);
}

/** A plan is of registries or of the store; where both are meant, those of the store say so in their names. */
function inPlace(items: readonly RebaseItem[]): readonly RebaseItem[] {
  if (!items.some(({ published }) => published)) return items;
  return items.map((item) => {
    const plain = !item.published && readPlace(item.name).kind === "registry";
    return plain ? { ...item, name: `store:${item.name}` } : item;
  });
}

function isStuck(decision: FleetResult["decision"]): boolean {
  return ["refused", "unreadable", "failed"].includes(decision);
}

function tableOf({ stdout }: Io, results: readonly FleetResult[]): string {
  const short = (digest: string | undefined) => digest?.slice(0, 19) ?? "-";
  return fitTable(
    ["IMAGE", "DECISION", "NOW", "THEN", "WHY"],
    results.map((one) => [
      one.reference,
      one.decision,
      short(one.old?.digest),
      short(one.new?.digest),
      whyOf(one),
    ]),
    { width: stdout.isTerminal ? stdout.columns() : undefined, optional: ["THEN", "NOW"] },
  );
}

function identityOf(names: readonly string[]): string {
  return digestOf(new TextEncoder().encode(names.join("\n")));
}

/** Does what a plan says, to images that are still as it says. Returns the exit code. */
export async function apply(io: Io, file: string, flags: FleetFlags): Promise<number> {
  await using session = new Session(io, flags);
  checkTemplates(flags.backupTag);
  const { header, results } = await readPlan(session, file);
  const planned = results.filter(({ decision }) => decision === "would rebase");
  session.log.info(
    `To be rebased by the plan: ${planned.length} of ${count(results.length, "image")}`,
  );
  const policy = await readPolicy(session, flags.policy);
  const halt = () => policy.frozenAt(session.ctx.now());
  refuseFrozen(session, halt(), false);
  const known = session.known();
  const pins = new Map(Object.entries(header.run_images));
  const of = { ...header.flags, pullPolicy: flags.pullPolicy ?? "always" } as const;
  const bases = new Bases(session, of as ConstructorParameters<typeof Bases>[1], policy, {
    pins,
    known,
  });
  let journal: JournalFile | undefined;
  await using rebaser = new Rebaser(session, bases, policy, {
    publish: header.flags.publish ?? false,
    force: header.flags.force ?? false,
    dryRun: false,
    tagTemplate: header.flags.tagTemplate,
    backupTag: flags.backupTag,
    memo: await memoOf(session),
    known,
    onIntent: async (intent: Intent) => {
      journal?.add(intent);
      await journal?.durable();
    },
  });
  return await runWork(session, flags, {
    items: planned.map(({ reference, old, new: made }) => ({
      name: reference,
      // A plan's images are where they were found, also those a pattern of a catalogue led to.
      published: header.flags.publish,
      planned: { old: old?.digest ?? "", new: made?.digest ?? "" },
    })),
    publish: header.flags.publish ?? false,
    identity: formatPlan({ header, results: planned }),
    open: () => rebaser.open(),
    halt,
    act: (item, worker) => rebaser.rebase(item, worker),
    onJournal: (file) => journal = file,
  });
}

async function readPlan(session: Session, file: string): Promise<Plan> {
  const at = keptAt(file);
  if (at !== undefined) return parsePlan(await textOf(session, at, PLAN), file);
  let text: string;
  try {
    const stream = file === "-"
      ? Deno.stdin.readable
      : (await Deno.open(session.path(file))).readable;
    text = new TextDecoder().decode(await collect(stream, 1024 * 1024 * 1024));
  } catch (cause) {
    throw new UsageError(`Cannot read plan ${file}: ${fileFault(cause)}`, { cause });
  }
  return parsePlan(text, file === "-" ? "standard input" : file);
}
