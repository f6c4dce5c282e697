import type { ExtractResult } from "./extract.ts";
import type { ReadLimits } from "./tar_reader.ts";

/**
 * Unpacks a zip or jar into the existing directory `dir`: modes and symlinks where the zip has them.
 * Confined to `dir`; bombs are limited.
 */
export function unzipTo(
  _dir: string,
  _file: string,
  _options: {
    readonly limits?: ReadLimits | undefined;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<ExtractResult> {
  return Promise.reject(new Error("not written yet"));
}
