/** Configs whose long texts are carried over as they are: most of a config is one label that nobody looks into. */
import type { ConfigCodec } from "./image.ts";
import { type ImageConfig, parseConfig } from "./oci/config.ts";
import { decodeStrict, parseStrictText } from "./oci/json.ts";

/** Shorter texts cost less than the search for them. */
const LONG = 512;
const [QUOTE, BACKSLASH, COLON] = [0x22, 0x5c, 0x3a];
/** Bytes that are written in a text as they are. */
const PLAIN = new Uint8Array(256).fill(1, 0x20, 0x7f);
PLAIN[QUOTE] = PLAIN[BACKSLASH] = 0;
/** What JSON is written with behind a backslash; it is read with more. */
const ESCAPED = new Uint8Array(256);
for (const letter of '"\\bfnrt') ESCAPED[letter.charCodeAt(0)] = 1;
/** Stands for the text of a number. Nothing else in a document has this beginning, or nothing is carried. */
const MARK = "\u0001carried ";
const WRITTEN = JSON.stringify(MARK).slice(1, -1);

interface Place {
  /** Of the quotes. */
  readonly from: number;
  /** Behind the closing one. */
  readonly to: number;
}

/**
 * A codec for one config that is read and then written with changes: the bytes are those of `encodeJson(parseConfig(...))`,
 * for a third of the time. In between a long text is a mark that stands for it.
 *
 * @param mayCarry Whether nobody looks into the value of a key.
 */
export function carryingCodec(mayCarry: (key: string) => boolean): ConfigCodec {
  let carried: readonly Uint8Array[] = [];
  return {
    parse: (bytes) =>
      parseConfig(bytes, () => {
        const places = placesOf(bytes, mayCarry);
        const text = places.length === 0 ? undefined : withMarks(bytes, places);
        if (text === undefined) return parseStrictText(decodeStrict(bytes));
        carried = places.map(({ from, to }) => bytes.subarray(from, to));
        return parseStrictText(text);
      }),
    encode: (config) => encode(config, carried),
  };
}

/** Long values that are written as we would write them, letter for letter. */
function placesOf(bytes: Uint8Array, mayCarry: (key: string) => boolean): readonly Place[] {
  const places: Place[] = [];
  const size = bytes.length;
  let key: Place | undefined;
  for (let from = bytes.indexOf(QUOTE); from >= 0;) {
    let plain = 1;
    let at = from + 1;
    while (at < size) {
      const byte = bytes[at]!;
      if (PLAIN[byte] === 1) at++;
      else if (byte === QUOTE) break;
      else if (byte === BACKSLASH) {
        plain &= ESCAPED[bytes[at + 1] ?? 0]!;
        at += 2;
      } else {
        plain = 0;
        at++;
      }
    }
    const here = { from, to: at + 1 };
    const isValue = key !== undefined && bytes[key.to] === COLON && key.to + 1 === from;
    if (plain === 1 && isValue && at - from > LONG && at < size) {
      if (mayCarry(decodeStrict(bytes.subarray(key!.from + 1, key!.to - 1)))) places.push(here);
    }
    key = here;
    from = at + 1;
    while (from < size && bytes[from] !== QUOTE) from++;
    if (from >= size) break;
  }
  return places;
}

/** The text with marks in these places; `undefined` where it has one already. */
function withMarks(bytes: Uint8Array, places: readonly Place[]): string | undefined {
  const parts: string[] = [];
  let at = 0;
  for (const { from, to } of places) {
    parts.push(decodeStrict(bytes.subarray(at, from)));
    at = to;
  }
  parts.push(decodeStrict(bytes.subarray(at)));
  if (parts.some((part) => part.includes("\\u0001"))) return undefined;
  return parts.map((part, index) => index === 0 ? part : `"${WRITTEN}${index - 1}"${part}`).join(
    "",
  );
}

function encode(config: ImageConfig, carried: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const text = JSON.stringify(config);
  if (carried.length === 0) return TEXT.encode(text);
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (let at = text.indexOf(`"${WRITTEN}`); at >= 0; at = text.indexOf(`"${WRITTEN}`, from)) {
    pieces.push(TEXT.encode(text.slice(from, at)));
    const end = text.indexOf('"', at + 1);
    pieces.push(carried[Number(text.slice(at + 1 + WRITTEN.length, end))]!);
    from = end + 1;
  }
  pieces.push(TEXT.encode(text.slice(from)));
  const bytes = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let filled = 0;
  for (const piece of pieces) {
    bytes.set(piece, filled);
    filled += piece.byteLength;
  }
  return bytes;
}

const TEXT = new TextEncoder();
