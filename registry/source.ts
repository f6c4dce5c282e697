/** Options of {@linkcode Source.open}. */
export interface OpenOptions {
  /** Skip this many bytes. Default 0. */
  readonly offset?: number | undefined;
  /** Stop when aborted. */
  readonly signal?: AbortSignal | undefined;
  /**
   * The reader is done with a chunk when it asks for the next, so that one buffer may serve for all. (Left to the
   * collector, the chunks of a long blob pile up to a few hundred MiB.) A source need not heed it.
   */
  readonly reuse?: boolean | undefined;
  /** `false`: the reader, or whoever it sends the bytes to, verifies them; hashing them here too may be left out. */
  readonly verify?: boolean | undefined;
}

/** Bytes that can be read from the start, again and again: so every upload can be repeated. */
export interface Source {
  /** Bytes in all, known before reading. */
  readonly size: number;
  /** The bytes themselves, when they are in memory anyway. Not to be changed. */
  readonly bytes?: Uint8Array<ArrayBuffer> | undefined;
  /** The file that holds these bytes and no others, when there is one: some can read it quicker by themselves. */
  readonly file?: string | undefined;
  /**
   * Opens the bytes. The reader owns the stream: it reads to the end or cancels. Chunks are its own, up to
   * about 1 MiB, unless it said `reuse`. A source that was promised a digest verifies it and errors at the end on a mismatch.
   */
  open(options?: OpenOptions): Promise<ReadableStream<Uint8Array<ArrayBuffer>>>;
}

/** A source over bytes in memory; the caller may not change them afterwards. */
export function bytesSource(bytes: Uint8Array): Source {
  return {
    size: bytes.byteLength,
    ...(bytes.buffer instanceof ArrayBuffer ? { bytes: bytes as Uint8Array<ArrayBuffer> } : {}),
    open: ({ offset = 0 } = {}) => {
      const rest = new Uint8Array(bytes.subarray(offset));
      return Promise.resolve(
        new ReadableStream<Uint8Array<ArrayBuffer>>({
          start(controller) {
            if (rest.byteLength > 0) controller.enqueue(rest);
            controller.close();
          },
        }),
      );
    },
  };
}

/** A source over a file, read in chunks; the file must not change while it is read. */
export function fileSource(path: string, size: number): Source {
  return {
    size,
    file: path,
    open: async ({ offset = 0, signal, reuse = false } = {}) => {
      const file = await Deno.open(path);
      // Left as it is, the server sends it without a line of ours in between. (It knows of no seek: Deno 2.9.6.)
      if (offset === 0 && signal === undefined && !reuse) return file.readable;
      const shared = reuse ? new Uint8Array(CHUNK) : undefined;
      if (offset > 0) await file.seek(offset, Deno.SeekMode.Start);
      let closed = false;
      const close = () => {
        if (!closed) file.close();
        closed = true;
      };
      return new ReadableStream<Uint8Array<ArrayBuffer>>({
        async pull(controller) {
          try {
            signal?.throwIfAborted();
            const chunk = shared ?? new Uint8Array(CHUNK);
            const got = await file.read(chunk);
            if (got === null) {
              close();
              controller.close();
            } else controller.enqueue(chunk.subarray(0, got));
          } catch (error) {
            close();
            throw error;
          }
        },
        cancel: close,
      }, { highWaterMark: 0 });
    },
  };
}

/** Big enough that the price of a chunk does not show, small enough to hold many. */
const CHUNK = 256 * 1024;

/**
 * Reads a source into memory.
 *
 * @throws {RangeError} When it is longer than `limit` bytes.
 */
export async function readAll(source: Source, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  if (source.bytes === undefined) return await collect(await source.open(), limit);
  if (source.size <= limit) return source.bytes;
  throw new RangeError(`Cannot read document: longer than ${limit} bytes`);
}

/**
 * Reads a stream into memory.
 *
 * @throws {RangeError} When it is longer than `limit` bytes; the stream is cancelled then.
 */
export async function collect(
  stream: ReadableStream<Uint8Array>,
  limit: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.byteLength;
    if (size > limit) throw new RangeError(`Cannot read document: longer than ${limit} bytes`);
    chunks.push(chunk);
  }
  return joined(chunks, size);
}

/** `chunks` as one array; `size` is the sum of theirs. */
export function joined(chunks: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}
