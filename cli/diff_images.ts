/** What `wherry diff` shows. */
import { pairLayers } from "../lifecycle/inspect/diff.ts";
import { diffDocuments, type FieldDiff } from "../lifecycle/inspect/diff_config.ts";
import { diffLayers, type FileDiff } from "../lifecycle/inspect/diff_layer.ts";
import { readMetadata } from "../lifecycle/platform/image_info.ts";
import type { CommonFlags } from "./common.ts";
import { count } from "./inspect_text.ts";
import type { Io } from "./io.ts";
import { openImage } from "./open_image.ts";
import { Session } from "./session.ts";
import { plain } from "./ui/plain.ts";
import { type AnyFormat, formatStructured } from "./ui/structured.ts";

/** Flags of `wherry diff`. */
export interface DiffFlags extends CommonFlags {
  readonly platform?: string;
  readonly remote?: boolean;
  readonly base?: boolean;
  readonly files: boolean;
  readonly output: string;
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

/**
 * Compares two images.
 *
 * @returns 0 when they are the same, 1 when they differ.
 */
export async function diffImages(
  io: Io,
  names: readonly [string, string],
  flags: DiffFlags,
  format: AnyFormat,
): Promise<number> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  const [a, b] = [
    await openImage(session, names[0], flags, stack),
    await openImage(session, names[1], flags, stack),
  ];
  const fields = a.image.raw.digest === b.image.raw.digest ? [] : diffDocuments(a.image, b.image);
  const layers: LayerResult[] = [];
  const sides = [a, b].map(({ image }) => ({ image, metadata: readMetadata(image.config) }));
  for (const { madeBy, name, isBase, a: one, b: other } of pairLayers(sides[0]!, sides[1]!)) {
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
      const found = read ? await diffLayers(one, other, session.ctx.signal) : undefined;
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
  const same = a.image.raw.digest === b.image.raw.digest;
  if (format !== "human") {
    const value = {
      a: { image_name: names[0], digest: a.image.raw.digest },
      b: { image_name: names[1], digest: b.image.raw.digest },
      same,
      fields,
      layers,
    };
    io.stdout.write(await formatStructured(value, format));
    return same ? 0 : 1;
  }
  if (same) {
    session.log.info(`They are the same: ${a.image.raw.digest}`);
    return 0;
  }
  const limit = flags.verbose ? Infinity : MAX_FILES;
  io.stdout.write(`a: ${a.located.name} ${a.image.raw.digest}\n`);
  io.stdout.write(`b: ${b.located.name} ${b.image.raw.digest}\n`);
  io.stdout.write(fieldsText(plain(fields)));
  io.stdout.write(plain(layers).map((layer) => layerText(layer, limit)).join(""));
  const blamed = [...new Set(layers.map(({ made_by }) => made_by))];
  session.log.info(
    `${count(fields.length, "field")} and ${count(layers.length, "layer")} differ` +
      (blamed.length > 0 ? `; made by: ${plain(blamed).join(", ")}` : ""),
  );
  return 1;
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
