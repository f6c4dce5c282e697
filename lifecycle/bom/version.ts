/** Which of two versions is older, by the rules of where they come from. */
import { compare as comparePep440, valid as validPep440 } from "@renovatebot/pep440";
import { compareBuild, valid as validSemver } from "semver";

/** Negative when `a` is older than `b`, 0 when they are equal, positive when it is newer. */
export type CompareVersions = (a: string, b: string) => number;

/**
 * The order of versions of an ecosystem.
 *
 * @param type Of a package URL: `npm`, `maven`, `deb`, ... For one that is not known, numbers are compared as numbers and
 * words as words.
 */
export function versionOrder(type: string): CompareVersions {
  switch (type) {
    case "npm":
    case "cargo":
    case "golang":
    case "swift":
    case "hex":
    case "pub":
    case "github":
    case "nuget":
      return compareSemver;
    case "pypi":
      return comparePython;
    case "maven":
      return compareMaven;
    case "deb":
      return compareDebian;
    case "rpm":
      return compareRpm;
    case "gem":
      return compareGem;
    default:
      return compareWords;
  }
}

/** Semantic versions; a missing minor or patch is 0, a fourth number counts (nuget), others are compared by words. */
function compareSemver(a: string, b: string): number {
  const [x, y] = [asSemver(a), asSemver(b)];
  return x !== undefined && y !== undefined ? withoutBuild(x, y) : compareWords(a, b);
}

function withoutBuild(a: string, b: string): number {
  const bare = (text: string) => text.replace(/\+.*$/, "");
  return compareBuild(bare(a), bare(b));
}

function asSemver(text: string): string | undefined {
  const match = /^[v=]*(\d+)(?:\.(\d+))?(?:\.(\d+))?(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/.exec(
    text.trim(),
  );
  if (match === null) return undefined;
  const [, major, minor = "0", patch = "0", pre = "", build = ""] = match;
  const whole = `${major}.${minor}.${patch}${pre}${build}`;
  return validSemver(whole) ?? undefined;
}

function comparePython(a: string, b: string): number {
  if (validPep440(a) === null || validPep440(b) === null) return compareWords(a, b);
  return comparePep440(a, b);
}

/** Words that come before a release in Maven, oldest first; the empty one is the release. */
const MAVEN_WORDS = ["alpha", "beta", "milestone", "rc", "snapshot", "", "sp"];
const MAVEN_SAME: Readonly<Record<string, string>> = {
  a: "alpha",
  b: "beta",
  m: "milestone",
  cr: "rc",
  ga: "",
  final: "",
  release: "",
};

type MavenItem = number | string | MavenItem[];

/**
 * Maven's own order: dots and dashes and the change from digits to letters separate, trailing zeros and `ga` mean
 * nothing, `alpha` < `beta` < `milestone` < `rc` < `snapshot` < the release < `sp` < other words < numbers.
 *
 * @see Maven, "Version Order Specification"
 */
function compareMaven(a: string, b: string): number {
  return compareLists(parseMaven(a), parseMaven(b));
}

function parseMaven(text: string): MavenItem[] {
  const root: MavenItem[] = [];
  const open: MavenItem[][] = [root];
  let list = root;
  const nest = () => {
    const inner: MavenItem[] = [];
    list.push(inner);
    list = inner;
    open.push(inner);
  };
  const lower = text.toLowerCase();
  const tokens = lower.match(/\d+|[^\d.\-_]+|[.\-_]/g) ?? [];
  let before = "";
  for (const [at, token] of tokens.entries()) {
    if (token === ".") {
      if (before === "" || /^[.\-_]$/.test(before)) list.push(0);
    } else if (token === "-" || token === "_") {
      if (before === "" || /^[.\-_]$/.test(before)) list.push(0);
      nest();
    } else {
      const digits = /^\d/.test(token);
      // 1a is 1-a, and a1 is a-1.
      if (before !== "" && !/^[.\-_]$/.test(before)) nest();
      const next = tokens[at + 1] ?? "";
      const short = /^[abm]$/.test(token) && /^\d/.test(next);
      list.push(
        digits ? Number(token) : short ? MAVEN_SAME[token]! : aliased(token),
      );
    }
    before = token;
  }
  for (const one of open.reverse()) trimMaven(one);
  return root;
}

function aliased(word: string): string {
  // A single letter is short for a word only where a number follows.
  return word.length > 1 && Object.hasOwn(MAVEN_SAME, word) ? MAVEN_SAME[word]! : word;
}

/** Takes off what means nothing at the end of a list, up to a list inside of it. */
function trimMaven(list: MavenItem[]): void {
  for (let at = list.length - 1; at >= 0; at--) {
    const item = list[at]!;
    if (item === 0 || item === "" || (Array.isArray(item) && item.length === 0)) list.splice(at, 1);
    else if (!Array.isArray(item)) break;
  }
}

function compareLists(a: readonly MavenItem[], b: readonly MavenItem[]): number {
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const order = compareItems(a[at], b[at]);
    if (order !== 0) return order;
  }
  return 0;
}

function compareItems(a: MavenItem | undefined, b: MavenItem | undefined): number {
  if (a === undefined) return b === undefined ? 0 : -compareItems(b, undefined);
  if (b === undefined) {
    if (typeof a === "number") return Math.sign(a);
    if (typeof a === "string") return Math.sign(rankMaven(a) - rankMaven(""));
    for (const one of a) {
      const order = compareItems(one, undefined);
      if (order !== 0) return order;
    }
    return 0;
  }
  const kind = (item: MavenItem) => typeof item === "number" ? 2 : typeof item === "string" ? 0 : 1;
  if (kind(a) !== kind(b)) return kind(a) - kind(b);
  if (typeof a === "number") return a - (b as number);
  if (typeof a === "string") {
    const [x, y] = [rankMaven(a), rankMaven(b as string)];
    return x !== y ? x - y : x === MAVEN_WORDS.length ? compareText(a, b as string) : 0;
  }
  return compareLists(a, b as MavenItem[]);
}

