/**
 * Plans and journals that lie in registries, `oci:REGISTRY/REPOSITORY:TAG`. Here `oci:` is never a layout in a directory, as
 * elsewhere: a plan is no image, and a host in front says which one is meant.
 */
import { expandPattern, isPattern, parsePattern } from "../../lifecycle/fleet/pattern.ts";
import { type KeptLines, type LinesKind, readLines } from "../../lifecycle/fleet/artifact.ts";
import { familiarName, type Reference, wantedOf } from "../../registry/oci/reference.ts";
import { UsageError } from "../exit.ts";
import { readName } from "../places.ts";
import type { Session } from "../session.ts";

/**
 * The reference behind `oci:`; `undefined` when `text` is a file.
 *
 * @throws {UsageError} When it cannot be one.
 */
export function keptAt(text: string): Reference | undefined {
  if (!text.startsWith("oci:")) return undefined;
  const name = text.slice("oci:".length);
  const slash = name.indexOf("/");
  if (slash < 1 || !/[.:]|^localhost$/.test(name.slice(0, slash)) || name.startsWith(".")) {
    throw new UsageError(
      `Cannot use ${text}: want oci:REGISTRY/REPOSITORY:TAG, or the name of a file`,
    );
  }
  return readName(name);
}

/** As {@linkcode keptAt}, for what is written: a digest is nothing to write to. */
export function keepAt(text: string): (Reference & { readonly tag: string }) | undefined {
  const at = keptAt(text);
  if (at === undefined) return undefined;
  const { tag, digest } = at;
  if (tag !== undefined && digest === undefined) return { ...at, tag };
  throw new UsageError(`Cannot write to ${text}: want a tag and no digest`);
}

/**
 * Reads one.
 *
 * @throws {UsageError} When it is not there, or is something else.
 */
export async function readKept(
  session: Session,
  at: Reference,
  kind: LinesKind,
): Promise<KeptLines | undefined> {
  const registry = await session.registry(at.registry);
  const name = `oci:${familiarName(at)}`;
  let found: Awaited<ReturnType<typeof readLines>>;
  try {
    found = await readLines(registry, at.repository, wantedOf(at), kind, session.ctx.signal);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new UsageError(`Cannot read ${kind.word} ${name}: ${cause.message}`, { cause });
  }
  if (found !== "other") return found;
  throw new UsageError(`Cannot use ${name} as a ${kind.word}: it is something else`);
}

/**
 * The text of one that has to be there.
 *
 * @throws {UsageError} When it is not.
 */
export async function textOf(session: Session, at: Reference, kind: LinesKind): Promise<string> {
  const found = await readKept(session, at, kind);
  if (found !== undefined) return new TextDecoder().decode(found.bytes);
  throw new UsageError(
    `Cannot read ${kind.word} oci:${familiarName(at)}: its registry has none by this name`,
  );
}

/** Names with a pattern for a tag, as in `oci:registry.example/runs:7-*`, stand for what there is. */
export async function expandKept(
  session: Session,
  names: readonly string[],
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of names) {
    if (!name.startsWith("oci:") || !isPattern(name.slice("oci:".length))) {
      found.push(name);
      continue;
    }
    const pattern = parsePattern(name.slice("oci:".length));
    const registry = await session.registry(pattern.host);
    const { signal } = session.ctx;
    const place = {
      repositories: () => registry.repositories({ signal }),
      tags: (repository: string) => registry.tags(repository, { signal }),
    };
    const before = found.length;
    for await (const { repository, tag } of expandPattern(pattern, place)) {
      found.push(`oci:${pattern.host}/${repository}:${tag}`);
    }
    if (found.length === before) {
      throw new UsageError(`Cannot find a journal by ${name}: its registry has no such tag`);
    }
  }
  return found;
}
