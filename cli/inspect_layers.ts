/** `wherry inspect --layers` and `--files`: what is in the layers, read as they come. */
import {
  FILE_LIMITS,
  formatMode,
  type LayerEntry,
  LayerStack,
} from "../lifecycle/inspect/layer_files.ts";
import { formatOwner, layerOwners } from "../lifecycle/inspect/layer_owner.ts";
import { readMetadata } from "../lifecycle/platform/image_info.ts";
import { harmless } from "../registry/client/refusal.ts";
import type { Layer } from "../registry/image.ts";
import { walkTar } from "../registry/layer/tar_reader.ts";
import { isForeignLayerType } from "../registry/oci/media_type.ts";
import { UsageError } from "./exit.ts";
import { count } from "./ui/count.ts";
import type { InspectFlags } from "./inspect_image.ts";
import type { Io } from "./io.ts";
import type { AnyFormat } from "./output.ts";
import { openImage } from "./open_image.ts";
import { LOOK, Session } from "./session.ts";
import { plain } from "./ui/plain.ts";
import { formatSize } from "./ui/size.ts";
import { formatStructured } from "./ui/structured.ts";
import { fitTable } from "./ui/table.ts";

/** One layer as it is told to programs. */
interface LayerFacts {
  readonly digest: string;
  readonly diff_id: string;
  readonly size: number;
  readonly made_by: string;
  readonly name: string;
  readonly files_bytes: number;
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  readonly wasted: number;
}

/** Shows what the layers of an image hold. */
export async function inspectLayers(
  io: Io,
  name: string,
  flags: InspectFlags & { readonly base: boolean },
  format: AnyFormat,
): Promise<void> {
  if (flags.files && format !== "human" && format !== "json") {
    throw new UsageError(
      `Cannot list files as ${format}: want human, or json (a file a line)`,
    );
  }
  await using session = new Session(io, flags, LOOK);
  await using stack = new AsyncDisposableStack();
  const { image } = await openImage(session, name, flags, stack);
  const owners = layerOwners(image, readMetadata(image.config));
  const layers = image.layers.map((layer, at) => ({ layer, owner: owners[at]! }))
    .filter(({ owner }) => flags.base || owner.kind !== "base");
  const files = new LayerStack();
  for (const [at, { layer, owner }] of layers.entries()) {
    const madeBy = [formatOwner(owner), owner.name].filter(Boolean).join(" ");
    files.layer();
    if (flags.files && format === "human") {
      io.stdout.write(
        `${at === 0 ? "" : "\n"}Layer ${at + 1} of ${layers.length}: ${harmless(madeBy)}, ${
          formatSize(layer.descriptor.size)
        }, ${layer.descriptor.digest}\n`,
      );
    }
    const tell = !flags.files ? () => {} : (entry: LayerEntry) => {
      const line = format === "human" ? fileLine(entry) : fileJson(entry, layer, madeBy);
      io.stdout.write(line + "\n");
    };
    await readLayer(session, layer, (header) => tell(files.entry(header)), !flags.files);
  }
  if (flags.files) return;
  const facts = layers.map(({ layer, owner }, at): LayerFacts => {
    const { bytes, ...counts } = files.counts[at]!;
    return {
      digest: layer.descriptor.digest,
      diff_id: layer.diffId,
      size: layer.descriptor.size,
      made_by: formatOwner(owner),
      name: owner.name,
      files_bytes: bytes,
      ...counts,
    };
  });
  const wasted = files.wasted(20);
  if (format !== "human") {
    const value = { image_name: name, digest: image.raw.digest, layers: facts, wasted };
    io.stdout.write(await formatStructured(value, format));
    return;
  }
  io.stdout.write(
    layersText(facts, wasted, io.stdout.isTerminal ? io.stdout.columns() : undefined),
  );
}

async function readLayer(
  session: Session,
  layer: Layer,
  header: Parameters<typeof walkTar>[1]["header"],
  showProgress: boolean,
): Promise<void> {
  const { digest, mediaType, size } = layer.descriptor;
  if (isForeignLayerType(mediaType)) {
    session.log.warn(`Layer ${digest} lies elsewhere, it is not read`);
    return;
  }
  const meter = showProgress
    ? session.ctx.meter(`Reading ${digest.slice(7, 19)}`, size)
    : undefined;
  try {
    const blob = await layer.blob();
    const stream = await blob.open({ signal: session.ctx.signal });
    const counted = meter === undefined ? stream : stream.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          meter.add(chunk.byteLength);
          controller.enqueue(chunk);
        },
      }),
    );
    await walkTar(counted, { header }, { limits: FILE_LIMITS, signal: session.ctx.signal });
  } catch (cause) {
    session.ctx.signal.throwIfAborted();
    if (!(cause instanceof SyntaxError || cause instanceof RangeError)) throw cause;
    throw new Error(`Cannot list layer ${digest}: ${cause.message}`, { cause });
  } finally {
    meter?.end();
  }
}

const MARKS = { added: "+", changed: "*", removed: "-", kept: " " } as const;

function fileLine({ path, change, header }: LayerEntry): string {
  const to = header.type === "symlink"
    ? ` -> ${harmless(header.linkName)}`
    : header.type === "link"
    ? ` == ${harmless(header.linkName)}`
    : "";
  const owner = `${header.uid}:${header.gid}`;
  const size = String(header.size);
  return `${MARKS[change]} ${formatMode(header)} ${owner.padStart(9)} ${size.padStart(10)} /${
    harmless(path)
  }${to}`;
}

function fileJson({ path, change, header }: LayerEntry, layer: Layer, madeBy: string): string {
  const { type, mode, uid, gid, size, linkName } = header;
  return JSON.stringify({
    layer: layer.descriptor.digest,
    made_by: madeBy,
    change,
    path: `/${path}`,
    type,
    mode: `0${mode.toString(8)}`,
    uid,
    gid,
    size,
    ...(linkName === "" ? {} : { link: linkName }),
  }).replaceAll(
    /[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (seen) => `\\u${seen.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function layersText(
  layers: readonly LayerFacts[],
  wasted: ReturnType<LayerStack["wasted"]>,
  width: number | undefined,
): string {
  const total = layers.reduce((sum, one) => sum + one.files_bytes, 0);
  const lost = layers.reduce((sum, one) => sum + one.wasted, 0);
  const share = total === 0 ? 100 : (total - lost) / total * 100;
  const table = fitTable(
    ["SIZE", "UNPACKED", "ADDED", "CHANGED", "REMOVED", "WASTED", "MADE BY", "NAME", "DIGEST"],
    layers.map((one) => [
      formatSize(one.size),
      formatSize(one.files_bytes),
      String(one.added),
      String(one.changed),
      String(one.removed),
      one.wasted === 0 ? "-" : formatSize(one.wasted),
      harmless(one.made_by),
      harmless(one.name) || "-",
      one.digest.slice(0, 19),
    ]),
    { width, optional: ["DIGEST", "REMOVED", "CHANGED", "UNPACKED"] },
  );
  const lines = [
    table,
    `${count(layers.length, "layer")}, ${formatSize(total)} of files, ${formatSize(lost)} wasted (${
      share.toFixed(1)
    }% efficient)`,
  ];
  if (wasted.length > 0) {
    lines.push(
      "",
      "Most wasted:",
      fitTable(
        ["BYTES", "TIMES", "PATH"],
        plain(wasted).map(({ path, bytes, times }) => [
          formatSize(bytes),
          String(times),
          `/${path}`,
        ]),
        { indent: "  ", width, optional: [] },
      ).trimEnd(),
    );
  }
  return lines.join("\n") + "\n";
}
