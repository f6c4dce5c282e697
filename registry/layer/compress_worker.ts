/// <reference lib="deno.worker" />
/** Compresses blocks that are sent to it. Runs in a worker, because all of zlib runs on the calling thread. */
import { type Codec, compressBlock } from "./compress_block.ts";

/** What the pool sends. */
export interface CompressJob {
  /** Comes back with the answer. */
  readonly id: number;
  /** The block; it is sent back. */
  readonly block: Uint8Array<ArrayBuffer>;
  /** How to compress it. */
  readonly codec: Codec;
}

/** What the worker answers. */
export type CompressAnswer =
  & { readonly id: number; readonly block: Uint8Array<ArrayBuffer> }
  & (
    | { readonly bytes: Uint8Array<ArrayBuffer>; readonly crc: number }
    | { readonly error: string }
  );

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<CompressJob>) => void;
  postMessage(answer: CompressAnswer, transfer: readonly Transferable[]): void;
};

scope.onmessage = ({ data: { id, block, codec } }) => {
  try {
    const { bytes, crc } = compressBlock(codec, block);
    scope.postMessage({ id, block, bytes, crc }, [block.buffer, bytes.buffer]);
  } catch (error) {
    scope.postMessage({ id, block, error: String(error) }, [block.buffer]);
  }
};
