import { LAYER_MTIME } from "./entry.ts";
import { decompress } from "./decompress.ts";
import { encodeHeader } from "./tar_encode.ts";
import { BLOCK, padded } from "./tar_format.ts";
import { TarParser, type WalkTarOptions } from "./tar_reader.ts";

/**
 * Rewrites an extension layer the way the Go lifecycle does (TA-8): times set, owner names blanked; names, owner
 * numbers, PAX records and tar dialect kept; what lies behind the end is cut. Takes any compression, gives a
 * plain tar, in constant memory.
 *
 * @throws As `walkTar` does, through the stream.
 */
export function rewriteLayer(
  source: ReadableStream<Uint8Array>,
  options: WalkTarOptions = {},
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const chunks = rewritten(source, options);
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await chunks.return(undefined);
    },
  }, { highWaterMark: 0 });
}

async function* rewritten(
  source: ReadableStream<Uint8Array>,
  options: WalkTarOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  let pieces: Uint8Array[] = [];
  let padding = 0;
  const parser = new TarParser({
    header(header) {
      pieces.push(encodeHeader({
        ...header,
        mtime: LAYER_MTIME,
        userName: "",
        groupName: "",
      }));
      padding = padded(header.size) - header.size;
    },
    body: (bytes) => pieces.push(bytes.slice()),
    end() {
      if (padding > 0) pieces.push(new Uint8Array(padding));
    },
  }, options.limits);
  for await (const chunk of decompress(source, options)) {
    parser.push(chunk);
    if (pieces.length === 0) continue;
    yield join(pieces);
    pieces = [];
  }
  parser.finish();
  yield new Uint8Array(2 * BLOCK);
}

function join(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.byteLength;
  }
  return all;
}
