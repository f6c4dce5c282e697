/** Outside texts in what people read: shown, not obeyed (N-11). */

/** What a terminal would obey or hide, but for the ends of lines and tabs. */
// deno-lint-ignore no-control-regex -- exactly these are meant
const OBEYED = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]|\p{Cf}/gu;
/** The same, and colours of what a program printed pass. */
// deno-lint-ignore no-control-regex -- exactly these are meant
const BUT_COLORS = /\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u2028\u2029]|\p{Cf}/gu;

/** `text` with `\u001b` instead of the character; with `colors` those pass. */
export function shown(text: string, colors = false): string {
  return text.replaceAll(
    colors ? BUT_COLORS : OBEYED,
    (seen) => `\\u${seen.codePointAt(0)!.toString(16).padStart(4, "0")}`,
  );
}
