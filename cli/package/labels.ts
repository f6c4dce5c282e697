import { UsageError } from "../exit.ts";

/**
 * `--label KEY=VALUE`, as often as wanted.
 *
 * @param flag For the message.
 *
 * @throws {UsageError} Without a key or a `=`.
 */
export function collectLabels(
  words: readonly string[] = [],
  flag = "--label",
): Readonly<Record<string, string>> {
  return Object.fromEntries(words.map((word) => {
    const at = word.indexOf("=");
    if (at < 1) {
      throw new UsageError(`Cannot use ${flag} ${JSON.stringify(word)}: want KEY=VALUE`);
    }
    return [word.slice(0, at), word.slice(at + 1)];
  }));
}
