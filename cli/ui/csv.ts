import { shown } from "./shown.ts";

/**
 * One line of CSV (RFC 4180). A cell that a spreadsheet would take for a formula begins with a blank quote, so that
 * nothing an image says of itself is run.
 */
export function csvLine(cells: readonly string[]): string {
  const safe = (cell: string) =>
    /^[=+@\t\r]|^-[^\d]/.test(cell) && cell !== "-" ? `'${cell}` : cell;
  const quoted = (cell: string) => /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  return cells.map((cell) => quoted(safe(shown(cell)))).join(",") + "\n";
}
