/** Requests and answers of the server as values, between the connection that carries them and the handlers. */

/** Headers by name, in any case; what {@linkcode Headers} offers too. */
export interface HeaderView {
  /** The value, several joined with `, `; `null` when absent. */
  get(name: string): string | null;
  /** Whether it is there. */
  has(name: string): boolean;
  /** All of them. */
  [Symbol.iterator](): Iterator<[string, string]>;
}

/** A body on its way in, at the pace of whoever reads it. */
export interface BodyReader {
  /**
   * The next bytes, `undefined` at the end. They are good until the call after the next: one chunk can be written
   * away while the next one comes in.
   *
   * @throws {OciError} 408 when the client is too slow; any error when it went away.
   */
  next(): Promise<Uint8Array<ArrayBuffer> | undefined>;
}

/** One request. */
export interface Ask {
  /** As sent. */
  readonly method: string;
  /** Path and query, as sent. */
  readonly target: string;
  /** As sent. */
  readonly headers: HeaderView;
  /** `null`: there is none. What nobody reads of it is the connection's to deal with. */
  readonly body: BodyReader | null;
}

/** Part of an open file. Whoever gets it sends or drops it, and closes the file. */
export interface FileBody {
  /** Open for reading. */
  readonly file: Deno.FsFile;
  /** Where to begin. */
  readonly offset: number;
  /** Bytes to send. */
  readonly length: number;
}

/** What may follow the head of an answer. */
export type AnswerBody =
  | Uint8Array<ArrayBuffer>
  | ReadableStream<Uint8Array<ArrayBuffer>>
  | FileBody;

/** One answer. */
export interface Answer {
  /** The status; never 1xx. */
  readonly status: number;
  /** By lower-case name. A list makes one line for each value. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** `null`: none. For `HEAD` it is never there. */
  readonly body: AnswerBody | null;
}

/** Whether a body is an open file. */
export function isFileBody(body: AnswerBody | null): body is FileBody {
  return body !== null && "file" in body;
}

/** Lets go of a body that will not be sent. */
export function dropBody(body: AnswerBody | null): void {
  if (body === null || body instanceof Uint8Array) return;
  if (isFileBody(body)) body.file.close();
  else body.cancel().catch(() => {});
}

/** The same bytes as a stream. The reader owns it. */
export function streamOf(body: AnswerBody): ReadableStream<Uint8Array<ArrayBuffer>> {
  if (body instanceof ReadableStream) return body;
  if (body instanceof Uint8Array) {
    return new ReadableStream({
      start(controller) {
        if (body.byteLength > 0) controller.enqueue(body);
        controller.close();
      },
    });
  }
  const { file, offset } = body;
  let left = body.length;
  let started = false;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      try {
        if (!started) await file.seek(offset, Deno.SeekMode.Start);
        started = true;
        const chunk = new Uint8Array(Math.min(left, STREAM_CHUNK));
        const got = left === 0 ? 0 : await file.read(chunk);
        if (got === null) throw new Error("Cannot read on: the file is shorter than it was");
        left -= got;
        if (got > 0) controller.enqueue(chunk.subarray(0, got));
        if (left > 0) return;
        file.close();
        controller.close();
      } catch (error) {
        file.close();
        throw error;
      }
    },
    cancel: () => file.close(),
  }, { highWaterMark: 0 });
}

const STREAM_CHUNK = 256 * 1024;
