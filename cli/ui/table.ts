import Table from "cli-table3";
import stringWidth from "string-width";
import { shown } from "./shown.ts";

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
  for (const row of rows) table.push(row.map((cell) => shown(cell)));
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
  // Measured once: a list may have a million lines.
  const lines: readonly (readonly string[])[] = [
    header,
    ...rows.map((row) => row.map((cell) => shown(cell))),
  ];
  const measured = lines.map((cells) => cells.map((cell) => stringWidth(cell)));
  const widths = header.map((_, at) => measured.reduce((most, one) => Math.max(most, one[at]!), 0));
  const kept = new Set(header.keys());
  const total = () =>
    [...kept].reduce(
      (sum, at) => sum + widths[at]!,
      indent.length + GAP.length * (kept.size - 1),
    );
  for (const name of optional) {
    if (total() <= width) break;
    kept.delete(header.indexOf(name));
  }
  const columns = [...kept];
  return lines.map((cells, row) =>
    (indent +
      columns.map((at) => cells[at]! + " ".repeat(widths[at]! - measured[row]![at]!)).join(GAP))
      .trimEnd() + "\n"
  ).join("");
}

/** Between two columns. */
const GAP = "   ";

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
