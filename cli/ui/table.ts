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
