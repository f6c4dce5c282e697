import Table from "cli-table3";

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
