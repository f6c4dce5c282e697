/** What `wherry diff` shows. */
import { pairLayers } from "../lifecycle/inspect/diff.ts";
import { diffDocuments, type FieldDiff } from "../lifecycle/inspect/diff_config.ts";
import { diffLayers, type FileDiff } from "../lifecycle/inspect/diff_layer.ts";
import { type IndexInfo, readMetadata } from "../lifecycle/platform/image_info.ts";
import type { Image } from "../registry/image.ts";
import { formatPlatform } from "../registry/oci/platform.ts";
import type { CommonFlags } from "./common.ts";
import { count } from "./ui/count.ts";
import type { Io } from "./io.ts";
import type { AnyFormat } from "./output.ts";
import { imageAt, type OpenedImage, openImage } from "./open_image.ts";
import { LOOK, Session } from "./session.ts";
import { plain } from "./ui/plain.ts";
import { formatStructured } from "./ui/structured.ts";

/** Flags of `wherry diff`. */
export interface DiffFlags extends CommonFlags {
  readonly platform?: string;
  readonly remote?: boolean;
  readonly base?: boolean;
  readonly files: boolean;
  readonly output: AnyFormat;
}

/** One layer that differs. */
interface LayerResult {
  readonly made_by: string;
  readonly name: string;
  /** `undefined`: it is not there. */
  readonly a: string | undefined;
  readonly b: string | undefined;
  /** `changed` has files; `recompressed` is the same tar in other bytes. */
  readonly how: "changed" | "recompressed" | "only in a" | "only in b";
  /** The same entries in another order. */
  readonly order?: boolean;
  readonly files?: readonly FileDiff[];
}

/** Two images, compared. */
interface Comparison {
  readonly fields: readonly FieldDiff[];
  readonly layers: readonly LayerResult[];
}

/** One platform of two indexes; `undefined`: that index has no image for it. */
interface PlatformResult extends Partial<Comparison> {
  readonly platform: string;
  readonly a: string | undefined;
  readonly b: string | undefined;
  readonly how: "same" | "changed" | "only in a" | "only in b";
}

/**
 * Compares two images, or two indexes platform by platform.
 *
 * @returns 0 when they are the same, 1 when they differ.
 */
export async function diffImages(
  io: Io,
  names: readonly [string, string],
  flags: DiffFlags,
  format: AnyFormat,
): Promise<number> {
  await using session = new Session(io, flags, LOOK);
  await using stack = new AsyncDisposableStack();
  const a = await openImage(session, names[0], flags, stack);
  const b = await openImage(session, names[1], flags, stack);
  const whole = flags.platform === undefined && a.index !== undefined && b.index !== undefined;
  for (const { index, image, located } of a.index && b.index ? [] : [a, b]) {
    if (index === undefined) continue;
    const platform = formatPlatform(image.config);
    session.log.info(`${located.name} is an index: its image for ${platform} is compared`);
  }
  const digests = [a, b].map(({ index, image }) => whole ? index!.digest : image.raw.digest);
  const same = digests[0] === digests[1];
  const about = {
    a: { image_name: names[0], digest: digests[0] },
    b: { image_name: names[1], digest: digests[1] },
    same,
  };
  const found: { platforms: readonly PlatformResult[] } | Comparison = whole
    ? { platforms: same ? [] : await comparePlatforms(session, a, b, flags) }
    : await compare(session, a.image, b.image, flags);
  if (format !== "human") {
    io.stdout.write(await formatStructured({ ...about, ...found }, format));
    return same ? 0 : 1;
  }
  if (same) {
    session.log.info(`They are the same: ${digests[0]}`);
    return 0;
  }
  io.stdout.write(`a: ${a.located.name} ${digests[0]}\nb: ${b.located.name} ${digests[1]}\n`);
  const limit = flags.verbose ? Infinity : MAX_FILES;
  if ("layers" in found) {
    io.stdout.write(comparisonText(found, limit));
    session.log.info(summary([found]));
    return 1;
  }
  for (const one of found.platforms) {
    io.stdout.write(`\nPlatform ${plain(one.platform)}: ${one.how}\n`);
    if (one.how === "changed") io.stdout.write(comparisonText(one, limit));
  }
  const changed = found.platforms.filter(({ how }) => how !== "same");
  session.log.info(
    `${changed.length} of ${count(found.platforms.length, "platform")} differ${
      changed.length === 1 ? "s" : ""
    }; ${changed.length === 0 ? "only the index itself does" : summary(changed)}`,
  );
  return 1;
}

async function comparePlatforms(
  session: Session,
  a: OpenedImage,
  b: OpenedImage,
  flags: DiffFlags,
): Promise<readonly PlatformResult[]> {
  const sides = [a, b].map(({ index }) => byPlatform(index!));
  const results: PlatformResult[] = [];
  for (const platform of new Set(sides.flatMap((side) => [...side.keys()]))) {
    const [one, other] = sides.map((side) => side.get(platform));
    const about = { platform, a: one, b: other };
    if (one === undefined || other === undefined) {
      results.push({ ...about, how: one === undefined ? "only in b" : "only in a" });
    } else if (one === other) results.push({ ...about, how: "same" });
    else {
      const left = await childOf(session, a, one);
      const right = await childOf(session, b, other);
      results.push({ ...about, how: "changed", ...await compare(session, left, right, flags) });
    }
  }
  return results;
}

