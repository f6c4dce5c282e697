/** Differences that are meant, each with its reason. There is no other list. */
import type { Difference } from "./compare.ts";

/** A kind of difference. */
export interface Allowed {
  /** For the report. */
  readonly name: string;
  /** Why wherry does otherwise. */
  readonly reason: string;
  /** Whether `difference` is of this kind. */
  readonly matches: (difference: Difference) => boolean;
}

/** All of them. */
export const ALLOWED: readonly Allowed[] = [
  {
    name: "launcher version",
    reason: "each names itself",
    matches: ({ at }) => at.endsWith(".io.buildpacks.build.metadata.launcher.version"),
  },
  {
    name: "the run image in the report",
    reason: "RFC 0129 has it there, Go not yet; keys nobody reads do no harm (RPT-3)",
    matches: ({ at, go }) => /^report\.run-image(\.|$)/.test(at) && go === undefined,
  },
  {
    name: "labels of the lifecycle",
    reason:
      "Go lets a buildpack overwrite io.buildpacks.*, after which a rebase can go wrong (LB-5)",
    matches: ({ at, wherry }) =>
      /\.Labels\.io\.buildpacks\.test-.*$/.test(at) && wherry === undefined,
  },
  {
    name: "exec-env in the metadata label",
    reason: "the text has it there, Go in a label of its own; wherry writes both (D4)",
    matches: ({ at, go }) => at.endsWith(".metadata.exec-env") && go === undefined,
  },
  {
    name: "modes of restored SBOMs",
    reason: "Go restores them 0666 or 0644, as its threads race for the umask; wherry 0644 (RE-20)",
    matches: ({ at, go, wherry }) => /\.sbom\.[a-z]+\.json$/.test(at) && sameButMode(go, wherry),
  },
  {
    name: "the run image of a layout",
    reason:
      "Go calls it by its path and counts a digest of a manifest it made anew; wherry keeps name and digest (OL-3)",
    matches: ({ at, go }) =>
      /run-?image\.(image|reference)$/i.test(at) && /^\/.*\/layouts\//.test(String(go)),
  },
  {
    name: "the report of a layout",
    reason: "Go gives the directory as tag and no digest; wherry the name and the digest (RPT-1)",
    matches: ({ at, go }) =>
      (at.endsWith("report.image.digest") && go === undefined) ||
      (/report\.image\.tags\.\d+$/.test(at) && /^\/.*\/layouts\//.test(String(go))),
  },
  {
    name: "notes of a restore",
    reason:
      "the exporter spares reading what nobody touched; it is in no image and in no cache (CA-3)",
    matches: ({ at, go }) => at.endsWith("./~restored.json") && go === undefined,
  },
  {
    name: "history after a rebase",
    reason: "Go forgets who made the layers; wherry keeps what both images say (RB-8)",
    matches: ({ at, go }) =>
      /^rebased\.config\.history\.\d+\.created_by$/.test(at) && go === undefined,
  },
  {
    name: "exit codes of what goes wrong before the work",
    reason: "Go ends with 1 where the spec has a range for the phase (D25)",
    matches: ({ at, go, wherry }) =>
      (at === "codes.restorer" && go === 1 && wherry === 42) ||
      (at === "codes.exporter" && go === 1 && wherry === 62),
  },
  {
    name: "an exporter without analyzed.toml",
    reason: "Go ends in a panic, which is 2 (ANT-2)",
    matches: ({ at, go, wherry }) => at === "codes.exporter" && go === 2 && wherry === 3,
  },
  {
    name: "dates in the label",
    reason:
      "JSON has none: wherry notes which texts were dates, so that they come back as such (24.11)",
    matches: ({ at, go }) => at.endsWith(".dates") && go === undefined,
  },
  {
    name: "dates that come back",
    reason: "Go makes texts of them",
    matches: ({ go, wherry }) =>
      wherry instanceof Date && typeof go === "string" && Date.parse(go) === wherry.getTime(),
  },
  {
    name: "large integers",
    reason: "Go passes metadata through floats and loses digits beyond 2^53 (LAY-2b)",
    matches: ({ go, wherry }) =>
      typeof go === "number" && typeof wherry === "bigint" && Number(wherry) === go,
  },
];

function sameButMode(a: unknown, b: unknown): boolean {
  const plain = (text: unknown) => String(text).replace(/^6(44|66) /, "");
  return plain(a) === plain(b);
}
