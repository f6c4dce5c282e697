/** `--max-rps`; apart from what connects, for it is read where nothing is loaded that does. */
import { UsageError } from "./exit.ts";

/**
 * Requests a second to each registry, `undefined` for no limit.
 *
 * @throws {UsageError} When it is no such number.
 */
export function rateOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const rate = /^\d{1,6}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (rate > 0) return rate;
  throw new UsageError(
    `Cannot use --max-rps ${JSON.stringify(text)}: want requests a second, as in 50 or 0.5`,
  );
}
