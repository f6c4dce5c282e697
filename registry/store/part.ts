/** Parts of files and of streams. */
import { fileSource, type Source } from "../source.ts";

/** `size` bytes of a file from `start` on, as a source of their own. */
export function filePart(path: string, start: number, size: number): Source {
  const file = fileSource(path, start + size);
  return {
    size,
    open: async ({ offset = 0, signal } = {}) => {
      const length = Math.max(0, size - offset);
      const stream = await file.open({ offset: start + Math.min(offset, size), signal });
      return takeBytes(stream, length);
    },
  };
}

/** `length` bytes of `stream`; the rest is cancelled. */
export function takeBytes(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  length: number,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = stream.getReader();
  let left = length;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      if (left === 0) {
        await reader.cancel();
        return controller.close();
      }
      const { done, value } = await reader.read();
      if (done) return controller.close();
      const part = value.subarray(0, left);
      left -= part.byteLength;
      if (part.byteLength > 0) controller.enqueue(part);
      if (left > 0) return;
      await reader.cancel();
      controller.close();
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}
