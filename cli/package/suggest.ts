import type { OutputFormat } from "../output.ts";
import { formatTable } from "../ui/table.ts";

const KNOWN: readonly (readonly [string, string])[] = [
  ["paketobuildpacks/builder-noble-java-tiny", "Java, Ubuntu 24.04 without a shell"],
  ["paketobuildpacks/builder-jammy-base", "most languages, Ubuntu 22.04"],
  ["paketobuildpacks/builder-jammy-full", "most languages, Ubuntu 22.04 with many packages"],
  ["paketobuildpacks/builder-jammy-tiny", "Go, Java, .NET, Ubuntu 22.04 without a shell"],
  ["heroku/builder:24", "most languages, Ubuntu 24.04"],
  ["gcr.io/buildpacks/builder:google-22", "most languages, Ubuntu 22.04"],
];

/** What others publish, and how to make one's own. */
export function suggestions(format: OutputFormat): string {
  if (format === "json") {
    const builders = KNOWN.map(([builder, description]) => ({ builder, description }));
    return JSON.stringify(builders, null, 2) + "\n";
  }
  return `Builders that others publish:\n${formatTable(["BUILDER", "FOR"], KNOWN, "  ")}
Without any of them: wherry build --buildpack DIR uses this machine as it is,
and wherry builder create makes one of your own.\n`;
}