/** By name; a platform that comes twice is compared twice. */
function byPlatform({ images }: IndexInfo): ReadonlyMap<string, string> {
  const all = new Map<string, string>();
  for (const { platform, digest } of images) {
    let key = platform;
    for (let time = 2; all.has(key); time++) key = `${platform} (${time})`;
    all.set(key, digest);
  }
  return all;
}

async function childOf(
  session: Session,
  { image, located }: OpenedImage,
  digest: string,
): Promise<Image> {
  if (image.raw.digest === digest) return image;
  const found = await imageAt(session, { ...located, reference: digest }, {});
  if (found !== undefined) return found.image;
  throw new Error(`Cannot compare ${located.name}: its index names ${digest}, which is not there`);
}

async function compare(
  session: Session,
  a: Image,
  b: Image,
  flags: DiffFlags,
): Promise<Comparison> {
  const fields = a.raw.digest === b.raw.digest ? [] : diffDocuments(a, b);
  const layers: LayerResult[] = [];
  const sides = [a, b].map((image) => ({ image, metadata: readMetadata(image.config) }));
  for (const { madeBy, name, isBase, dirs, a: one, b: other } of pairLayers(sides[0]!, sides[1]!)) {
    const about = {
      made_by: madeBy,
      name,
      a: one?.diffId,
      b: other?.diffId,
    };
    if (one === undefined || other === undefined) {
      layers.push({ ...about, how: one === undefined ? "only in b" : "only in a" });
    } else if (one.diffId !== other.diffId) {
      // A run image has thousands of files, and is known by its name.
      const read = flags.files && (!isBase || flags.base);
      const found = read ? await diffLayers(one, other, dirs, session.ctx.signal) : undefined;
      layers.push({ ...about, how: "changed", ...found });
    } else if (one.descriptor.digest !== other.descriptor.digest) {
      layers.push({
        ...about,
        a: one.descriptor.digest,
        b: other.descriptor.digest,
        how: "recompressed",
      });
    }
  }
  return { fields, layers };
}

function comparisonText({ fields, layers }: Partial<Comparison>, limit: number): string {
  return fieldsText(plain(fields ?? [])) +
    plain(layers ?? []).map((layer) => layerText(layer, limit)).join("");
}

function summary(all: readonly Partial<Comparison>[]): string {
  const fields = all.flatMap((one) => one.fields ?? []).length;
  const layers = all.flatMap((one) => one.layers ?? []);
  const blamed = [...new Set(layers.map(({ made_by }) => made_by))].filter((one) => one !== "-");
  return `${count(fields, "field")} and ${count(layers.length, "layer")} differ${
    blamed.length > 0 ? `; made by: ${plain(blamed).join(", ")}` : ""
  }`;
}

/** Files that are told of one layer; `--verbose` and `-o json` have all. */
const MAX_FILES = 50;
const MAX_VALUE = 120;

function fieldsText(fields: readonly FieldDiff[]): string {
  if (fields.length === 0) return "";
  return "\nFields:\n" +
    fields.map(({ field, a, b }) => `  ${field}: ${cut(a)} -> ${cut(b)}\n`).join("");
}

function cut(value: string | undefined): string {
  if (value === undefined) return "(not there)";
  return value.length > MAX_VALUE ? `${value.slice(0, MAX_VALUE)}...` : value || '""';
}

function layerText(layer: LayerResult, limit: number): string {
  const { made_by, name, how, a, b, files, order } = layer;
  const lines = [`\nLayer ${name} (${made_by}): ${how}`];
  if (a !== undefined && b !== undefined) lines.push(`  ${a} -> ${b}`);
  if (how === "recompressed") lines.push("  the same files, compressed in another way");
  for (const { path, how, fields } of (files ?? []).slice(0, limit)) {
    if (how !== "changed") lines.push(`  ${how === "only in a" ? "-" : "+"} ${path} (${how})`);
    else {
      const said = fields.map(({ field, a, b }) =>
        field === "content"
          ? `content ${a.slice(0, 12)} -> ${b.slice(0, 12)}`
          : `${field} ${cut(a)} -> ${cut(b)}`
      );
      lines.push(`  * ${path}: ${said.join(", ")}`);
    }
  }
  const rest = (files?.length ?? 0) - limit;
  if (rest > 0) lines.push(`  ... and ${rest} more (all with --verbose or -o json)`);
  if (order) lines.push("  its entries stand in another order");
  else if (files?.length === 0) {
    lines.push("  every entry is the same: the tars differ in how they are written");
  }
  return lines.join("\n") + "\n";
}
