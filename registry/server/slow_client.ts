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
 * itself takes between two reads does not count.
 */
export function patientBody(body: Bytes, patience: Patience = {}): Bytes {
  const { idleMs = 60_000, minBytesPerSecond = 1024, graceMs = 60_000 } = patience;
  const now = patience.now ?? (() => performance.now());
  // Taken at the first read: a body nobody reads stays with whoever has it.
  let reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let since: number | undefined; // when the read under way began
  let waited = 0;
  let bytes = 0;
  const end = () => {
    clearTimeout(timer);
    timer = undefined;
  };
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      reader ??= body.getReader();
      since = now();
      const failure = Promise.withResolvers<never>();
      const check = () => {
        const pause = now() - since!;
        const rate = bytes / Math.max(1, waited + pause) * 1000;
        const slow = waited + pause >= graceMs && rate < minBytesPerSecond;
        if (pause >= idleMs || slow) {
          failure.reject(
            new TooSlow(
              pause >= idleMs
                ? `Cannot wait: nothing came for ${Math.round(pause / 1000)} s`
                : `Cannot wait: ${Math.round(rate)} bytes per second are too few`,
            ),
          );
        } else timer = setTimeout(check, step);
      };
      const step = Math.max(1, Math.min(idleMs, graceMs) / 4);
      timer = setTimeout(check, step);
      try {
        const read = reader.read();
        const part = await Promise.race([read, failure.promise]);
        waited += now() - since;
        if (part.done) controller.close();
        else {
          bytes += part.value.byteLength;
          controller.enqueue(part.value);
          if (waited >= graceMs && bytes / waited * 1000 < minBytesPerSecond) {
            throw new TooSlow("Cannot wait: too few bytes per second");
          }
        }
      } catch (error) {
        await reader.cancel(error).catch(() => {});
        throw error;
      } finally {
        end();
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
  const { idleMs = 60_000 } = patience;
  const reader = body.getReader();
  let timer: ReturnType<typeof setTimeout> | undefined;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      clearTimeout(timer);
      const part = await reader.read();
      if (part.done) return controller.close();
      controller.enqueue(part.value);
      timer = setTimeout(() => {
        const error = new TooSlow(`Cannot wait: nobody read for ${Math.round(idleMs / 1000)} s`);
        controller.error(error);
        reader.cancel(error).catch(() => {});
      }, idleMs);
    },
    async cancel(reason) {
      clearTimeout(timer);
      await reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}
