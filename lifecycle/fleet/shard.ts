/** Which part of a fleet is ours, when several machines share it without talking to each other. */

/** One of several. */
export interface Shard {
  /** From 1. */
  readonly index: number;
  /** How many there are. */
  readonly count: number;
}

/** The shard a repository belongs to: its tags stay together, so that mounts and tokens are shared. */
export function isInShard(repository: string, { index, count }: Shard): boolean {
  return fnv1a(repository) % count === index - 1;
}

/** FNV-1a of 32 bits over the UTF-8 of `text`. */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return hash >>> 0;
}

/**
 * Reads `K/N`, from 1.
 *
 * @throws {RangeError} When it is something else.
 */
export function parseShard(text: string): Shard {
  const [, k, n] = /^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? [];
  const shard = { index: Number(k), count: Number(n) };
  if (shard.index >= 1 && shard.index <= shard.count) return shard;
  throw new RangeError(
    `Cannot use shard ${JSON.stringify(text)}: want K/N with K from 1 to N, as in 1/8`,
  );
}

/** How engines tell a job which of several it is. */
const ENGINES: readonly {
  readonly index: string;
  readonly count: string;
  /** What the engine calls the first. */
  readonly first: 0 | 1;
}[] = [
  { index: "JOB_COMPLETION_INDEX", count: "WHERRY_SHARDS", first: 0 },
  { index: "CI_NODE_INDEX", count: "CI_NODE_TOTAL", first: 1 },
  { index: "CIRCLE_NODE_INDEX", count: "CIRCLE_NODE_TOTAL", first: 0 },
  { index: "BUILDKITE_PARALLEL_JOB", count: "BUILDKITE_PARALLEL_JOB_COUNT", first: 0 },
];

/**
 * The shard that the engine we run in gives us, and which variable said so.
 *
 * @throws {RangeError} When its variables contradict each other: a part nobody does would be missed by nobody.
 */
export function shardFromEnv(
  env: Readonly<Record<string, string>>,
): (Shard & { readonly from: string }) | undefined {
  for (const { index, count, first } of ENGINES) {
    const [at, of] = [env[index], env[count]];
    if (at === undefined || at === "" || of === undefined || of === "") continue;
    const shard = { index: Number(at) - first + 1, count: Number(of), from: index };
    const whole = /^\d{1,6}$/.test(at) && /^\d{1,6}$/.test(of);
    if (whole && shard.index >= 1 && shard.index <= shard.count) return shard;
    throw new RangeError(
      `Cannot use ${index}=${at} of ${count}=${of} as a shard: want ${first} to ${
        first === 0 ? "one less than the count" : "the count"
      }`,
    );
  }
  return undefined;
}
