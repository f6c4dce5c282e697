import { algorithmOf, type Digest, Digester } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import type { Source } from "../source.ts";

/**
 * The same bytes, checked while they are read from the start to the end: a wrong byte, one too many or one too
 * few errors the stream before its end is reported. Reading from an offset cannot be checked.
 *
 * @param onWrong Called before the error is thrown; must not throw.
 */
export function verifiedSource(
  source: Source,
  digest: Digest,
  where: string,
  onWrong: () => void = () => {},
): Source {
  return {
    size: source.size,
    open: async (options = {}) => {
      const stream = await source.open(options);
      if ((options.offset ?? 0) > 0) return stream;
      const digester = new Digester(algorithmOf(digest));
      let size = 0;
      const reader = stream.getReader();
      return new ReadableStream<Uint8Array<ArrayBuffer>>({
        async pull(controller) {
          const { done, value } = await reader.read();
          if (!done) {
            size += value.byteLength;
            digester.update(value);
            if (size <= source.size) return controller.enqueue(value);
          }
          const seen = done ? digester.digest() : undefined;
          if (seen === digest && size === source.size) return controller.close();
          if (!done) await reader.cancel();
          onWrong();
          throw new OciError(
            size === source.size ? "DIGEST_INVALID" : "SIZE_INVALID",
            `Cannot read blob ${digest} of ${where}: ` +
              (size === source.size
                ? `its bytes have digest ${seen}`
                : `it has ${done ? size : "more"} bytes, want ${source.size}`),
          );
        },
        cancel: (reason) => reader.cancel(reason),
      }, { highWaterMark: 0 });
    },
  };
}
