/** `wherry sbom query`: which images hold a package. */
import { type PackageQuery, parseQuery } from "../lifecycle/bom/query.ts";
import { harmless } from "../registry/client/refusal.ts";
import { UsageError } from "./exit.ts";
import { eachOfFleet } from "./fleet_work.ts";
import { count } from "./ui/count.ts";
import type { Io } from "./io.ts";
import type { ListFormat } from "./output.ts";
import { readFleet } from "./read_fleet.ts";
import { type Answer, Asker } from "./sbom_ask.ts";
import { SbomCache } from "./sbom_cache.ts";
import type { SbomFlags } from "./sbom_read.ts";
import { widthOf } from "./sbom_show.ts";
import { Session } from "./session.ts";
import { csvLine } from "./ui/csv.ts";
import { plain } from "./ui/plain.ts";
import { formatStructured } from "./ui/structured.ts";
import { fitTable } from "./ui/table.ts";

/** Flags of `sbom query`. */
export interface QueryFlags extends SbomFlags {
  readonly from?: string;
  readonly output: ListFormat;
}

/**
 * Asks every image, and prints those that hold what is asked for.
 *
 * @returns 0, or 1 when some images could not be asked.
 */
export async function querySboms(
  io: Io,
  text: string,
  names: readonly string[],
  flags: QueryFlags,
): Promise<number> {
  const query = parseQuery(text);
  if (names.length === 0 && flags.from === undefined) {
    throw new UsageError("Cannot query nothing: want NAME... or --from FILE");
  }
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  const items = await readFleet(session, { names, from: flags.from, running: true });
  // What came before in a pipe may have failed: nothing found would sound like good news.
  if (items.length === 0) throw new UsageError("Cannot query nothing: no image is named");
  await session.lendStore();
  const asker = new Asker(
    session,
    flags,
    query,
    new SbomCache(await session.store()),
    stack,
    names,
  );
  const answers = await eachOfFleet(items, (item) => asker.ask(item), session.ctx.signal);
  await tell(io, query, answers, flags.output);
  const failed = answers.filter(({ reason }) => reason !== undefined);
  const none = answers.filter((one) => one.none);
  const found = answers.filter(({ packages }) => packages.length > 0);
  for (const { image, reason } of failed.slice(0, MAX_TOLD)) {
    session.log.warn(`Cannot ask ${harmless(image)}: ${harmless(reason ?? "")}`);
  }
  if (failed.length > MAX_TOLD) session.log.warn(`... and ${failed.length - MAX_TOLD} more`);
  session.log.info(
    `${found.length} of ${count(answers.length, "image")} ${
      found.length === 1 || answers.length === 1 ? "holds" : "hold"
    } it` +
      (none.length > 0
        ? `; ${none.length} ${none.length === 1 ? "has" : "have"} no bill of materials`
        : "") +
      (failed.length > 0 ? `; ${failed.length} could not be asked` : ""),
  );
  return failed.length > 0 ? 1 : 0;
}

/** Failures that are told one by one; `-o json` has all. */
const MAX_TOLD = 20;

async function tell(
  io: Io,
  query: PackageQuery,
  answers: readonly Answer[],
  output: ListFormat,
): Promise<void> {
  const found = answers.filter(({ packages }) => packages.length > 0);
  if (output === "json") {
    const value = {
      query: query.text,
      images: answers.length,
      found: found.map(({ image, digest, where, packages }) => ({
        image,
        digest,
        where,
        packages,
      })),
      without_sbom: answers.filter(({ none }) => none).map(({ image }) => image),
      failed: answers.filter(({ reason }) => reason !== undefined)
        .map(({ image, reason }) => ({ image, reason })),
    };
    io.stdout.write(await formatStructured(value, "json"));
    return;
  }
  const header = ["IMAGE", "PACKAGE", "VERSION", "LICENCE", "BUILDPACK"];
  const withWhere = found.some(({ where }) => where.length > 0);
  const withPlatforms = found.some(({ packages }) => packages.some((one) => one.platforms));
  const rows = plain(found).flatMap(({ image, packages, where }) =>
    packages.map((one) => [
      image,
      one.name,
      one.version || "-",
      one.licenses.join(", ") || "-",
      one.buildpack || "-",
      ...(withPlatforms ? [one.platforms?.join(", ") ?? "-"] : []),
      ...(withWhere ? [where.join(" ")] : []),
    ])
  );
  if (withPlatforms) header.push("PLATFORMS");
  if (withWhere) header.push("RUNS IN");
  if (output === "csv") {
    io.stdout.write([header, ...rows].map(csvLine).join(""));
  } else if (rows.length > 0) {
    const optional = ["BUILDPACK", "LICENCE"];
    io.stdout.write(fitTable(header, rows, { width: widthOf(io), optional }));
  }
}
