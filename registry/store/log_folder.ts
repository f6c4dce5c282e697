import { workerUrl } from "../layer/worker_url.ts";
import type { CheckpointAnswer, CheckpointJob } from "./checkpoint_worker.ts";

/** When what is done. */
export interface FoldSizes {
  /** Acts before it is worth a thread. */
  readonly startAfter: number;
  /** Acts between two looks at the log; one is about three pages. */
  readonly every: number;
  /** Pages of a log that has to begin anew, which it can only when nobody writes for a moment. */
  readonly pauseAt: number;
}

const USUAL: FoldSizes = { startAfter: 3000, every: 400, pauseAt: 6000 };
/** Pages at which SQLite folds by itself, on the thread that writes: without a thread, and with one that falls behind. */
const [ALONE, BEHIND] = [2000, 10_000];

/**
 * Has the write-ahead log of a database folded into its main file by a thread of its own, where much is written. The thread
 * that writes would wait for the disk twice each time, and copy all pages once more.
 */
export class LogFolder {
  readonly #path: string;
  readonly #limit: (pages: number) => void;
  #worker: Worker | undefined;
  #answered: PromiseWithResolvers<CheckpointAnswer> | undefined;
  #working: Promise<void> | undefined;
  #failed = false;
  #acts = 0;
  #next: number;
  readonly #sizes: FoldSizes;
  /** Whoever can wait does not write before it resolves. */
  pause: Promise<void> | undefined;

  /**
   * For the database at `path`, which stays open until {@linkcode close}. Does nothing yet.
   *
   * @param limit Sets from how many pages on SQLite folds by itself.
   */
  constructor(path: string, limit: (pages: number) => void, sizes = USUAL) {
    this.#path = path;
    this.#sizes = sizes;
    this.#next = sizes.startAfter;
    this.#limit = limit;
    limit(ALONE);
  }

  /** So many acts were committed. */
  written(acts: number): void {
    this.#acts += acts;
    if (this.#acts < this.#next || this.#working !== undefined || this.#failed) return;
    this.#next = this.#acts + this.#sizes.every;
    this.#working = this.#fold()
      .catch(() => this.#fail())
      .finally(() => this.#working = undefined);
  }

  async #fold(): Promise<void> {
    if (this.#worker === undefined) this.#start();
    const { log, done } = await this.#ask(false);
    if (log < this.#sizes.pauseAt || done === log) return;
    const rest = this.#ask(false);
    // Whatever becomes of it: nobody waits for longer than this.
    this.pause = rest.then(() => {}, () => {}).finally(() => this.pause = undefined);
    await rest;
  }

  #start(): void {
    const worker = new Worker(workerUrl("checkpoint"), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<CheckpointAnswer>) => {
      if (data.error === undefined) this.#answered?.resolve(data);
      else this.#answered?.reject(new Error(data.error));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#fail();
      this.#answered?.reject(new Error(event.message));
    };
    worker.postMessage({ path: this.#path } satisfies CheckpointJob);
    this.#worker = worker;
    this.#limit(BEHIND);
  }

  /** SQLite meets what went wrong when it folds by itself. */
  #fail(): void {
    this.#failed = true;
    this.#limit(ALONE);
  }

  #ask(end: boolean): Promise<CheckpointAnswer> {
    this.#answered = Promise.withResolvers();
    this.#worker!.postMessage({ end } satisfies CheckpointJob);
    return this.#answered.promise;
  }

  /** Ends the thread, whose connection is closed by then. */
  async close(): Promise<void> {
    await this.#working;
    if (this.#worker === undefined) return;
    this.#next = Infinity;
    if (!this.#failed) await this.#ask(true).catch(() => {});
    this.#worker.terminate();
    this.#worker = undefined;
  }
}
