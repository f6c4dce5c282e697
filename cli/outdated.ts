/** `wherry outdated`: which images of a fleet stand on which base, and what a rebase would change. Writes nothing. */
import { type FleetResult, whyOf } from "../lifecycle/fleet/result.ts";
import type { PreparedRebase } from "../lifecycle/platform/rebase_read.ts";
import type { Image } from "../registry/image.ts";
import { describeImage, readMetadata } from "../lifecycle/platform/image_info.ts";
import { UsageError } from "./exit.ts";
import { eachOfFleet, FLEET_WORKERS } from "./fleet_work.ts";
import { count } from "./ui/count.ts";
import type { Io } from "./io.ts";
import type { ListFormat } from "./output.ts";
import { readFleet } from "./read_fleet.ts";
import { Bases } from "./rebase/bases.ts";
import type { BaseFlags } from "./rebase/flags.ts";
import { isListed, isOfRegistry } from "./rebase/images.ts";
import { Rebaser } from "./rebase/one.ts";
import { readPolicy } from "./rebase/policy.ts";
import { widthOf } from "./sbom_show.ts";
import { Session } from "./session.ts";
import { csvLine } from "./ui/csv.ts";
import { plain } from "./ui/plain.ts";
import { formatSize } from "./ui/size.ts";
import { formatStructured } from "./ui/structured.ts";
import { fitTable } from "./ui/table.ts";

/** Flags of `wherry outdated`. */
export interface OutdatedFlags extends BaseFlags {
  readonly from?: string;
  readonly concurrency?: string;
  readonly output: ListFormat;
}

/** Where an image stands. */
export type BaseStatus =
  | "outdated"
  | "current"
  | "cannot move"
  | "left alone"
  | "no base"
  | "not CNB"
  | "unreadable";

/** One image. */
interface Drift {
  readonly image: string;
  readonly digest: string;
  readonly status: BaseStatus;
  /** Why, where that is not plain. */
  readonly reason: string;
  /** The same for a table: the check that refuses it, and both values. */
  readonly why: string;
  /** Digest reference of the base it stands on. */
  readonly base: string;
  /** The distribution of that base. */
  readonly distro: string;
  /** What it would stand on. */
  readonly new_base: string;
  /** Layers of the base that it would lose and get. */
  readonly layers_out: number;
  readonly layers_in: number;
  /** Bytes of the layers it would get: what whoever runs it has to pull. */
  readonly bytes_in: number;
  /** Where a cluster runs it. */
  readonly where: readonly string[];
}

/**
 * Reports the drift.
 *
 * @returns 0 when all are current, 3 when some are not: as `rebase plan`.
 */
export async function outdated(
  io: Io,
  names: readonly string[],
  flags: OutdatedFlags,
): Promise<number> {
  if (names.length === 0 && flags.from === undefined) {
    throw new UsageError("Cannot look at nothing: want NAME... or --from FILE");
  }
  await using session = new Session(io, flags);
  const policy = await readPolicy(session, flags.policy);
  const bases = new Bases(session, flags, policy);
  const published = (name: string) => isListed(names, name) || isOfRegistry(names, name);
  const rebaser = new Rebaser(session, bases, policy, {
    publish: flags.publish ?? false,
    force: false,
    dryRun: true,
  });
  const items = await readFleet(session, { names, from: flags.from, running: true });
  if (items.length === 0) throw new UsageError("Cannot look at nothing: no image is named");
  await rebaser.open();
  const workers = workersOf(flags.concurrency);
  const idle = Array.from({ length: workers }, (_, at) => at);
  const rows = await eachOfFleet(
    items,
    async ({ name, digest, where }) => {
      const worker = idle.pop() ?? 0;
      try {
        // What a cluster runs is what counts, wherever its tag points now.
        const running = digest === undefined ? name : `${withoutTag(name)}@${digest}`;
        const item = { name: running, published: published(name) };
        const { result, prepared, app } = await rebaser.rebase(item, worker);
        return driftOf({ ...result, reference: name }, prepared, app, where);
      } finally {
        idle.push(worker);
      }
    },
    session.ctx.signal,
    workers,
  );
  await tell(io, rows, flags.output);
  const counts = Map.groupBy(rows, ({ status }) => status);
  session.log.info(
    `${count(rows.length, "image")}: ` +
      ([...counts].map(([status, all]) => `${all.length} ${status}`).join(", ") || "none"),
  );
  return rows.every(({ status }) => GOOD.includes(status)) ? 0 : DRIFT;
}

function withoutTag(name: string): string {
  return name.replace(/@.*$/, "").replace(/:[^:/]*$/, "");
}

/** Nothing has to be done about these. */
const GOOD: readonly BaseStatus[] = ["current", "left alone", "no base", "not CNB"];
/** The exit code that says: there is something to do. */
const DRIFT = 3;

function workersOf(text: string | undefined): number {
  if (text === undefined) return FLEET_WORKERS;
  const number = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= 1024) return number;
  throw new UsageError(`Cannot use --concurrency ${JSON.stringify(text)}: want 1 to 1024`);
}

