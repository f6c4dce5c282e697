/** `wherry rebase report` and `rollback`: what journals say, and taking it back. */
import { JOURNAL } from "../../lifecycle/fleet/artifact.ts";
import {
  type Journal,
  JournalError,
  type JournalFile,
  parseJournal,
} from "../../lifecycle/fleet/journal.ts";
import { goodAndBad, mergeJournals, saidOfWaiting } from "../../lifecycle/fleet/report.ts";
import type { FleetResult } from "../../lifecycle/fleet/result.ts";
import { outcomeOf } from "../../lifecycle/fleet/result.ts";
import { ExitCode } from "../../lifecycle/error.ts";
import { beginTally } from "../../registry/client/counter.ts";
import type { UnmetDetail } from "../../registry/expectation.ts";
import { isDigest } from "../../registry/oci/digest.ts";
import { isOciError } from "../../registry/oci/error.ts";
import { failureOf, fileFault, SoftError, UsageError } from "../exit.ts";
import { count } from "../ui/count.ts";
import type { Io } from "../io.ts";
import { inRegistry, inStore, layout, readPlace, type Writable } from "../places.ts";
import { Session } from "../session.ts";
import { formatSize } from "../ui/size.ts";
import { formatCsv } from "./csv.ts";
import type { FleetFlags } from "./flags.ts";
import { runWork, SOME_FAILED } from "./images.ts";
import { expandKept, keptAt, textOf } from "./kept.ts";
import { formatMetrics } from "./metrics.ts";
import { sentBy } from "./outcome.ts";

/** Flags of `wherry rebase report`. */
export interface ReportFlags extends FleetFlags {
  readonly metrics?: string;
}

/**
 * Merges the journals of all shards; returns the exit code: 0 when all is well, 2 when some images failed, 72 when
 * none succeeded, 1 when a shard is missing or has not ended, since then nobody knows.
 */
export async function report(
  io: Io,
  files: readonly string[],
  flags: ReportFlags,
): Promise<number> {
  await using session = new Session(io, flags);
  const named = [];
  for (const file of await expandKept(session, files)) {
    named.push({ name: file, journal: await readJournal(session, file) });
  }
  const merged = mergeJournals(named);
  const { results, counts, gaps, total, requests, bytes, throttled, waited } = merged;
  if (flags.metrics !== undefined) {
    await writeMetrics(session.path(flags.metrics), formatMetrics(merged));
  }
  if (flags.output === "csv") io.stdout.write(formatCsv(results));
  else if (flags.output === "json") {
    for (const result of results) io.stdout.write(JSON.stringify(result) + "\n");
    io.stdout.write(
      JSON.stringify({ total, counts, requests, bytes, throttled, waited_ms: waited, gaps }) + "\n",
    );
  } else {
    for (const [what, count] of Object.entries(counts)) io.stdout.write(`${count} ${what}\n`);
    io.stdout.write(
      `${results.length} of ${count(total, "image")}; ${count(requests, "request")}, ${
        formatSize(bytes)
      }${saidOfWaiting(merged)}\n`,
    );
  }
  for (const gap of gaps) session.log.error(gap);
  if (gaps.length > 0) {
    throw new Error(
      `Cannot vouch for the fleet: ${count(gaps.length, "gap")} in ${
        count(files.length, "journal")
      }`,
    );
  }
  const { good, bad } = goodAndBad(results);
  const outcome = outcomeOf(good, bad);
  return outcome === "all" ? 0 : outcome === "some" ? SOME_FAILED : ExitCode.rebase;
}

