import { UsageError } from "../exit.ts";

/**
 * `--label KEY=VALUE`, as often as wanted.
 *
 * @throws {UsageError} Without a key or a `=`.
 */
export function collectLabels(words: readonly string[] = []): Readonly<Record<string, string>> {
  return Object.fromEntries(words.map((word) => {
    const at = word.indexOf("=");
    if (at < 1) {
      throw new UsageError(`Cannot use --label ${JSON.stringify(word)}: want KEY=VALUE`);
    }
    return [word.slice(0, at), word.slice(at + 1)];
  }));
}