function driftOf(
  { reference, decision, reason = "", old, check }: FleetResult,
  prepared: PreparedRebase | undefined,
  app: Image | undefined,
  where: readonly string[],
): Drift {
  const first = prepared?.images[0];
  const statuses: Readonly<Partial<Record<FleetResult["decision"], BaseStatus>>> = {
    "would rebase": "outdated",
    current: "current",
    refused: "cannot move",
    failed: "unreadable",
    "not CNB": "not CNB",
    skipped: "left alone",
  };
  const moves = decision === "would rebase" ? prepared?.images ?? [] : [];
  const [gone, come] = [new Set<string>(), new Map<string, number>()];
  for (const { old, made } of moves) {
    const before = new Set(old.layers.map(({ descriptor }) => descriptor.digest));
    const after = new Set(made.layers.map(({ descriptor }) => descriptor.digest));
    for (const digest of before) if (!after.has(digest)) gone.add(digest);
    for (const { descriptor: { digest, size } } of made.layers) {
      if (!before.has(digest)) come.set(digest, size);
    }
  }
  // The same layers under other words are no drift: nobody has to pull anything.
  const same = decision === "would rebase" && gone.size === 0 && come.size === 0;
  const image = first?.old ?? app;
  // A static program on scratch is refused by a rebase, but there is nothing to bring up to date.
  const bare = decision === "refused" && image !== undefined &&
    readMetadata(image.config)?.runImage.topLayer === "";
  const status = same ? "current" : bare ? "no base" : statuses[decision] ?? "unreadable";
  const distro = image === undefined ? undefined : describeImage(image).base_distro;
  return {
    image: reference,
    digest: old?.digest ?? "",
    status,
    ...wordsOf(bare ? "it stands on no run image" : reason, bare ? undefined : check),
    base: old?.base ?? "",
    distro: [distro?.name, distro?.version].filter(Boolean).join(" "),
    new_base: status === "outdated" ? first?.newBase ?? "" : "",
    layers_out: gone.size,
    layers_in: come.size,
    bytes_in: [...come.values()].reduce((sum, size) => sum + size, 0),
    where,
  };
}

function wordsOf(reason: string, check: FleetResult["check"]): Pick<Drift, "reason" | "why"> {
  const why = whyOf({ reason, check });
  if (check === undefined) return { reason, why };
  return { reason: reason || `${check.name}: ${check.app} / ${check.base}`, why };
}

async function tell(io: Io, rows: readonly Drift[], output: ListFormat): Promise<void> {
  if (output === "json") {
    io.stdout.write(
      await formatStructured({
        bases: basesOf(rows),
        images: rows.map(({ why: _, ...row }) => row),
      }, "json"),
    );
    return;
  }
  const shown = plain(rows);
  if (output === "csv") {
    const header = [
      "image",
      "digest",
      "status",
      "reason",
      "base",
      "distro",
      "new_base",
      "layers_out",
      "layers_in",
      "bytes_in",
      "where",
    ] as const;
    const lines = shown.map((row) =>
      csvLine(header.map((key) => {
        const value = row[key];
        return typeof value === "object" ? value.join(" ") : String(value);
      }))
    );
    io.stdout.write(csvLine(header) + lines.join(""));
    return;
  }
  if (rows.length === 0) return;
  const width = widthOf(io);
  io.stdout.write("Bases:\n");
  io.stdout.write(fitTable(
    ["IMAGES", "STATUS", "DISTRO", "BASE"],
    plain(basesOf(rows)).map((one) => [
      String(one.images),
      one.status,
      one.distro || "-",
      shortBase(one.base) || "-",
    ]),
    { indent: "  ", width, optional: ["DISTRO"] },
  ));
  io.stdout.write("\nImages:\n");
  // What nobody has a value for takes no room: reasons and bases need it on a narrow terminal.
  const columns = ["IMAGE", "STATUS", "WOULD CHANGE", "BASE", "WHY"] as const;
  const cells = shown.map((one) => ({
    "IMAGE": one.image,
    "STATUS": one.status,
    "WOULD CHANGE": one.status === "outdated"
      ? `${count(one.layers_out, "layer")} for ${one.layers_in}, ${formatSize(one.bytes_in)}`
      : "",
    "BASE": shortBase(one.base),
    "WHY": one.why,
  }));
  const used = columns.filter((name) => cells.some((row) => row[name] !== ""));
  io.stdout.write(fitTable(
    used,
    cells.map((row) => used.map((name) => row[name] || "-")),
    { indent: "  ", width, optional: ["BASE", "WHY", "WOULD CHANGE"] },
  ));
}

/** How many images stand on each base, the most first. */
function basesOf(
  rows: readonly Drift[],
): readonly { base: string; distro: string; status: BaseStatus; images: number }[] {
  const groups = Map.groupBy(rows, ({ base, status }) => `${base}\0${status}`);
  return [...groups.values()].map((all) => ({
    base: all[0]!.base,
    distro: all[0]!.distro,
    status: all[0]!.status,
    images: all.length,
  })).sort((a, b) => b.images - a.images || (a.base < b.base ? -1 : 1));
}

/** The digest of a base, short enough for a line. */
function shortBase(base: string): string {
  return base.replace(/(sha256:[0-9a-f]{12})[0-9a-f]{52}$/, "$1");
}
