/** Time limits for clients that send or read too slowly to mean it (R-06, S-API 10). */
import { OciError } from "../oci/error.ts";

/** How patient a server is. */
export interface Patience {
  /** The longest pause between two chunks, in milliseconds. Default 60,000. */
  readonly idleMs?: number | undefined;
  /** Chunks on average have to come at this rate after {@linkcode graceMs}. Default 1024 bytes per second. */
  readonly minBytesPerSecond?: number | undefined;
  /** From when on the rate counts, in milliseconds. Default 60,000. */
  readonly graceMs?: number | undefined;
  /** The clock, in milliseconds; only differences matter. Default `performance.now`. */
  readonly now?: (() => number) | undefined;
}

type Bytes = ReadableStream<Uint8Array<ArrayBuffer>>;

/** A client was too slow: 408. */
export class TooSlow extends OciError {
  /** Says how slow. */
  constructor(message: string) {
    super("BLOB_UPLOAD_INVALID", message, { status: 408 });
  }
}

/**
 * The same body, which fails with {@linkcode TooSlow} when the client pauses too long or trickles. Time that the server
 * itself takes between two reads does not count. One timer looks now and then: nothing is set up for each chunk.
 */
export function patientBody(body: Bytes, patience: Patience = {}): Bytes {
  const { idleMs = 60_000, minBytesPerSecond = 1024, graceMs = 60_000 } = patience;
  const now = patience.now ?? (() => performance.now());
  const stepMs = Math.max(1, Math.min(idleMs, graceMs) / 4);
  // Taken at the first read: a body nobody reads stays with whoever has it.
  let reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;
  let timer: ReturnType<typeof setInterval> | undefined;
  let since: number | undefined; // when the read under way began
  let waited = 0;
  let bytes = 0;
  const end = () => {
    clearInterval(timer);
    since = undefined;
  };
  /** What is wrong with a client that has been waited for so long, if anything. */
  const judge = (pause: number): TooSlow | undefined => {
    if (pause >= idleMs) {
      return new TooSlow(`Cannot wait: nothing came for ${Math.round(pause / 1000)} s`);
    }
    const rate = bytes / Math.max(1, waited + pause) * 1000;
    return waited + pause >= graceMs && rate < minBytesPerSecond
      ? new TooSlow(`Cannot wait: ${Math.round(rate)} bytes per second are too few`)
      : undefined;
  };
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      if (reader === undefined) {
        const taken = reader = body.getReader();
        timer = setInterval(() => {
          const failure = since === undefined ? undefined : judge(now() - since);
          if (failure === undefined) return;
          end();
          controller.error(failure);
          taken.cancel(failure).catch(() => {});
        }, stepMs);
      }
      since = now();
      try {
        const part = await reader.read();
        if (since === undefined) return; // given up meanwhile
        waited += now() - since;
        since = undefined;
        if (part.done) {
          end();
          return controller.close();
        }
        bytes += part.value.byteLength;
        const slow = judge(0);
        if (slow !== undefined) throw slow;
        controller.enqueue(part.value);
      } catch (error) {
        end();
        await reader.cancel(error).catch(() => {});
        throw error;
      }
    },
    async cancel(reason) {
      end();
      await (reader ?? body).cancel(reason);
    },
  }, { highWaterMark: 0 });
}

/**
 * The same answer, whose source is let go when nobody takes the next chunk for too long: a client that stops reading
 * holds no file open.
 */
export function patientAnswer(body: Bytes, patience: Patience = {}): Bytes {
  const { idleMs = 60_000, now = () => performance.now() } = patience;
  const reader = body.getReader();
  /** Since when the next chunk could have been taken. */
  let idleSince: number | undefined = now();
  // One timer for all chunks: setting one for each costs a third of the throughput.
  const timer = setInterval(() => {
    if (idleSince === undefined || now() - idleSince < idleMs) return;
    const error = new TooSlow(`Cannot wait: nobody read for ${Math.round(idleMs / 1000)} s`);
    end();
    ended.error(error);
    reader.cancel(error).catch(() => {});
  }, Math.max(1, idleMs / 4));
  const end = () => clearInterval(timer);
  let ended: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      ended = controller;
    },
    async pull(controller) {
      idleSince = undefined;
      try {
        const part = await reader.read();
        if (!part.done) {
          idleSince = now();
          return controller.enqueue(part.value);
        }
        end();
        controller.close();
      } catch (error) {
        end();
        throw error;
      }
    },
    async cancel(reason) {
      end();
      await reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}
