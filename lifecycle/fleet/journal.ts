/** The record of a run: what it is about to do and what it did, one JSON line each, so that a killed run goes on. */
import type { FleetResult } from "./result.ts";

/** How a run began; the first line. */
export interface JournalHeader {
  /** The version of this form. */
  readonly journal: 1;
  /** What the run is: the same for all shards, and for a run that goes on. */
  readonly source: string;
  /** Images of the whole fleet. */
  readonly total: number;
  /** `K/N`. */
  readonly shard: string;
  /** Images of this shard. */
  readonly mine: number;
  /** Whether its images are in their registries. */
  readonly publish: boolean;
  /** When, RFC 3339. */
  readonly started: string;
}

/** A tag is about to move. It is on the disk before it does: so no run can forget what was there. */
export interface Intent {
  /** The image, as it was named. */
  readonly intent: string;
  /** The digest its tag has. */
  readonly old: string;
  /** The digest its tag shall have. */
  readonly new: string;
}

/** What a journal says. */
export interface Journal {
  /** How it began; of several runs the first. */
  readonly header: JournalHeader;
  /** By image: the last result. */
  readonly results: ReadonlyMap<string, FleetResult>;
  /** By image: intents of which nobody knows what became: no result followed, or one that does not tell where the tag is. */
  readonly open: ReadonlyMap<string, Intent>;
  /** Bytes that are whole lines; what is behind them was being written when the run was killed. */
  readonly length: number;
}

/** A journal that cannot be read. */
export class JournalError extends Error {
  override readonly name = "JournalError";
  /** Bad input of the user's. */
  readonly exitCode = 3;
}

/** Whoever says so knows where the tag is; of what failed the answer may have been lost, and the tag moved. */
const SETTLED: readonly string[] = ["rebased", "rolled back", "current", "moved"];

/**
 * Reads a journal. A last line without its end counts as not written.
 *
 * @param name For messages.
 * @throws {JournalError} When it is none, naming the line.
 */
export function parseJournal(text: string, name: string): Journal {
  let header: JournalHeader | undefined;
  const results = new Map<string, FleetResult>();
  const open = new Map<string, Intent>();
  const end = text.lastIndexOf("\n") + 1;
  const lines = text.slice(0, end).split("\n");
  lines.pop();
  lines.forEach((line, at) => {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw new JournalError(`Cannot read journal ${name}:${at + 1}: it is not JSON`, { cause });
    }
    if (isHeader(value)) header ??= value;
    else if (isIntent(value)) open.set(value.intent, behind(value, open.get(value.intent)));
    else if (isResult(value)) {
      results.set(value.reference, value);
      if (SETTLED.includes(value.decision)) open.delete(value.reference);
    } else throw new JournalError(`Cannot read journal ${name}:${at + 1}: it says nothing known`);
  });
  if (header === undefined) {
    throw new JournalError(`Cannot read journal ${name}: want its first line to be of a run`);
  }
  return {
    header,
    results,
    open,
    length: new TextEncoder().encode(text.slice(0, end)).byteLength,
  };
}

