/** What `wherry detect` runs and shows: detection alone, with the trials it made. */
import { detectApp, type DetectOutcome } from "../lifecycle/platform/detect_app.ts";
import { readDistro } from "../lifecycle/platform/distro.ts";
import { moduleName } from "../lifecycle/file/module.ts";
import type { GroupTrial } from "../lifecycle/phase/detect_types.ts";
import type { Trial } from "../lifecycle/plan/resolve.ts";
import type { Io } from "./io.ts";
import type { OutputFormat } from "./output.ts";
import { Session } from "./session.ts";
import { platformOf } from "./platform.ts";
import type { SiteFlags } from "./site_flags.ts";
import { siteRequest } from "./site_request.ts";

/** Flags of `wherry detect`. */
export interface DetectFlags extends SiteFlags {
  readonly output: OutputFormat;
}

/** Runs it; the exit code is that of a build which would end here. */
export async function detectCommand(
  io: Io,
  flags: DetectFlags,
  format: OutputFormat,
): Promise<number> {
  await using session = new Session(io, flags);
  const { os, architecture, variant = "" } = platformOf(flags);
  const target = { id: "", os, arch: architecture, variant };
  await using stack = new AsyncDisposableStack();
  if (flags.builder !== undefined) stack.use(await (await session.store()).lease());
  const site = await siteRequest(session, flags, stack);
  const distro = site.builder ? site.builder.distro : await readDistro("/etc/os-release");
  // The tree says it all; the lines of a build's detection would say it twice.
  const quiet = { ...session.ctx.log, info: () => {}, error: () => {} };
  const outcome = await detectApp(
    site,
    { ...target, ...(distro ? { distro } : {}) },
    { ...session.ctx, log: quiet },
  );
  io.stdout.write(
    format === "json" ? JSON.stringify(asJson(outcome), null, 2) + "\n" : show(outcome),
  );
  return outcome.failure?.exitCode ?? 0;
}

const decoder = new TextDecoder();

function asJson({ group, plan, tree, failure }: DetectOutcome): unknown {
  return {
    passed: failure === undefined,
    exit_code: failure?.exitCode ?? 0,
    group: group?.group ?? null,
    plan: plan ?? null,
    tried: tree.map((trial) => ({
      verdict: trial.verdict,
      reason: trial.reason,
      members: trial.members.map(({ detection, ...member }) => ({
        ...member,
        verdict: detection.verdict,
        code: detection.code,
        error: detection.error,
        output: decoder.decode(detection.output),
      })),
      plans: trial.trials.map(({ choice, steps, held }) => ({ choice, steps, held })),
    })),
  };
}

function show({ group, tree, failure }: DetectOutcome): string {
  const lines: string[] = [];
  tree.forEach((trial, at) => {
    lines.push(`Group ${at + 1}: ${trial.verdict}${trial.reason ? ` (${trial.reason})` : ""}`);
    for (const member of trial.members) {
      const { verdict, code, error, output } = member.detection;
      const from = member.from.length > 0 ? `  from ${member.from.join(" > ")}` : "";
      const why = error || (verdict === "error" ? `exit ${code}` : "");
      lines.push(
        `  ${verdict.padEnd(5)} ${moduleName(member)}${
          member.optional ? " (optional)" : ""
        }${from}${why ? `: ${why}` : ""}`,
      );
      if (verdict !== "pass") {
        for (const line of decoder.decode(output).trimEnd().split("\n").filter((one) => one)) {
          lines.push(`          | ${line}`);
        }
      }
    }
    lines.push(...showTrials(trial), "");
  });
  if (group !== undefined) {
    lines.push("Takes part:", ...group.group.map((member) => `  ${moduleName(member)}`));
  } else lines.push(failure?.message ?? "No group passed");
  return lines.join("\n") + "\n";
}

function showTrials({ trials }: GroupTrial): readonly string[] {
  return trials.map((trial: Trial, at) => {
    const steps = trial.steps.map(({ kind, id, why, name }) => `${kind} ${id} ${why} ${name}`);
    return `  plan ${at + 1}: ${trial.held ? "holds" : "fails"}${
      steps.length > 0 ? `: ${steps.join("; ")}` : ""
    }`;
  });
}
