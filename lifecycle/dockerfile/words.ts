/** Words of an instruction: how they are split, and how variables in them are replaced. Pure. */

/** Splits at blanks, keeping quotes and escapes as they are: `a="b c" d` is two words. */
export function splitWords(text: string, escape: string): readonly string[] {
  const words: string[] = [];
  let word = "";
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const one = text[at]!;
    if (quote === "" && /\s/.test(one)) {
      if (word !== "") words.push(word);
      word = "";
      continue;
    }
    word += one;
    if (one === escape && quote !== "'" && at + 1 < text.length) word += text[++at];
    else if (quote === "" && (one === '"' || one === "'")) quote = one;
    else if (one === quote) quote = "";
  }
  if (word !== "") words.push(word);
  return words;
}

/** What a variable is; `undefined`: there is none. */
export type Lookup = (name: string) => string | undefined;

/**
 * Replaces variables in `text`, and takes away quotes and escapes, as a shell would: `$a`, `${a}`, and with `:` or
 * without `${a-default}`, `${a+instead}`, `${a?message}`.
 *
 * @param options.keepQuotes For here-documents, where quotes are text.
 * @throws {SyntaxError} For a brace without end, another modifier, or a variable that `?` asks for.
 */
export function expandWord(
  text: string,
  lookup: Lookup,
  escape: string,
  options: { readonly keepQuotes?: boolean } = {},
): string {
  const state = { text, at: 0 };
  return expand(state, lookup, escape, options.keepQuotes ?? false, false);
}

interface State {
  readonly text: string;
  at: number;
}

/** To the end, or inside a brace to the `}` that closes it. */
function expand(
  state: State,
  lookup: Lookup,
  escape: string,
  keepQuotes: boolean,
  inBrace: boolean,
): string {
  let out = "";
  let quoted = false;
  while (state.at < state.text.length) {
    const one = state.text[state.at]!;
    if (inBrace && one === "}" && !quoted) return out;
    state.at++;
    if (one === "'" && !quoted && !keepQuotes) {
      const end = state.text.indexOf("'", state.at);
      if (end < 0) throw new SyntaxError("a single quote has no end");
      out += state.text.slice(state.at, end);
      state.at = end + 1;
    } else if (one === '"' && !keepQuotes) {
      quoted = !quoted;
    } else if (one === escape) {
      const next = state.text[state.at];
      if (next === undefined) break;
      state.at++;
      const special = keepQuotes ? next === "$" || next === escape : next === '"' || next === "$" ||
        next === escape;
      // Inside quotes, and in here-documents, it is text in front of anything else.
      out += (quoted || keepQuotes) && !special ? one + next : next;
    } else if (one === "$") {
      out += variable(state, lookup, escape, keepQuotes);
    } else {
      out += one;
    }
  }
  if (quoted) throw new SyntaxError("a double quote has no end");
  if (inBrace) throw new SyntaxError("${ has no end");
  return out;
}

function variable(state: State, lookup: Lookup, escape: string, keepQuotes: boolean): string {
  const { text } = state;
  if (text[state.at] !== "{") {
    const match = /^(?:[a-zA-Z_]\w*|[0-9@*#!?-])/.exec(text.slice(state.at));
    if (!match) return "$";
    state.at += match[0].length;
    return lookup(match[0]) ?? "";
  }
  const match = /^\{([a-zA-Z_]\w*|[0-9@*#!?-])(:?[-+?])?/.exec(text.slice(state.at));
  if (!match) {
    throw new SyntaxError(`${JSON.stringify(text.slice(state.at - 1))} names no variable`);
  }
  const [whole, name = "", modifier] = match;
  state.at += whole.length;
  if (modifier === undefined) {
    if (text[state.at] !== "}") {
      const seen = text[state.at] === undefined ? "no end" : `the modifier "${text[state.at]}"`;
      throw new SyntaxError(`\${${name} has ${seen}; want }, :-, :+ or :?`);
    }
    state.at++;
    return lookup(name) ?? "";
  }
  const word = expand(state, lookup, escape, keepQuotes, true);
  state.at++;
  const value = lookup(name);
  const isSet = value !== undefined && (!modifier.startsWith(":") || value !== "");
  switch (modifier.at(-1)) {
    case "-":
      return isSet ? value : word;
    case "+":
      return isSet ? word : "";
    default:
      if (!isSet) throw new SyntaxError(`${name}: ${word || "it is not set"}`);
      return value;
  }
}
