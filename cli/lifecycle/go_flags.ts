/**
 * Command lines as Go's package `flag` reads them, which is how platforms write those of a lifecycle (CLI-3):
 * `-name value`, `-name=value`, one dash or two, the first word that is no flag ends them.
 */

/** What a flag holds. */
export type GoFlagKind = "string" | "bool" | "int" | "duration" | "list";

/** The value of each kind: `list` collects what is given several times, `duration` is in milliseconds. */
export type GoFlagValue = string | boolean | number | readonly string[];

/** A flag a command has. */
export interface GoFlag {
  /** Its name, without dashes. */
  readonly name: string;
  /** What it holds. */
  readonly kind: GoFlagKind;
  /** For `-help`. */
  readonly usage: string;
}

/** What a command line says. */
export interface GoFlags {
  /** Flags that were given, by name; a later one wins. */
  readonly values: ReadonlyMap<string, GoFlagValue>;
  /** Words behind the flags. */
  readonly rest: readonly string[];
}

/** A command line that cannot be read: exit 2, as Go's `flag` has it. */
export class GoFlagError extends Error {
  override readonly name = "GoFlagError";
  /** Of the process. */
  readonly exitCode = 2;
}

/** `-h` or `-help` was given and is no flag of the command: the usage is to be shown. */
export class GoHelpWanted extends Error {
  override readonly name = "GoHelpWanted";
}

/**
 * Reads `args`.
 *
 * @throws {GoFlagError} In Go's words: a flag that is not `known`, a value that is missing or of another kind.
 * @throws {GoHelpWanted} For `-h` and `-help`.
 */
export function parseGoFlags(known: readonly GoFlag[], args: readonly string[]): GoFlags {
  const values = new Map<string, GoFlagValue>();
  let at = 0;
  while (at < args.length) {
    const word = args[at]!;
    if (word.length < 2 || !word.startsWith("-")) break;
    at++;
    if (word === "--") break;
    const body = word.slice(word.startsWith("--") ? 2 : 1);
    if (body === "" || body.startsWith("-") || body.startsWith("=")) {
      throw new GoFlagError(`bad flag syntax: ${word}`);
    }
    const equals = body.indexOf("=");
    const name = equals < 0 ? body : body.slice(0, equals);
    let value = equals < 0 ? undefined : body.slice(equals + 1);
    const flag = known.find((one) => one.name === name);
    if (flag === undefined) {
      if (name === "h" || name === "help") throw new GoHelpWanted();
      throw new GoFlagError(`flag provided but not defined: -${name}`);
    }
    if (value === undefined && flag.kind !== "bool") {
      if (at >= args.length) throw new GoFlagError(`flag needs an argument: -${name}`);
      value = args[at++]!;
    }
    values.set(name, readValue(flag, value, values.get(name)));
  }
  return { values, rest: args.slice(at) };
}

function readValue(
  { name, kind }: GoFlag,
  text: string | undefined,
  before: GoFlagValue | undefined,
): GoFlagValue {
  const say = text ?? "true";
  switch (kind) {
    case "string":
      return say;
    case "list":
      return [...(before as readonly string[] | undefined ?? []), say];
    case "bool": {
      const value = parseGoBool(say);
      if (value !== undefined) return value;
      throw new GoFlagError(
        `invalid boolean value ${JSON.stringify(say)} for -${name}: parse error`,
      );
    }
    case "int":
    case "duration": {
      const value = kind === "int" ? parseGoInt(say) : parseGoDuration(say);
      if (value !== undefined) return value;
      throw new GoFlagError(
        `invalid value ${JSON.stringify(say)} for flag -${name}: parse error`,
      );
    }
  }
}

/** Go's `strconv.ParseBool`; `undefined` for all else. */
export function parseGoBool(text: string): boolean | undefined {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
  return undefined;
}

/** A whole number of at most 53 bits as Go's flags take it: also `0x1f`, `0o17`, `017` and `1_000`. */
export function parseGoInt(text: string): number | undefined {
  const match =
    /^([+-]?)(0[xX]_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*|0[bB]_?[01]+(?:_[01]+)*|0[oO]?_?[0-7]+(?:_[0-7]+)*|0|[1-9][0-9]*(?:_[0-9]+)*)$/
      .exec(text);
  if (match === null) return undefined;
  const digits = match[2]!.replaceAll("_", "");
  const value = Number(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
  return Number.isSafeInteger(value) ? (match[1] === "-" ? -value : value) : undefined;
}

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "\u00b5s": 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of a duration as Go writes it: `336h`, `1h30m`, `1.5s`. */
export function parseGoDuration(text: string): number | undefined {
  const match = /^([+-]?)((?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|ms|s|m|h))+$/.exec(text);
  if (match === null) return text === "0" ? 0 : undefined;
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|ms|s|m|h)/g)) {
    sum += Number(number) * UNITS[unit!]!;
  }
  return match[1] === "-" ? -sum : sum;
}

/** The text of `-help`, in Go's shape. */
export function goUsage(name: string, known: readonly GoFlag[]): string {
  const lines = [...known].sort((a, b) => a.name < b.name ? -1 : 1).map(({ name, kind, usage }) => {
    const value = kind === "bool" ? "" : kind === "list" ? " value" : ` ${kind}`;
    return `  -${name}${value}\n    \t${usage}\n`;
  });
  return `Usage of ${name}:\n${lines.join("")}`;
}
