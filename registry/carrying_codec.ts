/** Configs whose long texts are carried over as they are: most of a config is one label that nobody looks into. */
import type { ConfigCodec } from "./image.ts";
import { parseConfig } from "./oci/config.ts";
import { decodeStrict, endOfString, parseStrictText } from "./oci/json.ts";
import { joined } from "./source.ts";

/** Shorter texts cost less than the search for them. */
const LONG = 512;
const [QUOTE, BACKSLASH, COLON] = [0x22, 0x5c, 0x3a];
/** Letters that are written in a text as they are. */
const PLAIN = new Uint8Array(128).fill(1, 0x20, 0x7f);
PLAIN[QUOTE] = PLAIN[BACKSLASH] = 0;
/** What JSON is written with behind a backslash; it is read with more. */
const ESCAPED = new Uint8Array(128);
for (const letter of '"\\bfnrt') ESCAPED[letter.charCodeAt(0)] = 1;
/** Stands for the text of a number. Nothing else in a document has this beginning, or nothing is carried. */
const MARK = "\u0001carried ";
const WRITTEN = JSON.stringify(MARK).slice(1, -1);

/** A long text with its quotes, as it is written. */
interface Carried {
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** What was carried lately: images of a fleet have the same, and need no look at each letter. */
const lately: Carried[] = [];
const MAX_LATELY = 4;

interface Place {
  /** Of its first quote. */
  readonly from: number;
  readonly what: Carried;
}

/**
 * A codec for one config that is read and then written with changes: the bytes are those of `encodeJson(parseConfig(...))`,
 * for a part of the time. In between a long text is a mark that stands for it.
 *
 * @param mayCarry Whether nobody looks into the value of a key.
 */
export function carryingCodec(mayCarry: (key: string) => boolean): ConfigCodec {
  let carried: readonly Carried[] = [];
  return {
    parse: (bytes) =>
      parseConfig(bytes, () => {
        const text = decodeStrict(bytes);
        const places = placesOf(text, mayCarry);
        const marked = places.length === 0 ? undefined : withMarks(text, places);
        if (marked === undefined) return parseStrictText(text);
        carried = places.map(({ what }) => what);
        return parseStrictText(marked);
      }),
    encode: (config) => encode(JSON.stringify(config), carried),
  };
}

/** Long values that are written as we would write them, letter for letter. */
function placesOf(text: string, mayCarry: (key: string) => boolean): readonly Place[] {
  const places: Place[] = [];
  let key = "";
  let behindKey = -1;
  for (let from = text.indexOf('"'); from >= 0;) {
    const isValue = from === behindKey;
    const to = isValue && mayCarry(key)
      ? endOfCarried(text, from, places)
      : endOfString(text, from) + 1;
    if (text.charCodeAt(to) === COLON) {
      key = text.slice(from + 1, to - 1);
      behindKey = to + 1;
    }
    from = text.indexOf('"', to);
  }
  return places;
}

/** Goes through the value of a key, and notes it when it is to be carried. Gives where it ends. */
function endOfCarried(text: string, from: number, places: Place[]): number {
  for (const what of lately) {
    const to = from + what.text.length;
    if (text.slice(from, to) !== what.text) continue;
    places.push({ from, what });
    return to;
  }
  let at = from + 1;
  while (true) {
    const letter = text.charCodeAt(at);
    if (PLAIN[letter] === 1) at++;
    else if (letter === BACKSLASH && ESCAPED[text.charCodeAt(at + 1)] === 1) at += 2;
    else if (letter === QUOTE) break;
    else return endOfString(text, from) + 1;
  }
  if (at - from > LONG) {
    const long = text.slice(from, at + 1);
    const what = { text: long, bytes: TEXT.encode(long) };
    places.push({ from, what });
    if (lately.length === MAX_LATELY) lately.pop();
    lately.unshift(what);
  }
  return at + 1;
}

/** The text with marks in these places; `undefined` where it has one already. */
function withMarks(text: string, places: readonly Place[]): string | undefined {
  const parts: string[] = [];
  let at = 0;
  for (const { from, what } of places) {
    parts.push(text.slice(at, from), `"${WRITTEN}${parts.length / 2}"`);
    at = from + what.text.length;
  }
  parts.push(text.slice(at));
  const strange = parts.some((part, index) => index % 2 === 0 && part.includes("\\u0001"));
  return strange ? undefined : parts.join("");
}

/** The bytes of a text with what its marks stand for. */
function encode(text: string, carried: readonly Carried[]): Uint8Array<ArrayBuffer> {
  if (carried.length === 0) return TEXT.encode(text);
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (let at = text.indexOf(`"${WRITTEN}`); at >= 0; at = text.indexOf(`"${WRITTEN}`, from)) {
    const end = text.indexOf('"', at + 1);
    const { bytes } = carried[Number(text.slice(at + 1 + WRITTEN.length, end))]!;
    pieces.push(TEXT.encode(text.slice(from, at)), bytes);
    from = end + 1;
  }
  pieces.push(TEXT.encode(text.slice(from)));
  return joined(pieces, pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
}

const TEXT = new TextEncoder();
