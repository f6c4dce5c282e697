/** The body of an answer, for who wants a stream and for who wants bytes. */
import { joined } from "../source.ts";
import type { TransportResponse } from "./exchange.ts";
import type { Body } from "./http1.ts";
import type { Watch } from "./watch.ts";

/** What {@linkcode receive} tells, and by when it wants bytes. */
export interface Receiving {
  /** Waits for the next bytes while somebody wants them. */
  readonly watch: Watch;
  /** How long, in milliseconds. */
  readonly idleMs: number;
  /** Called with the number of bytes that came. */
  readonly onReceived: (bytes: number) => void;
  /** Called once, when nothing more will be read; with an error it throws what the reader is to see. */
  readonly end: (error?: unknown) => void;
}

/** Reads what is here already, and the rest as it is asked for. */
export function receive(
  body: Body,
  { watch, idleMs, onReceived, end }: Receiving,
): Pick<TransportResponse, "body" | "bytes"> {
  watch.pause();
  const next = async (): Promise<Uint8Array<ArrayBuffer> | undefined> => {
    let part: Uint8Array<ArrayBuffer> | undefined;
    try {
      part = await body.next();
      if (part !== undefined) onReceived(part.byteLength);
    } catch (error) {
      end(error);
      throw error;
    }
    if (body.done) end();
    else watch.pause();
    return part;
  };
  const giveUp = () => {
    try {
      end(new Error("cancelled"));
    } catch {
      // It is the reader who wants no more.
    }
  };
  // All of it came with the head: the connection is free for the next request.
  let early: Promise<Uint8Array<ArrayBuffer> | undefined> | undefined;
  if (body.done) {
    end();
    early = Promise.resolve(undefined);
  } else if (body.here) early = next();
  early?.catch(() => {});
  let stream: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  const open = () => {
    if (early !== undefined) {
      return new ReadableStream<Uint8Array<ArrayBuffer>>({
        async pull(controller) {
          const part = await early;
          if (part !== undefined) controller.enqueue(part);
          controller.close();
        },
      }, { highWaterMark: 0 });
    }
    return new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: async (controller) => {
        watch.start(idleMs, "progress");
        const part = await next();
        if (part !== undefined) controller.enqueue(part);
        if (body.done) controller.close();
      },
      cancel: giveUp,
    }, { highWaterMark: 0 });
  };
  const bytes = async (limit: number) => {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let size = 0;
    const add = (part: Uint8Array<ArrayBuffer> | undefined) => {
      if (part === undefined) return;
      size += part.byteLength;
      parts.push(part);
    };
    if (early !== undefined) add(await early);
    while (!body.done && size <= limit) {
      watch.start(idleMs, "progress");
      add(await next());
    }
    if (size <= limit) return parts.length === 1 ? parts[0]! : joined(parts, size);
    if (!body.done) giveUp();
    throw new RangeError(`Cannot read document: longer than ${limit} bytes`);
  };
  return {
    get body() {
      return stream ??= open();
    },
    bytes,
  };
}
