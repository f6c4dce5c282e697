/** `wherry store fsck`. */
import { checkStore } from "../registry/store/fsck.ts";
import type { Finding } from "../registry/store/fsck_check.ts";
import type { CommonFlags } from "./common.ts";
import type { Io } from "./io.ts";
import type { OutputFormat } from "./output.ts";
import { Session } from "./session.ts";
import { formatSize } from "./ui/size.ts";
import { count } from "./ui/count.ts";

/**
 * Checks the store: one line for each finding.
 *
 * @returns The exit code: 0 when all is well, 1 when something is wrong and stays so, or a repair lost something.
 */
export async function check(
  io: Io,
  flags: CommonFlags & { readonly repair?: boolean },
  format: OutputFormat,
): Promise<number> {
  await using session = new Session(io, flags);
  const findings: Finding[] = [];
  const report = await checkStore(session.storeDir(), {
    repair: flags.repair,
    signal: session.ctx.signal,
    onFinding: (finding) => {
      if (format === "json") findings.push(finding);
      else io.stdout.write(formatFinding(finding));
    },
  });
  if (format === "json") io.stdout.write(JSON.stringify({ ...report, findings }, null, 2) + "\n");
  const { contents, bytes, faults, notes } = report;
  session.log.info(
    `Checked ${contents} blobs and documents (${formatSize(bytes)}): ${count(faults, "fault")}, ${
      count(notes, "note")
    }`,
  );
  if (faults > 0 && !flags.repair) session.log.info("wherry store fsck --repair quarantines them");
  return faults === 0 ? 0 : 1;
}

function formatFinding({ kind, subject, problem, repair }: Finding): string {
  const text = `${kind}: ${subject}: ${problem}${repair === undefined ? "" : ` (${repair})`}`;
  // deno-lint-ignore no-control-regex -- names in a damaged database may hold anything
  return text.replaceAll(/[\x00-\x1f\x7f]+/g, " ") + "\n";
}
