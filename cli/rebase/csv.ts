/** Results as a table for spreadsheets. */
import type { FleetResult } from "../../lifecycle/fleet/result.ts";
import { csvLine } from "../ui/csv.ts";

const COLUMNS = [
  "reference",
  "decision",
  "reason",
  "check",
  "app",
  "base",
  "old_digest",
  "old_base",
  "new_digest",
  "new_base",
  "requests",
  "bytes",
  "ms",
] as const;

/** Results as CSV with a head (RFC 4180, lines end with LF). */
export function formatCsv(results: readonly FleetResult[]): string {
  const rows = results.map((one) => [
    one.reference,
    one.decision,
    one.reason ?? "",
    one.check?.name ?? "",
    one.check?.app ?? "",
    one.check?.base ?? "",
    one.old?.digest ?? "",
    one.old?.base ?? "",
    one.new?.digest ?? "",
    one.new?.base ?? "",
    String(one.requests),
    String(one.bytes),
    String(one.ms),
  ]);
  return [COLUMNS, ...rows].map(csvLine).join("");
}
