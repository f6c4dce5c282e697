/** Fuzzing of what reads text from strangers: seeded, so that a find can be found again. */
import {
  familiarName,
  formatPlace,
  formatReference,
  parsePlace,
  parseReference,
} from "../oci/reference.ts";
import { OciError } from "../oci/error.ts";
import { goesOn, type Span } from "../span_testing.ts";
import { parseChallenges } from "./challenge.ts";
import { nearnessOf } from "./address.ts";
import { formatTarget, parseTarget, resolveLocation } from "./url.ts";

/** A find: the input and what was wrong with it. */
export class FuzzFind extends Error {
  override readonly name = "FuzzFind";
}

/** How many inputs were tried. */
export type FuzzCount = number;

/** Pieces that mean something to the challenge parser. */
const CHALLENGE_PIECES: readonly string[] = [
  "Bearer ",
  "basic",
  "Negotiate ",
  "realm=",
  '"',
  "\\",
  ",",
  " ",
  "=",
  "==",
  "https://a/b?c=d,e",
  "scope=",
  "repository:x:pull",
  "\t",
  "\u00e9",
  "\u0000",
  "YWJj",
  'error="insufficient_scope"',
  ";",
  "__proto__=",
  "/",
];

/** Pieces that mean something to the reader of image names. */
const REFERENCE_PIECES: readonly string[] = [
  "a",
  "b0",
  "/",
  ":",
  "@",
  ".",
  "_",
  "__",
  "-",
  "localhost",
  "docker.io",
  "index.docker.io",
  "library",
  "5000",
  "[::1]",
  "sha256:" + "a".repeat(64),
  "sha512:" + "b".repeat(128),
  "latest",
  "A",
  "%2f",
  "..",
  "\u0131",
  "\u001b",
  "oci:",
  "oci-archive:",
  "docker-archive:",
  "store:",
  "//",
  "http://",
  " ",
];

/**
 * `WWW-Authenticate` and addresses: never throws what it should not, ends in time, invents nothing.
 *
 * @throws {FuzzFind} With the input, when it does.
 */
export function fuzzChallenge(span: Span, seed: number): FuzzCount {
  return run(span, seed, CHALLENGE_PIECES, (text) => {
    const challenges = parseChallenges(text);
    for (const { scheme, params } of challenges) {
      if (scheme === "" || scheme !== scheme.toLowerCase()) {
        return `scheme ${JSON.stringify(scheme)}`;
      }
      for (const [name, value] of params) {
        if (name === "" || value.length > text.length) {
          return `parameter ${JSON.stringify([name, value])}`;
        }
      }
    }
    nearnessOf(text);
    try {
      const target = resolveLocation(parseTarget("https://r.io/v2/"), text);
      const again = parseTarget(formatTarget(target));
      if (formatTarget(again) !== formatTarget(target)) return `address ${formatTarget(target)}`;
      if (/[\0-\x20\x7f]/.test(formatTarget(target))) return "a control character in an address";
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    return undefined;
  });
}

/**
 * Image names: what parses formats back to itself in every form, and what does not is an OciError.
 *
 * @throws {FuzzFind} With the input, when not.
 */
export function fuzzReference(span: Span, seed: number): FuzzCount {
  return run(span, seed, REFERENCE_PIECES, (text) => {
    try {
      const reference = parseReference(text);
      const full = formatReference(reference);
      if (formatReference(parseReference(full)) !== full) return `full form ${full}`;
      if (formatReference(parseReference(familiarName(reference))) !== full) {
        return `familiar form ${familiarName(reference)}`;
      }
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
    }
    try {
      const place = formatPlace(parsePlace(text));
      if (formatPlace(parsePlace(place)) !== place) return `place ${place}`;
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
    }
    return undefined;
  });
}

function run(
  span: Span,
  seed: number,
  pieces: readonly string[],
  check: (text: string) => string | undefined,
): FuzzCount {
  const next = random(seed);
  const more = goesOn(span);
  let count = 0;
  while (more(count)) {
    let text = "";
    for (let left = next(14); left > 0; left--) {
      text += next(5) === 0
        ? String.fromCharCode(next(5) === 0 ? next(65536) : next(128))
        : pieces[next(pieces.length)];
    }
    count++;
    let wrong: string | undefined;
    try {
      for (let tries = 0; wrong === undefined; tries++) {
        const start = performance.now();
        wrong = check(text);
        if (performance.now() - start <= SLOW_MS) break;
        if (tries === 5) wrong ??= "slow"; // once may be this machine
      }
    } catch (cause) {
      throw new FuzzFind(`seed ${seed}, input ${JSON.stringify(text)}: ${cause}`, { cause });
    }
    if (wrong !== undefined) {
      throw new FuzzFind(`seed ${seed}, input ${JSON.stringify(text)}: ${wrong}`);
    }
  }
  return count;
}

/** No input of this length takes so long unless a pattern backtracks. */
const SLOW_MS = 1000;

/** Numbers below `limit`, the same for the same seed (mulberry32's shape). */
function random(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}
