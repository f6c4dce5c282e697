/** A report as Prometheus reads it from a text file. */
import type { MergedReport } from "../../lifecycle/fleet/report.ts";

/** Gauges: the text is of one run, and the next one writes another. */
export function formatMetrics(
  { counts, total, gaps, requests, bytes, throttled, waited, results }: MergedReport,
): string {
  const seconds = results.reduce((sum, { ms }) => sum + ms, 0) / 1000;
  const decisions = Object.entries(counts).map(([decision, count]) =>
    [`{decision="${decision}"}`, count] as const
  );
  const gauges: readonly (readonly [string, string, readonly (readonly [string, number])[]])[] = [
    ["images", "Images by what became of them.", decisions],
    ["fleet_images", "Images of the fleet.", [["", total]]],
    ["gaps", "Shards that never ran or did not end, images done twice.", [["", gaps.length]]],
    ["requests", "Requests that were sent for images.", [["", requests]]],
    ["bytes", "Bytes of bodies, both ways.", [["", bytes]]],
    ["throttled", "Answers of 429 among them.", [["", throttled]]],
    ["waited_seconds", "Time that images waited since registries wanted that.", [[
      "",
      waited / 1000,
    ]]],
    ["image_seconds", "Time of all images together, many of them at once.", [["", seconds]]],
  ];
  return gauges.flatMap(([name, help, values]) => [
    `# HELP wherry_rebase_${name} ${help}\n`,
    `# TYPE wherry_rebase_${name} gauge\n`,
    ...values.map(([labels, value]) => `wherry_rebase_${name}${labels} ${value}\n`),
  ]).join("");
}
