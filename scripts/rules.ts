// deno-lint-ignore-file no-console
/**
 * `deno task rules [--list | --write]`: which rules have a test. Fails when a rule without one is not in
 * tests/rules_missing.txt, so that the list can only become shorter; `--write` writes it anew.
 */

/** What is known of the rules. */
export interface RuleReport {
  /** Id to the test files that carry it, in order. */
  readonly tested: ReadonlyMap<string, readonly string[]>;
  /** Id to why what it describes cannot occur. */
  readonly reasons: ReadonlyMap<string, string>;
  /** Ids with neither, in the order of the list. */
  readonly missing: readonly string[];
  /** Rows of docs/security.md that name a file that does not carry the id. */
  readonly stale: readonly string[];
}

/** A row of the table in docs/security.md. */
export interface SecurityRow {
  /** `X-01` */
  readonly id: string;
  /** Files of tests it names. */
  readonly files: readonly string[];
  /** Why it cannot occur, when it says so. */
  readonly reason: string | undefined;
}

const IDS = "tests/rules_ids.txt";
const MISSING = "tests/rules_missing.txt";
const DOCUMENT = "docs/security.md";
/** Its samples carry ids. */
const OWN_TEST = "scripts/rules_test.ts";

/** Ids, one or more a line, `#` for comments. */
export function readIds(text: string): string[] {
  return text.split("\n").filter((line) => !line.startsWith("#")).flatMap((line) =>
    line.split(/\s+/).filter((word) => word !== "")
  );
}

/**
 * The ids that names of tests in a source carry: those in its code, not in its comments. `RE-19..21` names three,
 * `S-API 3` is `S-API-3`, and the dots of `ENV-1.2` end an id.
 */
export function idsIn(source: string, known: ReadonlySet<string>): Set<string> {
  const code = source.replace(/^\s*(\/\/|\/?\*).*$/gm, "").replaceAll(/\bS-API (?=\d)/g, "S-API-");
  const found = new Set<string>();
  for (const [, prefix = "", first = "", suffix = "", last] of code.matchAll(ID)) {
    const width = first.length;
    const end = last === undefined ? Number(first) : Number(last);
    for (let at = Number(first); at <= end && at < Number(first) + 100; at++) {
      found.add(`${prefix}-${String(at).padStart(width, "0")}${suffix}`);
    }
  }
  for (const [id] of code.matchAll(/\b[CS]-[A-Z]+\b/g)) found.add(id);
  return new Set([...found].filter((id) => known.has(id)));
}

const ID = /\b((?:C-|S-)?[A-Z]{1,5})-(\d+)([a-z]?)\b(?:\.\.(?:(?:C-|S-)?[A-Z]{1,5}-)?(\d+))?/g;

/** The rows `| X-01 | files or "cannot occur: why" | ... |` of a document. */
export function readRows(document: string): SecurityRow[] {
  const rows: SecurityRow[] = [];
  for (const line of document.split("\n")) {
    const cells = line.split("|").map((cell) => cell.trim());
    const [, id = "", where = ""] = cells;
    if (!/^[XMNR]-\d\d$/.test(id)) continue;
    rows.push({
      id,
      files: [...where.matchAll(/`([^`]+_test(?:ing)?\.ts)`/g)].map(([, file = ""]) => file),
      reason: /cannot occur: (.+)/.exec(where)?.[1],
    });
  }
  return rows;
}

/** Compares the list with the tests of the checkout at `root` (ends with a slash). */
async function reportRules(root: string): Promise<RuleReport> {
  const ids = readIds(await Deno.readTextFile(root + IDS));
  const known = new Set(ids);
  const tested = new Map<string, string[]>();
  for await (const path of testFiles(root, "")) {
    for (const id of idsIn(await Deno.readTextFile(root + path), known)) {
      tested.set(id, [...(tested.get(id) ?? []), path].sort());
    }
  }
  const rows = readRows(await Deno.readTextFile(root + DOCUMENT));
  const reasons = new Map<string, string>();
  const stale: string[] = [];
  for (const { id, files, reason } of rows) {
    if (reason !== undefined) reasons.set(id, reason);
    for (const file of files) {
      if (tested.get(id)?.includes(file) !== true) stale.push(`${id}: ${file}`);
    }
  }
  const written = new Set(rows.map(({ id }) => id));
  for (const id of ids) {
    if (/^[XMNR]-/.test(id) && !written.has(id)) stale.push(`${id}: no row`);
  }
  const missing = ids.filter((id) => !tested.has(id) && !reasons.has(id));
  return { tested, reasons, missing, stale };
}

async function* testFiles(root: string, under: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(root + under)) {
    if (isDirectory) {
      if (name.startsWith(".") || name === "node_modules" || name === "dist") continue;
      yield* testFiles(root, `${under}${name}/`);
    } else if (/_test(ing)?\.ts$/.test(name) && under + name !== OWN_TEST) yield under + name;
  }
}

async function main(): Promise<number> {
  const root = decodeURIComponent(new URL("..", import.meta.url).pathname);
  const { tested, reasons, missing, stale } = await reportRules(root);
  if (Deno.args.includes("--write")) {
    await Deno.writeTextFile(
      root + MISSING,
      "# Rules without a test, made by: deno task rules --write\n" + missing.join("\n") + "\n",
    );
  }
  const allowed = new Set(readIds(await Deno.readTextFile(root + MISSING)));
  const grown = missing.filter((id) => !allowed.has(id));
  const done = [...allowed].filter((id) => !missing.includes(id));
  if (Deno.args.includes("--list")) {
    for (const [id, files] of tested) console.log(`${id}\ttested\t${files.join(" ")}`);
    for (const [id, reason] of reasons) console.log(`${id}\treason\t${reason}`);
    for (const id of missing) console.log(`${id}\tmissing`);
  }
  console.log(
    `${tested.size} rules tested, ${reasons.size} cannot occur, ${missing.length} without a test`,
  );
  if (done.length > 0) console.log(`Tested now, run --write: ${done.join(" ")}`);
  for (const line of stale) console.error(`${DOCUMENT} is wrong about ${line}`);
  if (grown.length > 0) console.error(`Without a test and not in ${MISSING}: ${grown.join(" ")}`);
  return grown.length + stale.length > 0 ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main());