/** What goes on from what a lost run did goes back to where that began. */
function behind(next: Intent, lost: Intent | undefined): Intent {
  return lost?.new === next.old ? { ...next, old: lost.old } : next;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isHeader(value: unknown): value is JournalHeader {
  return isObject(value) && value["journal"] === 1 && typeof value["source"] === "string" &&
    typeof value["total"] === "number" && typeof value["mine"] === "number" &&
    typeof value["shard"] === "string";
}

function isIntent(value: unknown): value is Intent {
  return isObject(value) && typeof value["intent"] === "string" &&
    typeof value["old"] === "string" && typeof value["new"] === "string";
}

function isResult(value: unknown): value is FleetResult {
  return isObject(value) && typeof value["reference"] === "string" &&
    typeof value["decision"] === "string";
}

/** Without the words of the system call. */
function faultOf(cause: unknown): string {
  if (cause instanceof Deno.errors.NotFound) return "no such directory";
  if (cause instanceof Deno.errors.IsADirectory) return "it is a directory";
  if (cause instanceof Deno.errors.PermissionDenied) return "permission denied";
  return cause instanceof Error ? cause.message : String(cause);
}

/** A journal on the disk, being written. Close it. */
export class JournalFile implements AsyncDisposable {
  readonly #file: Deno.FsFile;
  readonly #name: string;
  #lines: string[] = [];
  #syncing: Promise<void> | undefined;
  #waiting: Promise<void> | undefined;
  #lost: unknown;

  private constructor(file: Deno.FsFile, name: string) {
    this.#file = file;
    this.#name = name;
  }

  /**
   * Opens `path` to append, and what it says already. One writer at a time: a second one is refused.
   *
   * @param merge What it shall say when it is opened, from what it says.
   * @throws {JournalError} When it cannot be opened, is no journal, or another run writes it.
   */
  static async open(
    path: string,
    merge: (text: string) => string = (text) => text,
  ): Promise<{ readonly file: JournalFile; readonly before: Journal | undefined }> {
    let file: Deno.FsFile;
    try {
      file = await Deno.open(path, { read: true, write: true, create: true });
    } catch (cause) {
      throw new JournalError(`Cannot open journal ${path}: ${faultOf(cause)}`, { cause });
    }
    try {
      if (!await file.tryLock(true)) {
        throw new JournalError(`Cannot write journal ${path}: another run writes it now`);
      }
      const own = await Deno.readTextFile(path);
      const text = merge(own);
      const before = text.includes("\n") ? parseJournal(text, path) : undefined;
      if (text !== own) await Deno.writeTextFile(path, text);
      await file.truncate(before?.length ?? 0);
      await file.seek(0, Deno.SeekMode.End);
      return { file: new JournalFile(file, path), before };
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Adds a line; it is on the disk after the next {@linkcode durable}. */
  add(line: JournalHeader | Intent | FleetResult): void {
    this.#lines.push(JSON.stringify(line) + "\n");
  }

  /** Resolves when all that was added before is on the disk. All callers of one moment share a sync. */
  async durable(): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost;
    if (this.#syncing === undefined) return await this.#sync();
    this.#waiting ??= this.#syncing.catch(() => {}).then(() => {
      this.#waiting = undefined;
      return this.#sync();
    });
    return await this.#waiting;
  }

  #sync(): Promise<void> {
    this.#syncing = (async () => {
      try {
        const bytes = new TextEncoder().encode(this.#lines.join(""));
        this.#lines = [];
        if (bytes.byteLength === 0) return;
        for (let at = 0; at < bytes.byteLength;) at += await this.#file.write(bytes.subarray(at));
        await this.#file.syncData();
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        // What is half written is half a line: nothing may be written behind it.
        this.#lost = new JournalError(`Cannot write journal ${this.#name}: ${why}`, { cause });
        throw this.#lost;
      } finally {
        this.#syncing = undefined;
      }
    })();
    return this.#syncing;
  }

  /** Writes what is left and closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#waiting?.catch(() => {});
    await this.#syncing?.catch(() => {});
    if (this.#lost === undefined) await this.#sync().catch(() => {});
    this.#file.close();
  }
}

/**
 * What a journal says that lies in a registry and, from a run that was killed, on this machine. The registry's comes first, as
 * it is; of ours follows what nobody else can know: which digests tags had.
 *
 * @param kept The registry's; `undefined` when it has none.
 * @param name For messages: of the one in the registry, and of the file.
 * @throws {JournalError} When the registry has none and ours is of a run that moved tags.
 */
export function mergeJournalTexts(
  kept: string | undefined,
  local: string,
  name: string,
  path: string,
): string {
  if (!local.includes("\n")) return kept ?? "";
  const ours = parseJournal(local, path);
  if (kept === undefined) {
    if (ours.results.size + ours.open.size === 0) return "";
    throw new JournalError(
      `Cannot go on with journal ${name}: its registry has none, this machine has one of ${ours.header.started} in ${path}; remove that, or want another name`,
    );
  }
  if (local.startsWith(kept)) return local;
  const theirs = parseJournal(kept, name);
  const { source, shard } = theirs.header;
  if (ours.header.source !== source || ours.header.shard !== shard) return kept;
  const moved = (name: string) =>
    ["rebased", "rolled back"].includes(theirs.results.get(name)?.decision ?? "");
  const lost: (FleetResult | Intent)[] = [];
  for (const result of ours.results.values()) {
    const known = !["rebased", "rolled back"].includes(result.decision) || moved(result.reference);
    if (!known) lost.push(result);
  }
  for (const intent of ours.open.values()) {
    const found = theirs.results.get(intent.intent);
    if (found === undefined) lost.push(intent);
    else if (!moved(intent.intent)) lost.push(afterIntent(found, intent));
  }
  return kept + lost.map((line) => JSON.stringify(line) + "\n").join("");
}

/** What a run that was lost was about to do may be done: then that run did it, and its old digest is not forgotten. */
export function afterIntent(
  result: FleetResult,
  intent: Pick<Intent, "old" | "new"> | undefined,
): FleetResult {
  const { decision, old } = result;
  if (intent === undefined || old?.digest !== intent.new) return result;
  const before = { digest: intent.old, base: "" };
  if (decision === "rebased") return { ...result, old: before };
  return decision === "current"
    ? { ...result, decision: "rebased", old: before, new: old }
    : result;
}
