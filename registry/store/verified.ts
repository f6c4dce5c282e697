import { algorithmOf, type Digest, Digester, digestOf } from "../oci/digest.ts";
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
  /** Of bytes in memory: whether they are right, once somebody wants them. */
  let right: boolean | undefined;
  return {
    size: source.size,
    get bytes() {
      const { bytes } = source;
      if (bytes === undefined) return undefined;
      right ??= bytes.byteLength === source.size &&
        digestOf(bytes, algorithmOf(digest)) === digest;
      return right ? bytes : undefined; // who opens it then, hears what is wrong
    },
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
