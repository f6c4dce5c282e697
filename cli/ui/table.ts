import Table from "cli-table3";
import stringWidth from "string-width";

/** A table without lines: a bold-free header, columns padded, nothing cut (scripts read it too). */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  indent = "",
): string {
  const nothing = "";
  const table = new Table({
    head: [...header],
    chars: {
      top: nothing,
      "top-mid": nothing,
      "top-left": nothing,
      "top-right": nothing,
      bottom: nothing,
      "bottom-mid": nothing,
      "bottom-left": nothing,
      "bottom-right": nothing,
      left: indent,
      "left-mid": nothing,
      mid: nothing,
      "mid-mid": nothing,
      right: nothing,
      "right-mid": nothing,
      middle: "   ",
    },
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
  });
  for (const row of rows) table.push([...row]);
  return table.toString().split("\n").map((line) => line.trimEnd()).join("\n") + "\n";
}

/**
 * As {@linkcode formatTable}, without the columns of `optional` (by header, the first to go first) that a terminal of
 * `width` has no room for. Everywhere else nothing is left out.
 */
export function fitTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  options: {
    readonly indent?: string;
    readonly width: number | undefined;
    readonly optional: readonly string[];
  },
): string {
  const { indent = "", width = Infinity, optional } = options;
  const gone = new Set<string>();
  const shown = (cells: readonly string[]) => cells.filter((_, at) => !gone.has(header[at]!));
  for (const next of [...optional, undefined]) {
    const text = formatTable(shown(header), rows.map(shown), indent);
    const widest = Math.max(...text.split("\n").map((line) => stringWidth(line)));
    if (widest <= width || next === undefined) return text;
    gone.add(next);
  }
  return ""; // not reached: the last round returns
}

/**
 * A table that comes in pages, for lists of any length: columns are as wide as the widest cell so far.
 * Cells are ASCII, as names of images are.
 */
export class PagedTable {
  readonly #widths: number[] = [];
  readonly #header: readonly string[];
  #begun = false;

  /** With `header` above the first page. */
  constructor(header: readonly string[]) {
    this.#header = header;
  }

  /** The next lines. */
  format(rows: readonly (readonly string[])[]): string {
    const lines = this.#begun ? rows : [this.#header, ...rows];
    this.#begun = true;
    for (const cells of lines) {
      cells.forEach((cell, at) => this.#widths[at] = Math.max(this.#widths[at] ?? 0, cell.length));
    }
    const padded = (cells: readonly string[]) =>
      cells.map((cell, at) => cell.padEnd(this.#widths[at]!)).join("   ").trimEnd();
    return lines.map((cells) => padded(cells) + "\n").join("");
  }
}
