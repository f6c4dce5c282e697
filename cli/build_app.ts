/** What `wherry build` runs: the flags as a whole are judged, one image or several are built, the result is told. */
import { refuseNames } from "../lifecycle/phase/export_names.ts";
import type { BuildFlags } from "./build_flags.ts";
import { buildOne, describeBuild } from "./build_one.ts";
import { readDestination } from "./destination.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import { Session } from "./session.ts";
import { platformsOf } from "./platform.ts";

/** Runs `wherry build`. `notes` are warnings about flags. */
export async function buildApp(
  io: Io,
  name: string,
  flags: BuildFlags,
  notes: readonly string[],
): Promise<void> {
  await using session = new Session(io, flags);
  const { log } = session;
  for (const note of notes) log.warn(note);
  const started = performance.now();
  const destination = await readDestination(session, name, flags);
  const { kind } = destination.place;
  if (flags.sbomReferrer && kind.endsWith("-archive")) {
    throw new UsageError(
      `Cannot use --sbom-referrer with ${name}: an archive holds one image; want a name or oci:DIR`,
    );
  }
  if (flags.publish || (kind !== "registry" && kind !== "store")) await session.lendStore();
  refuseNames([name, ...flags.tag ?? []], [flags.builder ?? ""], "builder");
  refuseFiles(session, flags);
  if (flags.shell) refuseNoTerminal(io);
  const platforms = platformsOf(flags.platform) ?? [];
  if (platforms.length > 1) {
    const { buildPlatforms } = await import("./build_platforms.ts");
    return await buildPlatforms(session, destination, flags, platforms, started);
  }
  const { target, outcome } = await buildOne(session, destination, flags);
  log.info(`Successfully built image ${target.name}`);
  if (flags.output === "json") {
    const about = describeBuild(target, outcome, performance.now() - started);
    io.stdout.write(JSON.stringify(about, null, 2) + "\n");
  } else io.stdout.write(`${target.repositoryName}@${outcome.report.image.digest}\n`);
}

function refuseNoTerminal({ stdin, stderr }: Io): void {
  if (stdin?.isTerminal && stderr.isTerminal) return;
  throw new UsageError(
    `Cannot use --shell: ${
      stdin?.isTerminal ? "stderr" : "stdin"
    } is no terminal (--keep-sandbox leaves the directories of a failing build)`,
  );
}

/** Directories that are written at the very end must be possible at the beginning. */
function refuseFiles(session: Session, flags: BuildFlags): void {
  const dirs = {
    "--report-output-dir": flags.reportOutputDir,
    "--sbom-output-dir": flags.sbomOutputDir,
  };
  for (const [flag, dir] of Object.entries(dirs)) {
    if (dir === undefined) continue;
    let stat: Deno.FileInfo | undefined;
    try {
      stat = Deno.statSync(session.path(dir));
    } catch {
      continue; // it will be made
    }
    if (!stat.isDirectory) {
      throw new UsageError(`Cannot use ${flag} ${JSON.stringify(dir)}: it is not a directory`);
    }
  }
}
