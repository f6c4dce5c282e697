import { isOciError } from "../oci/error.ts";
import type { OpenOptions, Source } from "../source.ts";

/** A source and what to do when it ends early. */
export interface Relay {
  /** The bytes. */
  readonly source: Source;
  /**
   * Called when reading failed; the same bytes from elsewhere, or `undefined` when there is no elsewhere.
   */
  readonly next: (error: Error) => Promise<Relay | undefined>;
}

/**
 * A blob that is read on from elsewhere when the place it is read from breaks down in the middle. Each place
 * verifies what is read from its start; what is pieced together is verified by whoever stores it.
 */
export function relayed(first: Relay): Source {
  return {
    size: first.source.size,
    async open(options: OpenOptions = {}) {
      const { offset = 0, signal } = options;
      let relay = first;
      let at = offset;
      let reader = (await relay.source.open({ ...options, verify: true })).getReader();
      return new ReadableStream<Uint8Array<ArrayBuffer>>({
        async pull(controller) {
          for (;;) {
            try {
              const { done, value } = await reader.read();
              if (done) return controller.close();
              at += value.byteLength;
              return controller.enqueue(value);
            } catch (error) {
              signal?.throwIfAborted();
              // Bytes that are wrong have been handed over already: only a place that is gone can be replaced.
              if (!isOciError(error, "UNAVAILABLE", "TOOMANYREQUESTS")) throw error;
              const next = await relay.next(error);
              if (next === undefined || next.source.size !== first.source.size) throw error;
              relay = next;
              reader = (await relay.source.open({ ...options, offset: at, verify: true }))
                .getReader();
            }
          }
        },
        cancel: (reason) => reader.cancel(reason),
      }, { highWaterMark: 0 });
    },
  };
}
