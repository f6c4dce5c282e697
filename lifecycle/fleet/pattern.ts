/** Patterns of image names: `registry.example/team/*:v1*`. Pure: who has a catalogue expands them. */
import { FleetSourceError } from "./source.ts";

/** A pattern, in its parts. */
export interface FleetPattern {
  /** As written. */
  readonly text: string;
  /** In front of the host: `store:` for the store's own list. */
  readonly prefix: "" | "store:";
  /** The host, as written; empty for the store, whose names hold theirs. */
  readonly host: string;
  /** The repository, when it has no wildcard: then no catalogue is needed. */
  readonly repository: string | undefined;
  /** The tag, when it has no wildcard: then no list of tags is needed. */
  readonly tag: string | undefined;
  /** Whether a repository (without the host) is meant. */
  readonly isRepository: (name: string) => boolean;
  /** Whether a tag is meant. */
  readonly isTag: (name: string) => boolean;
}

/** Whether a name is a pattern: no name of an image has one of these. */
export function isPattern(name: string): boolean {
  return /[*?{]/.test(name.replace(/^(oci|oci-archive|docker-archive):.*$/, ""));
}

/**
 * Reads a pattern: `*` and `?` stay within a part of the path, `**` goes over any number of parts, `{a,b}` is one or
 * the other. Without a tag it means `latest`, as any name does; `:*` means every tag.
 *
 * @throws {FleetSourceError} When it names no host, or has a digest.
 */
export function parsePattern(text: string): FleetPattern {
  const prefix = text.startsWith("store:") ? "store:" : "";
  const rest = text.slice(prefix.length);
  if (rest.includes("@")) throw refused(text, "a digest is of one image");
  const slash = rest.indexOf("/");
  const host = prefix === "" && slash > 0 ? rest.slice(0, slash) : "";
  if (prefix === "" && (host === "" || /[*?{]/.test(host) || !/[.:]|^localhost$/.test(host))) {
    throw refused(text, "want the host of a registry in front, or store:");
  }
  const path = host === "" ? rest : rest.slice(slash + 1);
  // A tag has no slash in it; the port of a name in the store has one behind it.
  const colon = path.indexOf(":", path.lastIndexOf("/") + 1);
  const [repository, tag] = colon < 0
    ? [path, "latest"]
    : [path.slice(0, colon), path.slice(colon + 1)];
  if (repository === "" || tag === "") throw refused(text, "want REPOSITORY or REPOSITORY:TAG");
  const isRepository = matcher(repository);
  const isTag = matcher(tag);
  return {
    text,
    prefix,
    host,
    repository: isPattern(repository) ? undefined : repository,
    tag: isPattern(tag) ? undefined : tag,
    isRepository,
    isTag,
  };
}

/** Whether a name fits one of `patterns`, which are without tags or with: for lists of what is allowed. */
export function matchesAny(name: string, patterns: readonly string[]): boolean {
  const bare = name.replace(/@.*$/, "");
  const withoutTag = bare.replace(/:[^:/]*$/, "");
  return patterns.some((pattern) => {
    const matches = matcher(pattern);
    return matches(bare) || matches(withoutTag);
  });
}

/** A pattern as a test of a whole text. Every star is bounded by what follows, so it cannot blow up badly. */
function matcher(pattern: string): (text: string) => boolean {
  let source = "";
  let depth = 0;
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at]!;
    if (char === "*" && pattern[at + 1] === "*") {
      // `team/**` is also `team/a`, `**/app` is also `app`.
      if (pattern[at + 2] === "/") {
        source += "(?:[^/]+/)*";
        at += 2;
      } else {
        source += ".*";
        at++;
      }
      while (pattern[at + 1] === "*") at++;
    } else if (char === "*") source += "[^/]*";
    else if (char === "?") source += "[^/]";
    else if (char === "{" && pattern.indexOf("}", at) > 0) {
      depth++;
      source += "(?:";
    } else if (char === "}" && depth > 0) {
      depth--;
      source += ")";
    } else if (char === "," && depth > 0) source += "|";
    else source += char.replace(/[\\^$.|+()[\]{}]/, "\\$&");
  }
  const regex = new RegExp(`^${source}${")".repeat(depth)}$`);
  return (text) => regex.test(text);
}

function refused(text: string, why: string): FleetSourceError {
  return new FleetSourceError(`Cannot use pattern ${JSON.stringify(text.slice(0, 200))}: ${why}`);
}

/** What expanding a pattern asks a place. */
export interface FleetCatalogue {
  /** All repositories of the place. */
  repositories(): AsyncIterable<string>;
  /** Tags of one. */
  tags(repository: string): AsyncIterable<string>;
}

/** The names a pattern means, as the place has them, in the place's order. Tags are listed a few repositories at once. */
export async function* expandPattern(
  pattern: FleetPattern,
  place: FleetCatalogue,
): AsyncGenerator<{ readonly repository: string; readonly tag: string }> {
  const waiting: { repository: string; tags: Promise<readonly string[]> }[] = [];
  const tagsOf = async (repository: string): Promise<readonly string[]> => {
    if (pattern.tag !== undefined) return [pattern.tag];
    const tags: string[] = [];
    for await (const tag of place.tags(repository)) if (pattern.isTag(tag)) tags.push(tag);
    return tags;
  };
  const start = (repository: string) => {
    const tags = tagsOf(repository);
    tags.catch(() => {}); // told when it is its turn
    waiting.push({ repository, tags });
  };
  const next = async function* () {
    const { repository, tags } = waiting.shift()!;
    for (const tag of await tags) yield { repository, tag };
  };
  if (pattern.repository !== undefined) start(pattern.repository);
  else {
    for await (const repository of place.repositories()) {
      if (!pattern.isRepository(repository)) continue;
      start(repository);
      if (waiting.length >= AT_ONCE) yield* next();
    }
  }
  while (waiting.length > 0) yield* next();
}

/** Lists of tags under way at once. */
const AT_ONCE = 8;
