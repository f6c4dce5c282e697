/** JSON of strangers: what every reader understands in the same way, or nothing. */

/** Deeper documents are made to exhaust stacks; images need about eight levels. */
const MAX_DEPTH = 128;
const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Reads JSON in UTF-8 without a byte order mark, in which no object has a key twice: of two, some readers take the
 * first and some the last, so the same bytes would be two documents (M-08, C-MT-06).
 *
 * @throws {SyntaxError} That goes behind "it": "is not JSON in UTF-8", "has the key "layers" twice", ...
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  return parseStrictText(decodeStrict(bytes));
}

/** Puts a letter in the place of wrong bytes, in a sixth of the time. */
const QUICK = new TextDecoder("utf-8", { ignoreBOM: true });
/** Told apart from the text of a replacement character: wrong bytes are an error. */
const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * UTF-8 as text.
 *
 * @throws {SyntaxError} As {@linkcode parseStrictJson}.
 */
export function decodeStrict(bytes: Uint8Array): string {
  const text = QUICK.decode(bytes);
  if (!text.includes("\ufffd")) return text;
  try {
    return STRICT.decode(bytes);
  } catch (cause) {
    throw new SyntaxError("is not JSON in UTF-8", { cause });
  }
}

/** As {@linkcode parseStrictJson}, of what was decoded already. */
export function parseStrictText(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError("is not JSON in UTF-8", { cause });
  }
  if (isPlain(text, value)) return value;
  const why = oddityOf(text, true);
  if (why !== undefined) throw new SyntaxError(why);
  return value;
}

/**
 * Whether `text` is what we would write for `value`: then no key was in it twice, or it would be shorter. Takes a third of
 * the time of a look at every letter, and programs write JSON in this way.
 */
function isPlain(text: string, value: unknown): boolean {
  const indented = text.charCodeAt(0) !== OPEN_BRACE || text.charCodeAt(1) !== QUOTE;
  const shallow = indented || opens(text, MAX_DEPTH) || isShallow(value, MAX_DEPTH);
  return !indented && shallow && JSON.stringify(value) === text;
}

/** Whether brackets open at most `most` times, so that nothing can be deeper: quicker told than how deep it is. */
function opens(text: string, most: number): boolean {
  let left = most;
  for (const bracket of ["{", "["]) {
    for (let at = text.indexOf(bracket); at >= 0; at = text.indexOf(bracket, at + 1)) {
      if (left-- === 0) return false;
    }
  }
  return true;
}

function isShallow(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (levels === 0) return false;
  for (const one of Object.values(value)) if (!isShallow(one, levels - 1)) return false;
  return true;
}

/** Whether JSON is nested deeper than any document is: what walks through it must not be let near. */
export function isTooDeep(text: string): boolean {
  return oddityOf(text, false) !== undefined;
}

/** What is odd about JSON, which need not be valid when keys are not looked at. One pass; strings are skipped, keys are looked at when `keys` says so. */
function oddityOf(text: string, keys: boolean): string | undefined {
  /** For each open object the keys so far, for each open array nothing. */
  const open: (Set<string> | undefined)[] = [];
  let keyComes = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case OPEN_BRACE:
      case OPEN_BRACKET: {
        keyComes = text.charCodeAt(at) === OPEN_BRACE;
        open.push(keyComes && keys ? new Set() : undefined);
        if (open.length > MAX_DEPTH) return `is nested deeper than ${MAX_DEPTH} levels`;
        break;
      }
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        open.pop();
        keyComes = false;
        break;
      case COLON:
        keyComes = false;
        break;
      case COMMA:
        keyComes = open.at(-1) !== undefined;
        break;
      case QUOTE: {
        const end = endOfString(text, at);
        const seen = keyComes ? open.at(-1) : undefined;
        if (seen !== undefined) {
          const inside = text.slice(at + 1, end);
          const key = inside.includes("\\")
            ? JSON.parse(text.slice(at, end + 1)) as string
            : inside;
          if (seen.has(key)) return `has the key ${JSON.stringify(key.slice(0, 100))} twice`;
          seen.add(key);
        }
        at = end;
        break;
      }
    }
  }
  return undefined;
}

/** Where the string that starts at `start` has its closing quote: the first with an even number of backslashes before it. */
export function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let from = at;
    while (text.charCodeAt(from - 1) === BACKSLASH) from--;
    if ((at - from) % 2 === 0) return at;
  }
  return text.length;
}