/** Whoever reads it while it is written reads the old one. */
async function writeMetrics(path: string, text: string): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}`;
  try {
    await Deno.writeTextFile(temporary, text);
    await Deno.rename(temporary, path);
  } catch (cause) {
    await Deno.remove(temporary).catch(() => {});
    throw new UsageError(`Cannot write metrics ${path}: ${fileFault(cause)}`, { cause });
  }
}

async function readJournal(session: Session, file: string): Promise<Journal> {
  const at = keptAt(file);
  if (at !== undefined) return parseJournal(await textOf(session, at, JOURNAL), file);
  let text: string;
  try {
    text = await Deno.readTextFile(session.path(file));
  } catch (cause) {
    throw new JournalError(`Cannot read journal ${file}: ${fileFault(cause)}`, { cause });
  }
  return parseJournal(text, file);
}

/** Flags of `wherry rebase rollback`. */
export interface RollbackFlags extends FleetFlags {
  readonly only?: readonly string[];
  readonly dryRun?: boolean;
}

/** Puts the tags back that a run moved, where nobody has moved them since. Returns the exit code. */
export async function rollback(io: Io, file: string, flags: RollbackFlags): Promise<number> {
  await using session = new Session(io, flags);
  const journal = await readJournal(session, file);
  const moved = new Map<string, { readonly old: string; readonly new: string }>();
  for (const { reference, decision, old, new: made } of journal.results.values()) {
    if (decision === "rebased" && old && made) {
      moved.set(reference, { old: old.digest, new: made.digest });
    }
  }
  // What was under way when a run was killed may have moved, or not.
  for (const { intent, ...digests } of journal.open.values()) moved.set(intent, digests);
  const only = flags.only === undefined ? undefined : new Set(flags.only);
  const stray = [...only ?? []].find((name) => !moved.has(name));
  if (stray !== undefined) {
    throw new UsageError(`Cannot roll ${stray} back: ${file} did not move it`);
  }
  const items = [...moved.keys()].filter((name) => only?.has(name) ?? true).map((name) => ({
    name,
  }));
  if (items.length === 0) throw new SoftError(`Nothing to roll back: ${file} moved no tag`);
  const publish = flags.publish ?? journal.header.publish;
  if (flags.dryRun && flags.journal !== undefined) {
    throw new UsageError("Cannot keep a journal of a --dry-run: nothing is done in it");
  }
  const back = new Rollback(session, moved, publish, flags.dryRun ?? false);
  return await runWork(session, flags, {
    items,
    publish,
    identity: `rollback\n${items.map(({ name }) => name).join("\n")}`,
    open: () => Promise.resolve(),
    act: async ({ name }, worker) => ({ result: await back.one(name, worker) }),
    onJournal: (opened) => back.journal = opened,
  });
}

class Rollback {
  journal: JournalFile | undefined;
  readonly #session: Session;
  readonly #moved: ReadonlyMap<string, { readonly old: string; readonly new: string }>;
  readonly #publish: boolean;
  readonly #dryRun: boolean;
  readonly #signals: AbortSignal[] = [];

  constructor(
    session: Session,
    moved: ReadonlyMap<string, { readonly old: string; readonly new: string }>,
    publish: boolean,
    dryRun: boolean,
  ) {
    this.#session = session;
    this.#moved = moved;
    this.#publish = publish;
    this.#dryRun = dryRun;
  }

  async one(name: string, worker: number): Promise<FleetResult> {
    const started = performance.now();
    const signal = this.#signals[worker] ??= AbortSignal.any([this.#session.ctx.signal]);
    const tally = beginTally(signal);
    const { old, new: made } = this.#moved.get(name)!;
    let said: Pick<FleetResult, "decision" | "reason">;
    try {
      said = await this.#act(name, old, made, signal);
    } catch (error) {
      this.#session.ctx.signal.throwIfAborted();
      said = isOciError(error, "PRECONDITION_FAILED")
        ? {
          decision: "moved",
          reason: `skipped: moved, it is ${
            (error.detail as Partial<UnmetDetail> | undefined)?.digest ?? "gone"
          }`,
        }
        : { decision: "failed", reason: failureOf(error).message };
    }
    return {
      reference: name,
      ...said,
      old: { digest: made, base: "" },
      ...(said.decision === "rolled back" || said.decision === "would roll back"
        ? { new: { digest: old, base: "" } }
        : {}),
      ...sentBy(tally),
      ms: Math.round(performance.now() - started),
    };
  }

  async #act(
    name: string,
    old: string,
    made: string,
    signal: AbortSignal,
  ): Promise<Pick<FleetResult, "decision" | "reason">> {
    if (!isDigest(old) || !isDigest(made)) {
      return { decision: "failed", reason: "the journal has no digests of it" };
    }
    const { registry, repository, reference } = await this.#locate(name);
    const raw = await registry.manifest(repository, old, { signal });
    if (raw === undefined) {
      return {
        decision: "failed",
        reason: `its old manifest ${old} is gone: the registry has deleted it`,
      };
    }
    const now = (await registry.stat(repository, reference, { signal }))?.digest;
    if (now === old) return { decision: "current" };
    if (this.#dryRun) {
      if (now === made) return { decision: "would roll back" };
      return { decision: "moved", reason: `skipped: moved, it is ${now ?? "gone"}` };
    }
    this.journal?.add({ intent: name, old: made, new: old });
    await this.journal?.durable();
    await registry.pushManifest(repository, { mediaType: raw.mediaType, bytes: raw.bytes }, {
      signal,
      tags: [reference],
      expect: [{ tag: reference, is: [made] }],
    });
    return { decision: "rolled back" };
  }

  async #locate(name: string): Promise<Writable> {
    const place = readPlace(name);
    if (place.kind === "store") return await inStore(this.#session, place.reference);
    if (place.kind === "oci") return await layout(this.#session, place, false);
    if (place.kind !== "registry") throw new UsageError(`Cannot roll back ${name}`);
    return this.#publish
      ? await inRegistry(this.#session, place.reference)
      : await inStore(this.#session, place.reference);
  }
}