function rankMaven(word: string): number {
  const at = MAVEN_WORDS.indexOf(word);
  return at < 0 ? MAVEN_WORDS.length : at;
}

/**
 * Debian's order: epoch, upstream version, revision; `~` comes before the end, letters before other signs.
 *
 * @see Debian Policy, 5.6.12
 */
function compareDebian(a: string, b: string): number {
  const parts = (text: string) => {
    const [, epoch = "0", rest = ""] = /^(?:(\d+):)?(.*)$/s.exec(text.trim()) ?? [];
    const dash = rest.lastIndexOf("-");
    return dash < 0
      ? [epoch, rest, ""] as const
      : [epoch, rest.slice(0, dash), rest.slice(dash + 1)] as const;
  };
  const [x, y] = [parts(a), parts(b)];
  return compareDigits(x[0], y[0]) || compareDebianPart(x[1], y[1]) ||
    compareDebianPart(x[2], y[2]);
}

function compareDebianPart(a: string, b: string): number {
  const rank = (sign: string | undefined) =>
    sign === "~"
      ? -1
      : sign === undefined || /\d/.test(sign)
      ? 0
      : /[a-z]/i.test(sign)
      ? sign.charCodeAt(0)
      : sign.charCodeAt(0) + 256;
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    while ((i < a.length && !/\d/.test(a[i]!)) || (j < b.length && !/\d/.test(b[j]!))) {
      const order = rank(a[i]) - rank(b[j]);
      if (order !== 0) return order;
      i++;
      j++;
    }
    const [x, y] = [/^\d*/.exec(a.slice(i))![0], /^\d*/.exec(b.slice(j))![0]];
    const order = compareDigits(x, y);
    if (order !== 0) return order;
    i += x.length;
    j += y.length;
  }
  return 0;
}

/** RPM's order: runs of digits and of letters; digits are newer than letters, `~` older and `^` newer than the end. */
function compareRpm(a: string, b: string): number {
  const parts = (text: string) => {
    const [, epoch = "0", version = "", release = ""] =
      /^(?:(\d+):)?([^-]*)(?:-(.*))?$/s.exec(text.trim()) ?? [];
    return [epoch, version, release] as const;
  };
  const [x, y] = [parts(a), parts(b)];
  const release = x[2] === "" || y[2] === "" ? 0 : compareRpmPart(x[2], y[2]);
  return compareDigits(x[0], y[0]) || compareRpmPart(x[1], y[1]) || release;
}

function compareRpmPart(a: string, b: string): number {
  const tokens = (text: string) => text.match(/\d+|[A-Za-z]+|[~^]/g) ?? [];
  const [x, y] = [tokens(a), tokens(b)];
  for (let at = 0; at < Math.max(x.length, y.length); at++) {
    const [one, other] = [x[at], y[at]];
    if (one === other) continue;
    if (one === "~" || other === "~") return one === "~" ? -1 : 1;
    if (one === undefined || other === undefined) {
      const longer = one === undefined ? -1 : 1;
      return longer;
    }
    if (one === "^" || other === "^") return one === "^" ? -1 : 1;
    const [digits, others] = [/^\d/.test(one), /^\d/.test(other)];
    if (digits !== others) return digits ? 1 : -1;
    const order = digits ? compareDigits(one, other) : compareText(one, other);
    if (order !== 0) return order;
  }
  return 0;
}

/** RubyGems' order: a word among the numbers makes a version one before its release. */
function compareGem(a: string, b: string): number {
  const tokens = (text: string) => {
    const all: string[] = text.replaceAll("-", ".pre.").match(/\d+|[A-Za-z]+/g) ?? [];
    while (all.length > 0 && /^0+$/.test(all.at(-1)!)) all.pop();
    return all;
  };
  const [x, y] = [tokens(a), tokens(b)];
  for (let at = 0; at < Math.max(x.length, y.length); at++) {
    const [one = "0", other = "0"] = [x[at], y[at]];
    const [digits, others] = [/^\d/.test(one), /^\d/.test(other)];
    if (digits !== others) return digits ? 1 : -1;
    const order = digits ? compareDigits(one, other) : compareText(one, other);
    if (order !== 0) return order;
  }
  return 0;
}

function compareWords(a: string, b: string): number {
  const tokens = (text: string) => text.replace(/^v(?=\d)/, "").match(/\d+|[A-Za-z]+/g) ?? [];
  const [x, y] = [tokens(a), tokens(b)];
  for (let at = 0; at < Math.max(x.length, y.length); at++) {
    const [one, other] = [x[at], y[at]];
    if (one === undefined || other === undefined) {
      const rest = (one ?? other)!;
      // 1.0 and 1.0.0 are one version; 1.0-rc comes before 1.0.
      const order = /^0+$/.test(rest) ? 0 : /^\d/.test(rest) ? 1 : -1;
      if (order !== 0) return one === undefined ? -order : order;
      continue;
    }
    const [digits, others] = [/^\d/.test(one), /^\d/.test(other)];
    if (digits !== others) return digits ? 1 : -1;
    const order = digits ? compareDigits(one, other) : compareText(one, other);
    if (order !== 0) return order;
  }
  return 0;
}

/** Numbers of any length. */
function compareDigits(a: string, b: string): number {
  const bare = (text: string) => text.replace(/^0+(?=\d)/, "") || "0";
  const [x, y] = [bare(a), bare(b)];
  return x.length - y.length || compareText(x, y);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
