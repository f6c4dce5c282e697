/** What the journals of all shards say together, and what is missing. */
import type { Journal } from "./journal.ts";
import { type FleetResult, isGood } from "./result.ts";

/** One journal with its name. */
export interface NamedJournal {
  /** For messages. */
  readonly name: string;
  /** What it says. */
  readonly journal: Journal;
}

/** All shards of one fleet. */
export interface MergedReport {
  /** Images of the fleet. */
  readonly total: number;
  /** One for each image that was done, in order of journals. */
  readonly results: readonly FleetResult[];
  /** By decision. */
  readonly counts: Readonly<Record<string, number>>;
  /** What is not as it should be of the run itself: shards that never ran or did not end, images done twice. */
  readonly gaps: readonly string[];
  /** Requests of all. */
  readonly requests: number;
  /** Bytes of all. */
  readonly bytes: number;
  /** Answers of 429 to all. */
  readonly throttled: number;
  /** How long all together waited since registries wanted that, in milliseconds; many do so at once. */
  readonly waited: number;
}

/** Merges the journals of one fleet. */
export function mergeJournals(journals: readonly NamedJournal[]): MergedReport {
  const gaps: string[] = [];
  const [first] = journals;
  const header = first?.journal.header;
  const count = Number(header?.shard.split("/")[1] ?? 1);
  const seen = new Map<string, string>();
  const by = new Map<string, string>();
  const results: FleetResult[] = [];
  for (const { name, journal } of journals) {
    const { shard, source, mine } = journal.header;
    if (source !== header?.source) {
      gaps.push(`${name} is of another fleet than ${first!.name}`);
      continue;
    }
    if (shard.split("/")[1] !== String(count)) {
      gaps.push(`${name} is of shard ${shard}, ${first!.name} of one of ${count}`);
      continue;
    }
    const twin = seen.get(shard);
    if (twin !== undefined) gaps.push(`${name} and ${twin} are both of shard ${shard}`);
    seen.set(shard, name);
    const undone = mine - journal.results.size;
    if (undone > 0) {
      gaps.push(`shard ${shard} (${name}) has not done ${undone} of its ${mine} images`);
    }
    const within = [...journal.open.keys()].filter((image) => !journal.results.has(image)).length;
    if (within > 0) gaps.push(`shard ${shard} (${name}) was stopped within ${within} images`);
    for (const result of journal.results.values()) {
      const other = by.get(result.reference);
      if (other !== undefined && other !== name) {
        gaps.push(`${result.reference} was done in ${other} and in ${name}`);
        continue;
      }
      by.set(result.reference, name);
      results.push(result);
    }
  }
  for (let index = 1; index <= count; index++) {
    if (!seen.has(`${index}/${count}`)) gaps.push(`shard ${index}/${count} never ran`);
  }
  const total = header?.total ?? 0;
  if (gaps.length === 0 && results.length !== total) {
    gaps.push(`${results.length} of ${total} images were done`);
  }
  const counts: Record<string, number> = {};
  for (const { decision } of results) counts[decision] = (counts[decision] ?? 0) + 1;
  return {
    total,
    results,
    counts,
    gaps,
    requests: results.reduce((sum, one) => sum + one.requests, 0),
    bytes: results.reduce((sum, one) => sum + one.bytes, 0),
    throttled: results.reduce((sum, one) => sum + (one.throttled ?? 0), 0),
    waited: results.reduce((sum, one) => sum + (one.waited_ms ?? 0), 0),
  };
}

/** How many of the results are as they should be, and how many not. */
export function goodAndBad(
  results: readonly FleetResult[],
): { readonly good: number; readonly bad: number } {
  const good = results.filter(isGood).length;
  return { good, bad: results.length - good };
}

/** What a summary says of a registry that wanted to be left alone; empty where none did. */
export function saidOfWaiting(
  { throttled, waited }: Pick<MergedReport, "throttled" | "waited">,
): string {
  if (throttled === 0) return "";
  const seconds = (waited / 1000).toFixed(1);
  return `; answered ${throttled} times with 429, images waited ${seconds} s altogether`;
}
