/**
 * A journal in a registry. It is written on the disk as any other, and what is new is pushed: before the first tag moves, every
 * few seconds, between waves and at the end. Another machine goes on from there.
 */
import { join } from "node:path";
import { JOURNAL, type KeptLines, pushLines } from "../../lifecycle/fleet/artifact.ts";
import {
  JournalError,
  type JournalFile,
  mergeJournalTexts,
} from "../../lifecycle/fleet/journal.ts";
import type { UnmetDetail } from "../../registry/expectation.ts";
import { digestOf, hexOf } from "../../registry/oci/digest.ts";
import { isOciError } from "../../registry/oci/error.ts";
import { familiarName, type Reference } from "../../registry/oci/reference.ts";
import { failureOf, UsageError } from "../exit.ts";
import { inRegistry, type Writable } from "../places.ts";
import type { Session } from "../session.ts";
import { readKept } from "./kept.ts";

/** So long after one push the next may come, in milliseconds; the longer a run takes, the longer. */
const PAUSE_MS = 1000;
/** A part of the run's time, so that there are not too many parts: what a machine takes with it, should it be lost, grows with the run. */
const PAUSE_SHARE = 1 / 60;
/** So many parts are pushed as one again. */
const MAX_PARTS = 500;
/** For the last push of a run that was told to end, in milliseconds. */
const LAST_MS = 15_000;

/** The copy of one journal. Dispose it before the file: it is pushed once more, should that not have happened. */
export class JournalCopy implements AsyncDisposable {
  /** Where it is written until it is pushed. */
  readonly path: string;
  readonly #session: Session;
  readonly #name: string;
  readonly #at: Writable;
  readonly #started = Date.now();
  #kept: KeptLines | undefined;
  #length: number;
  #file: JournalFile | undefined;
  #pushing: Promise<void> | undefined;
  #begun = false;
  #next = 0;
  #told = false;
  /** Somebody else writes it. */
  #lost: JournalError | undefined;

  private constructor(session: Session, name: string, at: Writable, kept: KeptLines | undefined) {
    this.#session = session;
    this.#name = name;
    this.#at = at;
    this.#kept = kept;
    this.#length = kept?.bytes.byteLength ?? 0;
    this.path = pathOf(session, name);
  }

  /**
   * Reads what its registry has.
   *
   * @throws {UsageError} When that is no journal.
   */
  static async open(
    session: Session,
    reference: Reference & { readonly tag: string },
  ): Promise<JournalCopy> {
    const at = await inRegistry(session, reference);
    const name = `oci:${familiarName(reference)}`;
    const path = pathOf(session, name);
    const kept = await readKept(session, reference, JOURNAL).catch(async (cause) => {
      const { message, code } = failureOf(cause);
      const here = await Deno.stat(path).then(() => true, () => false);
      if (!here || cause instanceof UsageError) throw cause;
      const why = `${message}; this machine has what it wrote in ${path}, which is a journal too`;
      throw Object.assign(new Error(why, { cause }), { exitCode: code });
    });
    await Deno.mkdir(join(path, ".."), { recursive: true, mode: 0o700 });
    return new JournalCopy(session, name, at, kept);
  }

  /** What the file has to say when it is opened, since another machine may have gone on. */
  merge(local: string): string {
    const text = this.#kept && new TextDecoder().decode(this.#kept.bytes);
    return mergeJournalTexts(text, local, this.#name, this.path);
  }

  /** The file is open, and nobody else on this machine writes it. The first push shows whether the registry takes it. */
  async begin(file: JournalFile): Promise<void> {
    this.#file = file;
    await this.push();
    this.#begun = true;
  }

  /**
   * Pushes what is new.
   *
   * @throws {JournalError} When another run writes it.
   */
  push(signal: AbortSignal = this.#session.ctx.signal): Promise<void> {
    const before = this.#pushing;
    return this.#pushing = (async () => {
      await before?.catch(() => {});
      await this.#push(signal);
    })();
  }

  /**
   * Pushes, if it is time to; nobody waits. A failure is told once, and the next push tries again.
   *
   * @throws {JournalError} When the last one showed that another run writes it.
   */
  tick(): void {
    if (this.#lost !== undefined) throw this.#lost;
    const now = Date.now();
    if (now < this.#next) return;
    this.#next = now + this.#pause(now);
    this.push().catch((error) => {
      if (error === this.#lost || this.#told) return;
      this.#told = true;
      this.#session.log.warn(`${failureOf(error).message}; it is on this machine, and tried again`);
    });
  }

  #pause(now: number): number {
    return Math.max(PAUSE_MS, (now - this.#started) * PAUSE_SHARE);
  }

  async #push(signal: AbortSignal): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost;
    await this.#file?.durable();
    const anew = (this.#kept?.parts.length ?? 0) >= MAX_PARTS;
    // What was pushed is not read again: a journal of thirty thousand images is tens of megabytes.
    const added = await readFrom(this.path, anew ? 0 : this.#length);
    const length = added.byteLength + (anew ? 0 : this.#length);
    if (length === this.#length) return;
    const before = anew ? [] : this.#kept?.parts ?? [];
    const { registry, repository, reference: tag } = this.#at;
    const is = this.#kept === undefined ? "absent" : [this.#kept.digest];
    try {
      const pushed = await pushLines(
        { registry, repository, tag, is },
        JOURNAL,
        before,
        added,
        signal,
      );
      this.#kept = { ...pushed, bytes: new Uint8Array() };
      this.#length = length;
      this.#next = Date.now() + this.#pause(Date.now());
    } catch (error) {
      if (!isOciError(error, "PRECONDITION_FAILED")) throw error;
      const now = (error.detail as Partial<UnmetDetail> | undefined)?.digest ?? "gone";
      this.#lost = new JournalError(
        `Cannot go on with journal ${this.#name}: another run writes it, it is ${now} now`,
        { cause: error },
      );
      throw this.#lost;
    }
  }

  /** At the end of a run that was not ended from outside nothing is left to push. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#begun) return;
    try {
      await this.push(AbortSignal.timeout(LAST_MS));
      await Deno.remove(this.path);
    } catch (error) {
      const why = error === this.#lost ? "" : `${failureOf(error).message}; `;
      this.#session.log.error(`${why}what this run did is in ${this.path}`);
    }
  }
}

/** The bytes of a file that only grows, from `offset` to its end as it is now. */
async function readFrom(path: string, offset: number): Promise<Uint8Array<ArrayBuffer>> {
  using file = await Deno.open(path);
  const { size } = await file.stat();
  const bytes = new Uint8Array(Math.max(0, size - offset));
  await file.seek(offset, Deno.SeekMode.Start);
  let at = 0;
  for (let got: number | null = 0; got !== null && at < bytes.byteLength; at += got ?? 0) {
    got = await file.read(bytes.subarray(at));
  }
  return bytes.subarray(0, at);
}

function pathOf(session: Session, name: string): string {
  const key = hexOf(digestOf(new TextEncoder().encode(name)));
  return join(session.storeDir(), "cache", "journals", `${key}.jsonl`);
}
