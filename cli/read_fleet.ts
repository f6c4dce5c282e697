/** The images of a fleet, as a command line names them: `--from FILE|-`, names and patterns. */
import { expandPattern, isPattern, parsePattern } from "../lifecycle/fleet/pattern.ts";
import { type FleetItem, keyOf, parseFleet } from "../lifecycle/fleet/source.ts";
import { sameName } from "../lifecycle/platform/same_name.ts";
import { collect } from "../registry/source.ts";
import { displayName } from "../registry/store/name.ts";
import { fileFault, UsageError } from "./exit.ts";
import type { Session } from "./session.ts";

/** A longer list is no list of images. */
const MAX_FLEET = 512 * 1024 * 1024;

/** Where the images of a fleet come from. */
export interface FleetWords {
  /** Names and patterns, in order. */
  readonly names: readonly string[];
  /** A file with more of them, or `-` for standard input. */
  readonly from?: string | undefined;
  /** One name that a cluster runs by two digests is two images: for who looks at what runs. Else it is one. */
  readonly running?: boolean | undefined;
}

/**
 * All images that are meant, each once, in the order they were named; patterns are expanded by asking the catalogue of
 * their registry, or the store.
 *
 * @throws {UsageError} When the list cannot be read.
 */
export async function readFleet(
  session: Session,
  words: FleetWords,
): Promise<readonly FleetItem[]> {
  const given: FleetItem[] = words.names.map((name) => ({ name, where: [] }));
  if (words.from !== undefined) {
    const [text, from] = await readText(session, words.from);
    given.push(...parseFleet(text, from));
  }
  if (!given.some(({ name }) => isPattern(name))) return unique(given, words);
  const all: FleetItem[] = [];
  for (const item of given) {
    if (!isPattern(item.name)) {
      all.push(item);
      continue;
    }
    const before = all.length;
    for await (const name of expand(session, item.name)) all.push({ name, where: item.where });
    if (all.length === before) session.log.warn(`No image matches ${item.name}`);
  }
  return unique(all, words);
}

/** Two spellings of one name are one image, under the first of them; it runs wherever either does. */
function unique(
  items: readonly FleetItem[],
  { running }: Pick<FleetWords, "running">,
): readonly FleetItem[] {
  const byKey = new Map<string, FleetItem>();
  for (const item of items) {
    const name = sameName(item.name);
    const key = running ? keyOf({ ...item, name }) : name;
    const known = byKey.get(key);
    if (known === undefined) byKey.set(key, item);
    else if (item.where.length > 0) {
      byKey.set(key, { ...known, where: [...known.where, ...item.where] });
    }
  }
  return [...byKey.values()];
}

async function* expand(session: Session, text: string): AsyncGenerator<string> {
  const pattern = parsePattern(text);
  const options = { signal: session.ctx.signal };
  if (pattern.prefix === "store:") {
    const store = await session.store();
    // Patterns are of names as people write them; the store spells a port in another way.
    const kept = new Map<string, string>();
    const place = {
      async *repositories() {
        for await (const repository of store.repositories(options)) {
          kept.set(displayName(repository), repository);
          yield displayName(repository);
        }
      },
      tags: (name: string) => store.tags(kept.get(name) ?? name, options),
    };
    for await (const { repository, tag } of expandPattern(pattern, place)) {
      yield `store:${repository}:${tag}`;
    }
    return;
  }
  const registry = await session.registry(pattern.host.toLowerCase());
  const place = {
    repositories: () => registry.repositories(options),
    tags: (repository: string) => registry.tags(repository, options),
  };
  for await (const { repository, tag } of expandPattern(pattern, place)) {
    yield `${pattern.host}/${repository}:${tag}`;
  }
}

async function readText(session: Session, from: string): Promise<readonly [string, string]> {
  const name = from === "-" ? "standard input" : from;
  try {
    const stream = from === "-"
      ? Deno.stdin.readable
      : (await Deno.open(session.path(from))).readable;
    return [new TextDecoder().decode(await collect(stream, MAX_FLEET)), name];
  } catch (cause) {
    throw new UsageError(`Cannot read fleet from ${name}: ${fileFault(cause)}`, { cause });
  }
}
