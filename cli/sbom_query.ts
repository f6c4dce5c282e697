/** `wherry sbom query`: which images hold a package. */
import { bomLayer, readBomLayer } from "../lifecycle/bom/document.ts";
import { type BomPackage, mergePackages } from "../lifecycle/bom/package.ts";
import { type PackageQuery, parseQuery } from "../lifecycle/bom/query.ts";
import type { FleetItem } from "../lifecycle/fleet/source.ts";
import { readMetadata } from "../lifecycle/platform/image_info.ts";
import { harmless } from "../registry/client/refusal.ts";
import type { Digest } from "../registry/oci/digest.ts";
import { UsageError } from "./exit.ts";
import { eachOfFleet } from "./fleet_work.ts";
import { count } from "./inspect_text.ts";
import type { Io } from "./io.ts";
import { hasStore, imageAt } from "./open_image.ts";
import { fromRegistry, inStore, type Located, openForReading, readPlace } from "./places.ts";
import { machinePlatform } from "./platform.ts";
import { readFleet } from "./read_fleet.ts";
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
  readonly output: string;
}

/** What one image answers. */
interface Answer {
  readonly image: string;
  /** Of the manifest its name led to; empty when nobody knows. */
  readonly digest: string;
  /** Where a cluster runs it. */
  readonly where: readonly string[];
  /** What was found. */
  readonly packages: readonly BomPackage[];
  /** Why it could not be asked. */
  readonly reason?: string;
  /** It has no bill of materials. */
  readonly none?: boolean;
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
  if (!["human", "json", "csv"].includes(flags.output)) {
    throw new UsageError(
      `Cannot print as ${JSON.stringify(flags.output)}: want human, json or csv`,
    );
  }
  const query = parseQuery(text);
  if (names.length === 0 && flags.from === undefined) {
    throw new UsageError("Cannot query nothing: want NAME... or --from FILE");
  }
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  const items = await readFleet(session, { names, from: flags.from });
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
      found.length === 1 ? "holds" : "hold"
    } it` +
      (none.length > 0 ? `; ${none.length} have no bill of materials` : "") +
      (failed.length > 0 ? `; ${failed.length} could not be asked` : ""),
  );
  return failed.length > 0 ? 1 : 0;
}

/** Failures that are told one by one; `-o json` has all. */
const MAX_TOLD = 20;

class Asker {
  readonly #session: Session;
  readonly #flags: QueryFlags;
  readonly #query: PackageQuery;
  readonly #cache: SbomCache;
  readonly #stack: AsyncDisposableStack;
  /** Names of the command line: these may mean the store. */
  readonly #typed: ReadonlySet<string>;
  readonly #platform: string;
  /** Many images of a fleet have the same layer: it is read and asked once. */
  readonly #asked = new Map<Digest, Promise<readonly BomPackage[]>>();

  constructor(
    session: Session,
    flags: QueryFlags,
    query: PackageQuery,
    cache: SbomCache,
    stack: AsyncDisposableStack,
    typed: readonly string[],
  ) {
    this.#session = session;
    this.#flags = flags;
    this.#query = query;
    this.#cache = cache;
    this.#stack = stack;
    this.#typed = new Set(typed);
    const { os, architecture } = machinePlatform();
    this.#platform = flags.platform ?? `${os}/${architecture}`;
  }

  async ask(item: FleetItem): Promise<Answer> {
    const about = { image: item.name, where: item.where };
    try {
      return { ...about, ...await this.#answer(item) };
    } catch (error) {
      this.#session.ctx.signal.throwIfAborted();
      const reason = error instanceof Error ? error.message : String(error);
      return { ...about, digest: item.digest ?? "", packages: [], reason };
    }
  }

  async #answer(item: FleetItem): Promise<Omit<Answer, "image" | "where">> {
    const { signal } = this.#session.ctx;
    const located = await this.#locate(item);
    const { registry, repository, reference } = located;
    // A digest says all; a tag takes one question, for its digest.
    const digest = reference.includes(":")
      ? reference
      : (await registry.stat(repository, reference, { signal }))?.digest;
    if (digest === undefined) throw new Error("it is not there");
    const known = await this.#cache.layerOf(digest, this.#platform);
    if (known === "") return { digest, packages: [], none: true };
    if (known !== undefined) {
      const packages = this.#asked.get(known) ?? this.#fromCache(known);
      const found = await packages;
      if (found !== undefined) return { digest, packages: found };
    }
    const opened = await imageAt(this.#session, { ...located, reference: digest }, this.#flags);
    if (opened === undefined) throw new Error("it is not there");
    const metadata = readMetadata(opened.image.config);
    const layer = bomLayer(opened.image, metadata);
    const blob = layer?.descriptor.digest ?? "";
    if (layer !== undefined && blob !== "") {
      const packages = await this.#once(blob, async () => {
        const cached = await this.#cache.packages(blob);
        if (cached !== undefined) return cached;
        const read = mergePackages(
          await readBomLayer(layer, metadata, signal),
          ({ message }) => this.#session.log.warn(`${harmless(item.name)}: ${message}`),
        );
        await this.#cache.remember(blob, read);
        return read;
      });
      await this.#cache.rememberLayer(digest, this.#platform, blob);
      return { digest, packages };
    }
    await this.#cache.rememberLayer(digest, this.#platform, "");
    return { digest, packages: [], none: true };
  }

  async #fromCache(layer: Digest): Promise<readonly BomPackage[] | undefined> {
    const packages = await this.#cache.packages(layer);
    return packages && await this.#once(layer, () => Promise.resolve(packages));
  }

  /** Only what the query finds stays in memory. */
  #once(
    layer: Digest,
    read: () => Promise<readonly BomPackage[]>,
  ): Promise<readonly BomPackage[]> {
    let answer = this.#asked.get(layer);
    if (answer === undefined) {
      answer = read().then((packages) => packages.filter(this.#query.matches));
      this.#asked.set(layer, answer);
      answer.catch(() => this.#asked.delete(layer));
    }
    return answer;
  }

  async #locate(item: FleetItem): Promise<Located> {
    const place = readPlace(item.name);
    if (place.kind !== "registry") return await openForReading(this.#session, place, this.#stack);
    // What a list or a cluster names is in its registry; what somebody types may be in the store.
    if (this.#typed.has(item.name) && !this.#flags.remote && await hasStore(this.#session)) {
      const local = await inStore(this.#session, place.reference);
      if (await local.registry.stat(local.repository, local.reference) !== undefined) return local;
    }
    const located = await fromRegistry(this.#session, place.reference);
    return item.digest === undefined ? located : { ...located, reference: item.digest };
  }
}

async function tell(
  io: Io,
  query: PackageQuery,
  answers: readonly Answer[],
  output: string,
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
  const rows = plain(found).flatMap(({ image, packages, where }) =>
    packages.map((one) => [
      image,
      one.name,
      one.version || "-",
      one.licenses.join(", ") || "-",
      one.buildpack || "-",
      ...(withWhere ? [where.join(" ")] : []),
    ])
  );
  if (withWhere) header.push("RUNS IN");
  if (output === "csv") {
    io.stdout.write([header, ...rows].map(csvLine).join(""));
  } else if (rows.length > 0) {
    const optional = ["BUILDPACK", "LICENCE"];
    io.stdout.write(fitTable(header, rows, { width: widthOf(io), optional }));
  }
}
