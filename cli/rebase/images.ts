/** `wherry rebase NAME...` and `--from`: one image, or a fleet with journal, waves and report. */
import { parseDigest } from "../../registry/oci/digest.ts";
import { afterIntent, type JournalFile } from "../../lifecycle/fleet/journal.ts";
import { type FleetResult, isGood, outcomeOf } from "../../lifecycle/fleet/result.ts";
import { saidOfWaiting } from "../../lifecycle/fleet/report.ts";
import { parsePause, runFleet, wavesOf } from "../../lifecycle/fleet/run.ts";
import { isPattern } from "../../lifecycle/fleet/pattern.ts";
import { isInShard, parseShard, type Shard, shardFromEnv } from "../../lifecycle/fleet/shard.ts";
import { RebaseRefusal } from "../../lifecycle/phase/rebase.ts";
import { ExitCode, LifecycleError } from "../../lifecycle/error.ts";
import { writeText } from "../../lifecycle/file/document.ts";
import { formatReportToml } from "../../lifecycle/file/report_toml.ts";
import { waitFor } from "../../registry/client/retry.ts";
import { harmless } from "../../registry/client/refusal.ts";
import { familiarRepository, parsePlace } from "../../registry/oci/reference.ts";
import type { Memo } from "../../registry/store/store.ts";
import { fileFault, UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import { inRegistry, inStore, readPlace } from "../places.ts";
import { rateOf } from "../rate.ts";
import type { Session } from "../session.ts";
import { count } from "../ui/count.ts";
import { formatSize } from "../ui/size.ts";
import { runHook } from "./hook.ts";
import { liveLine } from "../ui/live.ts";
import type { Outcome, RebaseItem, Rebaser } from "./one.ts";
import { reasonOf } from "./outcome.ts";
import { formatCsv } from "./csv.ts";
import type { FleetFlags } from "./flags.ts";
import type { RebaseFlags } from "../command/rebase.ts";

/** Exit codes of a run over many: 0 all, these otherwise. */
export const SOME_FAILED = 2;

/** Does the one image a command names: its error is the command's. */
export async function rebaseOne(
  session: Session,
  rebaser: Rebaser,
  item: RebaseItem,
  flags: Pick<RebaseFlags, "output" | "publish" | "referrers" | "reportOutputDir">,
): Promise<void> {
  const { output: format, reportOutputDir: reportDir } = flags;
  await rebaser.foresee(item);
  // Read at the same time: the base does not depend on the image where the command names it.
  const opening = rebaser.open(true);
  opening.catch(() => {});
  const acting = rebaser.rebase(item);
  const [opened, outcome] = await Promise.allSettled([opening, acting]);
  if (opened.status === "rejected") throw opened.reason;
  if (outcome.status === "rejected") throw outcome.reason;
  const { result, error } = outcome.value;
  if (format !== "human") session.io.stdout.write(JSON.stringify(result) + "\n");
  if (error instanceof RebaseRefusal) {
    throw new LifecycleError(ExitCode.rebase, `Cannot rebase ${item.name}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
  if (!isGood(result) || result.decision === "not CNB") {
    if (error instanceof LifecycleError && !/^(Cannot|Image with)/.test(error.message)) {
      throw new LifecycleError(error.exitCode, `Cannot rebase ${item.name}: ${error.message}`, {
        cause: error,
      });
    }
    throw error ??
      new LifecycleError(ExitCode.rebase, `Cannot rebase ${item.name}: ${result.reason}`);
  }
  if (reportDir !== undefined) await writeReport(session.path(reportDir), outcome.value);
  tellOne(session, result);
  if (flags.referrers) await tellReferrers(session, result, flags.publish ?? false);
  if (format === "human") session.io.stdout.write(`${digestName(result)}\n`);
}

/** `report.toml` of what there is now (RPT-3). */
async function writeReport(dir: string, { result, prepared }: Outcome): Promise<void> {
  if (prepared === undefined) return;
  const { made, base, images: [first] } = prepared;
  const text = formatReportToml({
    image: {
      tags: result.tags ?? [result.reference],
      digest: made.digest,
      manifestSize: made.bytes.byteLength,
    },
    runImage: {
      image: base.place.name,
      reference: first?.newBase,
      topLayer: first?.base.layers.at(-1)?.diffId,
    },
  });
  await Deno.mkdir(dir, { recursive: true });
  await writeText(`${dir}/report.toml`, text);
}

function tellOne(
  { log }: Session,
  { reference, decision, reason, old, new: made }: FleetResult,
): void {
  switch (decision) {
    case "current":
      return log.info(
        `${reference} stands on ${harmless(old?.base || "its base")} already: nothing to do`,
      );
    case "skipped":
      return log.warn(`${reference} is left alone: ${reason}`);
    case "would rebase":
      return log.info(
        `Would rebase ${reference} from ${harmless(old?.base || "its base")} to ${made?.base}`,
      );
    default:
      return log.info(
        `Rebased ${reference} from ${harmless(old?.base || "its base")} to ${made?.base}`,
      );
  }
}

/** What speaks of the old image does not speak of the new one: signatures have to be made again (C-REFR-05). */
async function tellReferrers(
  session: Session,
  { reference, old }: FleetResult,
  publish: boolean,
): Promise<void> {
  const place = readPlace(reference);
  if (old === undefined || (place.kind !== "registry" && place.kind !== "store")) return;
  const { registry, repository } = place.kind === "registry" && publish
    ? await inRegistry(session, place.reference)
    : await inStore(session, place.reference);
  const { signal } = session.ctx;
  const found = await registry.referrers(repository, parseDigest(old.digest), { signal });
  for (const { artifactType, digest } of found) {
    session.log.warn(
      `${artifactType ?? "a document"} ${digest} speaks of the old image ${old.digest} only`,
    );
  }
  if (found.length === 0) session.log.info(`Nothing speaks of the old image ${old.digest}`);
}

/** `repository@digest` of what there is now. */
function digestName({ reference, old, new: made }: FleetResult): string {
  const digest = made?.digest ?? old?.digest ?? "";
  const place = parsePlace(reference);
  const bare = place.kind === "registry" || place.kind === "store"
    ? familiarRepository(place.reference)
    : reference;
  return `${bare}@${digest}`;
}

/** A run over many images. */
export interface FleetWork {
  /** All images, of all shards. */
  readonly items: readonly RebaseItem[];
  /** What the run is, for its journal: the same text for all shards and for a run that goes on. */
  readonly identity: string;
  /** Whether its images are in their registries. */
  readonly publish: boolean;
  /** Each was named by somebody who wants to hear of it. */
  readonly named?: boolean | undefined;
  /** Why no image may be moved now. */
  readonly halt?: (() => string | undefined) | undefined;
  /** Does one. */
  readonly act: (item: RebaseItem, worker: number) => Promise<Outcome>;
  /** Reads what all images need, first. */
  readonly open: () => Promise<void>;
  /** The journal, once it is open: acts write their intents to it. */
  readonly onJournal: (file: JournalFile | undefined) => void;
}

/**
 * Works through a fleet.
 *
 * @returns The exit code: 0 all is as it should be, 2 some images failed, 72 none succeeded.
 */
export async function runWork(
  session: Session,
  flags: FleetFlags,
  work: FleetWork,
): Promise<number> {
  const { log, io } = session;
  const started = performance.now();
  const shard = shardOf(io, flags);
  const mine = work.items.filter(({ name }) => isInMyShard(name, shard));
  if (shard !== undefined) {
    log.info(
      `Shard ${shard.index}/${shard.count}: ${mine.length} of ${count(work.items.length, "image")}`,
    );
  }
  if (shard === undefined && io.env["JOB_COMPLETION_INDEX"] !== undefined) {
    log.warn(
      "JOB_COMPLETION_INDEX is set and WHERRY_SHARDS is not: this pod does all images, as any other of its Job",
    );
  }
  await using stack = new AsyncDisposableStack();
  const journal = flags.journal === undefined
    ? undefined
    : await (await import("./open_journal.ts")).openJournal(session, flags.journal, {
      ...work,
      mine: mine.length,
      shard,
    }, stack);
  work.onJournal(journal?.file);
  const finished = (name: string) => {
    const before = journal?.before?.results.get(name);
    return before !== undefined && isGood(before);
  };
  const todo = mine.filter(({ name }) => !finished(name));
  if (todo.length < mine.length) {
    log.info(
      `${mine.length - todo.length} of ${count(mine.length, "image")} ${
        mine.length === 1 ? "is" : "are"
      } done already, says the journal`,
    );
  }
  const report = flags.report === undefined
    ? undefined
    : await openReport(session, flags.report, stack);
  const counts = new Map<string, number>();
  const total = { requests: 0, bytes: 0, throttled: 0, waited: 0 };
  const live = stack.use(liveLine(io.stderr, log, todo.length, flags.quiet ?? false));
  const all: FleetResult[] = [];
  const settings = settingsOf(flags, todo.length, work.publish ? 32 : IN_STORE);
  await work.open();
  const end = await runFleet<RebaseItem>({
    ...settings,
    items: todo,
    halt: work.halt,
    signal: session.ctx.signal,
    act: async (item, worker) => {
      const result = afterIntent(
        (await work.act(item, worker)).result,
        journal?.intentOf(item),
      );
      // It is on the disk with the next intent, or at the end: without it the next run looks at the image once more.
      journal?.file.add(result);
      return result;
    },
    onResult: (result) => {
      counts.set(result.decision, (counts.get(result.decision) ?? 0) + 1);
      total.requests += result.requests;
      total.bytes += result.bytes;
      total.throttled += result.throttled ?? 0;
      total.waited += result.waited_ms ?? 0;
      journal?.copy?.tick();
      report?.(result);
      if (work.named && flags.output === "human" && isGood(result)) tellNamed(session, result);
      else tellResult(session, flags.output, result);
      if (flags.output === "csv") all.push(result);
      live.step(isGood(result));
    },
    between: async (wave, done) => {
      await journal?.copy?.push();
      log.info(`Wave ${wave} is done: ${done.good} well, ${done.bad} failed, of ${done.total}`);
      if (flags.hook !== undefined) {
        await runHook(flags.hook, session, {
          WHERRY_WAVE: String(wave),
          WHERRY_DONE: String(done.good),
          WHERRY_FAILED: String(done.bad),
          WHERRY_TOTAL: String(done.total),
        });
      }
      if (flags.pause !== undefined) await waitFor(parsePause(flags.pause), session.ctx.signal);
    },
  });
  live[Symbol.dispose]();
  if (flags.output === "csv") io.stdout.write(formatCsv(all));
  const left = end.total - end.good - end.bad;
  const seconds = (performance.now() - started) / 1000;
  const said = [...counts].map(([decision, count]) => `${count} ${decision}`);
  if (left > 0) said.push(`${left} not tried`);
  const rate = end.good + end.bad === 0 ? 0 : (end.good + end.bad) / seconds;
  log.info(
    `${count(end.total, "image")} in ${seconds.toFixed(1)} s (${rate.toFixed(0)}/s): ${
      said.join(", ") || "nothing to do"
    }; ${count(total.requests, "request")}, ${formatSize(total.bytes)}${saidOfWaiting(total)}`,
  );
  if (end.stopped !== undefined) log.error(`Stopped: ${end.stopped}`);
  await journal?.copy?.push();
  const outcome = outcomeOf(end.good + mine.length - todo.length, end.bad + left);
  return outcome === "all" ? 0 : outcome === "some" ? SOME_FAILED : ExitCode.rebase;
}

/** Images at once in the store, where nobody else is kept busy: so many share a sync, and more are
 * being computed meanwhile. */
const IN_STORE = 256;

/**
 * How a run of `count` images is worked through.
 *
 * @throws {UsageError} When a flag cannot be meant.
 */
export function settingsOf(flags: FleetFlags, count: number, concurrency: number): {
  readonly concurrency: number;
  readonly waves: readonly number[];
  readonly maxFailures: number | undefined;
} {
  if (flags.canary === undefined && flags.then !== undefined) {
    throw new UsageError("Cannot use --then without --canary: want the size of the first wave");
  }
  rateOf(flags.maxRps); // said before a run in the store, which never connects
  try {
    if (flags.pause !== undefined) parsePause(flags.pause);
    return {
      concurrency: numberOf(flags.concurrency, "--concurrency", 1, 1024) ?? concurrency,
      waves: wavesOf(count, flags.canary, flags.then),
      maxFailures: numberOf(flags.maxFailures, "--max-failures", 0, 1e9),
    };
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

/** Reads a flag that is a number. */
export function numberOf(
  text: string | undefined,
  flag: string,
  least: number,
  most: number,
): number | undefined {
  if (text === undefined) return undefined;
  const number = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (number >= least && number <= most) return number;
  throw new UsageError(`Cannot use ${flag} ${JSON.stringify(text)}: want ${least} to ${most}`);
}

/** The part of the fleet that is ours: by flag, else by the variables of the engine we run in. */
export function shardOf(io: Io, flags: Pick<FleetFlags, "shard">): Shard | undefined {
  try {
    return flags.shard === undefined ? shardFromEnv(io.env) : parseShard(flags.shard);
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

/** What images of one repository have in common: they go to one shard. */
function repositoryOf(name: string): string {
  try {
    const place = parsePlace(name);
    if (place.kind !== "registry" && place.kind !== "store") return `${place.kind}:${place.path}`;
    return `${place.reference.registry}/${place.reference.repository}`;
  } catch {
    return name; // it will be told when it is its turn
  }
}

async function openReport(
  session: Session,
  path: string,
  stack: AsyncDisposableStack,
): Promise<(result: FleetResult) => void> {
  let file: Deno.FsFile;
  try {
    file = await Deno.create(session.path(path));
  } catch (cause) {
    throw new UsageError(`Cannot write report ${path}: ${fileFault(cause)}`, { cause });
  }
  stack.defer(() => file.close());
  const encoder = new TextEncoder();
  return (result) => {
    const bytes = encoder.encode(JSON.stringify(result) + "\n");
    for (let at = 0; at < bytes.byteLength;) at += file.writeSync(bytes.subarray(at));
  };
}

/** As {@linkcode rebaseOne} does. */
function tellNamed(session: Session, result: FleetResult): void {
  if (result.decision === "not CNB") return session.log.warn(harmless(result.reason ?? ""));
  tellOne(session, result);
  if (result.decision !== "skipped") session.io.stdout.write(`${digestName(result)}\n`);
}

/** Of thousands only those that somebody has to look at are told to people; reports have all. */
function tellResult({ io, log }: Session, format: string, result: FleetResult): void {
  if (format === "json") return io.stdout.write(JSON.stringify(result) + "\n");
  const { reference, decision, reason = "" } = result;
  // "skipped: moved" says the decision already.
  const said = decision === "moved" || reason === "" ? [] : [decision];
  const line = [harmless(reference), ...said, reason === "" ? decision : harmless(reason)].join(
    ": ",
  );
  if (!isGood(result)) log.error(line);
  else if (decision === "skipped" || decision === "not CNB") log.debug(line);
  else if (format === "human") log.debug(line);
}

/** What a store remembers of earlier runs, where there is a store. */
export async function memoOf(session: Session): Promise<Memo | undefined> {
  try {
    return (await session.store()).memo;
  } catch {
    return undefined; // a container without HOME: images are read then
  }
}

/** A pattern was expanded by the catalogue of a registry: its images are there, whatever flags say. */
export function isOfRegistry(names: readonly string[], name: string): boolean {
  return !name.startsWith("store:") && !names.includes(name) &&
    names.some((word) =>
      isPattern(word) && !word.startsWith("store:") &&
      name.startsWith(word.slice(0, word.indexOf("/") + 1))
    );
}

/**
 * It comes from a list and not from the command line. Commands that only look take it for an image of a registry: what clusters
 * and catalogues list is there, and `store:` says otherwise.
 */
export function isListed(names: readonly string[], name: string): boolean {
  return !name.startsWith("store:") && !names.includes(name);
}

/** Whether an image belongs to the part of the fleet that is ours. */
export function isInMyShard(name: string, shard: Shard | undefined): boolean {
  return shard === undefined || isInShard(repositoryOf(name), shard);
}
