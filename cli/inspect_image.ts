/** What `wherry inspect` shows: two small documents of an image, no layer. */
import { describeImage, type ImageInfo } from "../lifecycle/platform/image_info.ts";
import { harmless } from "../registry/client/refusal.ts";
import { readImage } from "../registry/image.ts";
import { parsePlatform } from "../registry/oci/platform.ts";
import type { InspectFlags } from "./command/inspect.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import type { OutputFormat } from "./output.ts";
import { fromRegistry, inStore, type Located, openForReading, readPlace } from "./places.ts";
import { machinePlatform } from "./platform.ts";
import { Session } from "./session.ts";
import { formatSize } from "./ui/size.ts";
import { formatTable } from "./ui/table.ts";

/** One place's answer: what is there, nothing, or why it cannot be said. */
type Answer = { readonly info?: ImageInfo; readonly error?: string };

/** Shows an image, from its registry and from the store where the name can mean both. */
export async function inspectImage(
  io: Io,
  name: string,
  flags: InspectFlags,
  format: OutputFormat,
): Promise<void> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  const place = readPlace(name);
  const look = (located: Promise<Located>) => answerOf(session, flags, located);
  const remote = place.kind === "registry"
    ? await look(fromRegistry(session, place.reference))
    : {};
  const local = place.kind === "registry"
    ? await look(inStore(session, place.reference))
    : await look(openForReading(session, place, stack));
  if (format === "json") {
    io.stdout.write(
      JSON.stringify(
        {
          image_name: name,
          remote_info: remote.info ?? null,
          local_info: local.info ?? null,
          ...(remote.error ? { remote_error: remote.error } : {}),
          ...(local.error ? { local_error: local.error } : {}),
        },
        null,
        2,
      ) + "\n",
    );
  } else if (remote.info !== undefined || local.info !== undefined) {
    const parts = place.kind === "registry"
      ? [`REMOTE:\n${show(remote)}`, `LOCAL:\n${show(local)}`]
      : [show(local)];
    io.stdout.write(`Inspecting image: '${name}'\n\n${parts.join("\n")}`);
  }
  if (remote.info === undefined && local.info === undefined) {
    const why = [remote.error ?? (place.kind === "registry" ? "the registry has none" : undefined)];
    why.push(local.error ?? (place.kind === "registry" ? "nor has the store" : "it is not there"));
    throw new UsageError(
      `Cannot inspect ${name}: ${why.filter((part) => part !== undefined).join("; ")}`,
    );
  }
}

async function answerOf(
  session: Session,
  flags: InspectFlags,
  opening: Promise<Located>,
): Promise<Answer> {
  const wanted = flags.platform === undefined ? machinePlatform() : parsePlatform(flags.platform);
  try {
    const { registry, repository, reference } = await opening;
    const image = await readImage(registry, repository, reference, wanted, {
      signal: session.ctx.signal,
    });
    return image === undefined ? {} : { info: describeImage(image) };
  } catch (error) {
    session.ctx.signal.throwIfAborted();
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/** What an image says of itself, without what a terminal would obey (N-11). */
function shown(info: ImageInfo | undefined): ImageInfo | undefined {
  if (info === undefined) return undefined;
  return JSON.parse(
    JSON.stringify(info),
    (_key, value) => typeof value === "string" ? harmless(value) : value,
  ) as ImageInfo;
}

function show(answer: Answer): string {
  const { error } = answer;
  const info = shown(answer.info);
  if (error !== undefined) return `ERROR: ${harmless(error)}\n`;
  if (info === undefined) return "(not present)\n";
  const lines: string[] = [];
  const line = (label: string, value: string | undefined) => {
    if (value) lines.push(`${label}: ${value}`);
  };
  line("Digest", info.digest);
  line("Platform", info.platform);
  line(
    "Created",
    info.created === "1980-01-01T00:00:01Z" ? "fixed date (reproducible build)" : info.created,
  );
  line("Stack", info.stack);
  line("Size", `${formatSize(info.size)} in ${info.layers.length} layers`);
  lines.push("", "Base Image:");
  lines.push(
    info.base_image.reference ? `  Reference: ${info.base_image.reference}` : "  (none: scratch)",
  );
  if (info.base_image.top_layer) lines.push(`  Top Layer: ${info.base_image.top_layer}`);
  if (info.run_images.length > 0) {
    lines.push(
      "",
      "Run Images:",
      ...info.run_images.map((image) => `  ${image.name}`),
    );
  }
  lines.push("", `Rebasable: ${info.rebasable}`, "");
  const table = (
    title: string,
    header: readonly string[],
    rows: readonly (readonly string[])[],
  ) => {
    if (rows.length > 0) lines.push(`${title}:`, formatTable(header, rows, "  "));
  };
  table(
    "Buildpacks",
    ["ID", "VERSION", "HOMEPAGE"],
    info.buildpacks.map((one) => [one.id, one.version, one.homepage || "-"]),
  );
  table(
    "Processes",
    ["TYPE", "SHELL", "COMMAND", "ARGS", "WORK DIR"],
    info.processes.map((one) => [
      one.default ? `${one.type} (default)` : one.type,
      one.shell,
      one.command,
      one.args.join(" "),
      one["working-dir"],
    ]),
  );
  table(
    "Layers",
    ["SIZE", "MADE BY"],
    info.layers.map((one) => [formatSize(one.size), one.created_by || "(base)"]),
  );
  return lines.join("\n").trimEnd() + "\n";
}
