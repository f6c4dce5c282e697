/** One way in that a server offers with a 401. */
export interface Challenge {
  /** In lower case: `bearer`, `basic`, ... */
  readonly scheme: string;
  /** By lower-case name; the first of equals. */
  readonly params: ReadonlyMap<string, string>;
  /** What stands there instead of parameters, such as Negotiate's data. */
  readonly token68?: string | undefined;
}

/** What a 401 may say; more than this is not read (N-12). */
const MAX_LENGTH = 16 * 1024;
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y;
/** Registries forget the quotes; a value then ends at a comma or a space. */
const BARE_VALUE = /[^\s,]*/y;

/**
 * Reads `WWW-Authenticate`, which may hold several challenges, each with several parameters, all separated by
 * the same comma; several headers come joined the same way (C-AUTH-01, C-DENO-04). Never throws: what cannot
 * be read is skipped up to the next comma.
 *
 * @see RFC 9110, section 11.6.1
 */
export function parseChallenges(header: string): readonly Challenge[] {
  const text = header.slice(0, MAX_LENGTH);
  const found: Challenge[] = [];
  let params: Map<string, string> | undefined;
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(text)?.[0];
    at += match?.length ?? 0;
    return match;
  };
  const blanks = () => take(/[ \t]*/y);
  while (at < text.length) {
    take(/[ \t,]*/y);
    if (at >= text.length) break;
    const word = take(TOKEN);
    if (word === undefined) {
      take(/[^,]*/y);
      continue;
    }
    const afterWord = at;
    blanks();
    if (text[at] === "=" && params !== undefined) {
      at++;
      blanks();
      const value = text[at] === '"' ? quoted() : take(BARE_VALUE) ?? "";
      const name = word.toLowerCase();
      if (!params.has(name)) params.set(name, value);
      continue;
    }
    if (text[at] === "=") {
      take(/[^,]*/y);
      continue;
    }
    params = new Map();
    // A blank behind the scheme means that token68 or parameters follow.
    const token68 = at > afterWord ? take(TOKEN68) : undefined;
    found.push({
      scheme: word.toLowerCase(),
      params,
      ...(token68 === undefined || hasParameterForm(token68) ? {} : { token68 }),
    });
    if (token68 !== undefined && hasParameterForm(token68)) at -= token68.length;
  }
  return found;

  function quoted(): string {
    let value = "";
    for (at++; at < text.length && text[at] !== '"'; at++) {
      if (text[at] === "\\" && at + 1 < text.length) at++;
      value += text[at];
    }
    at++;
    return value;
  }
}

/** `a=` and `realm=x` look like token68 up to the comma; only what is padded or has no `=` can be it. */
function hasParameterForm(token68: string): boolean {
  return /^[^=]+=[^=]/.test(token68);
}

/** The first way in that wherry knows; Negotiate, NTLM and others are passed over. */
export function chooseChallenge(challenges: readonly Challenge[]): Challenge | undefined {
  return challenges.find(({ scheme, params }) =>
    scheme === "basic" || (scheme === "bearer" && (params.get("realm") ?? "") !== "")
  );
}
