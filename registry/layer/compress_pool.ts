import type { Codec, CompressedBlock } from "./compress_block.ts";
import type { CompressAnswer, CompressJob } from "./compress_worker.ts";
import { workerUrl } from "./worker_url.ts";

/** Options of {@linkcode openCompressPool}. */
export interface CompressPoolOptions {
  /** Default: as many as cores, at most 8. They start when first needed. */
  readonly workers?: number | undefined;
}

/** Workers that compress blocks. Keep one for a whole export; `using` or {@linkcode close} ends them. */
export interface CompressPool extends Disposable {
  /** How many workers it may have. */
  readonly workers: number;
  /**
   * Compresses `block`, whose memory goes away and comes back as `block` of the answer. Jobs start in order; they
   * may end in any.
   */
  compress(codec: Codec, block: Uint8Array<ArrayBuffer>): Promise<PoolAnswer>;
  /** Ends the workers; jobs under way fail. Idempotent. */
  close(): void;
}

/** A compressed block, and the memory that was lent for it. */
export interface PoolAnswer extends CompressedBlock {
  /** The plain bytes, to be used again. */
  readonly block: Uint8Array<ArrayBuffer>;
}

const MAX_WORKERS = 8;

/** Makes a pool. Costs nothing until used. */
export function openCompressPool(options: CompressPoolOptions = {}): CompressPool {
  return new Pool(options.workers ?? Math.min(navigator.hardwareConcurrency, MAX_WORKERS));
}

interface Member {
  readonly worker: Worker;
  busy: number;
}

interface Waiting {
  readonly member: Member;
  readonly resolve: (answer: PoolAnswer) => void;
  readonly reject: (error: Error) => void;
}

class Pool implements CompressPool {
  readonly workers: number;
  readonly #members: Member[] = [];
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;
  #closed = false;

  constructor(workers: number) {
    this.workers = Math.max(1, workers);
  }

  compress(codec: Codec, block: Uint8Array<ArrayBuffer>): Promise<PoolAnswer> {
    if (this.#closed) return Promise.reject(new Error("Cannot compress: the pool is closed"));
    const member = this.#member();
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<PoolAnswer>();
    this.#waiting.set(id, { member, resolve, reject });
    member.busy++;
    member.worker.postMessage({ id, block, codec } satisfies CompressJob, [block.buffer]);
    return promise;
  }

  /** An idle worker, a new one while there may be more, or the least busy. */
  #member(): Member {
    let best = this.#members[0];
    for (const member of this.#members) if (member.busy < best!.busy) best = member;
    if (best !== undefined && (best.busy === 0 || this.#members.length >= this.workers)) {
      return best;
    }
    const worker = new Worker(workerUrl("compress"), { type: "module" });
    const member: Member = { worker, busy: 0 };
    worker.onmessage = (event: MessageEvent<CompressAnswer>) => this.#answer(event.data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(new Error(`Cannot compress: a worker failed: ${event.message}`));
    };
    this.#members.push(member);
    return member;
  }

  #answer(answer: CompressAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    if (waiting === undefined) return;
    this.#waiting.delete(answer.id);
    waiting.member.busy--;
    if ("error" in answer) waiting.reject(new Error(`Cannot compress: ${answer.error}`));
    else waiting.resolve({ bytes: answer.bytes, crc: answer.crc, block: answer.block });
  }

  #fail(error: Error): void {
    for (const { worker } of this.#members) worker.terminate();
    this.#members.length = 0;
    this.#closed = true;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
  }

  close(): void {
    this.#fail(new Error("Cannot compress: the pool was closed"));
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
