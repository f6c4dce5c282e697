/** The lines detection prints, kept in memory until it is known which are to be shown (DT-25, DT-26). */
import type { Log } from "../../registry/context.ts";
import { moduleName } from "../file/module.ts";
import type { Trial } from "../plan/resolve.ts";
import type { GroupTrial } from "./detect_types.ts";

/** One line and from which level on it is shown. */
export interface Line {
  /** `debug` lines are shown with `--verbose` only, unless detection failed. */
  readonly level: "debug" | "info";
  /** The line, without a newline. */
  readonly text: string;
}

type Member = GroupTrial["members"][number];

/** What each `bin/detect` of a group printed, and how it ended. */
export function memberLines(members: readonly Member[]): Line[] {
  const lines: Line[] = [];
  for (const { id, version, detection } of members) {
    const level = detection.verdict === "error" ? "info" : "debug";
    const name = moduleName({ id, version });
    if (detection.output.length > 0) {
      lines.push({ level, text: `======== Output: ${name} ========` });
      const text = new TextDecoder().decode(detection.output).replace(/\n$/, "");
      for (const line of text.split("\n")) lines.push({ level, text: line });
    }
    if (detection.error !== "") {
      lines.push({ level, text: `======== Error: ${name} ========` });
      lines.push({ level, text: detection.error });
    }
  }
  lines.push({ level: "debug", text: "======== Results ========" });
  for (const member of members) lines.push(resultLine(member));
  return lines;
}

function resultLine({ id, version, optional, detection }: Member): Line {
  const name = moduleName({ id, version });
  switch (detection.verdict) {
    case "pass":
      return { level: "debug", text: `pass: ${name}` };
    case "skip":
      return { level: "debug", text: `skip: ${name}` };
    case "fail":
      return { level: "debug", text: `${optional ? "skip" : "fail"}: ${name}` };
    case "error": {
      const code = detection.code === -1 ? "" : ` (${detection.code})`;
      return { level: "info", text: `err:  ${name}${code}` };
    }
  }
}

/** How plans were resolved. */
export function trialLines(trials: readonly Trial[]): Line[] {
  return trials.flatMap((trial, at): Line[] => [
    { level: "debug", text: `Resolving plan... (try #${at + 1})` },
    ...trial.steps.map((step): Line => ({
      level: "debug",
      text: `${step.kind}: ${moduleName(step)} ${step.why} ${step.name}`,
    })),
    ...(trial.held || trial.steps.at(-1)?.kind === "fail"
      ? []
      : [{ level: "debug" as const, text: "fail: no viable buildpacks in group" }]),
  ]);
}

/** Who takes part: ids padded to the longest, then versions. */
export function participantLines(
  members: readonly { readonly id: string; readonly version: string }[],
  total: number,
): Line[] {
  const width = Math.max(0, ...members.map(({ id }) => id.length));
  return [
    ...(members.length === total ? [] : [{
      level: "info" as const,
      text: `${members.length} of ${total} buildpacks participating`,
    }]),
    ...members.map(({ id, version }): Line => ({
      level: "info",
      text: `${id.padEnd(width)} ${version}`,
    })),
  ];
}

/** Prints `lines`: each at its own level, or after a failure all of them so that they are seen. */
export function printLines(lines: readonly Line[], failed: boolean, log: Log): void {
  for (const { level, text } of lines) {
    if (failed || level === "info") log.info(text);
    else log.debug(text);
  }
}
