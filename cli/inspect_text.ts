/** An image's facts as text. Pure. */
import { formatOwner } from "../lifecycle/inspect/layer_owner.ts";
import type { ImageInfo } from "../lifecycle/platform/image_info.ts";
import { count } from "./ui/count.ts";
import { plain } from "./ui/plain.ts";
import { formatSize } from "./ui/size.ts";
import { fitTable } from "./ui/table.ts";

/** What is shown of one image. `width` is that of the terminal, `undefined` when nobody looks. */
export function imageText(given: ImageInfo, width: number | undefined): string {
  const info = plain(given);
  const lines: string[] = [];
  const line = (label: string, value: string | undefined) => {
    if (value) lines.push(`${label}: ${value}`);
  };
  line("Digest", info.digest);
  line("Platform", info.platform);
  if (info.index !== undefined) {
    const others = info.index.images.map(({ platform, digest }) =>
      digest === info.digest ? `${platform} (shown)` : platform
    );
    line("Index", `${info.index.digest} of ${others.join(", ")}`);
  }
  line("Created", info.reproducible ? "fixed date (reproducible build)" : info.created);
  line("Size", `${formatSize(info.size)} in ${count(info.layers.length, "layer")}`);
  line("Stack", info.stack);
  line("Launcher", info.launcher_version);
  lines.push("", "Base Image:");
  const { name, version } = info.base_distro;
  lines.push(
    info.base_image.reference
      ? `  Reference: ${info.base_image.reference}`
      : info.layers.some(({ kind }) => kind === "builder")
      ? "  (none: it is a builder; see wherry builder inspect)"
      : info.buildpacks.length === 0
      ? "  (not known: no buildpacks made it)"
      : "  (none: scratch)",
  );
  if (info.base_image.top_layer) lines.push(`  Top Layer: ${info.base_image.top_layer}`);
  if (name || version) lines.push(`  Distro: ${[name, version].filter(Boolean).join(" ")}`);
  if (info.run_images.length > 0) {
    lines.push("", "Run Images:", ...info.run_images.map((image) => `  ${image.name}`));
  }
  const why = info.rebasable ? "" : ` (${info.rebasable_reason})`;
  lines.push("", `Rebasable: ${info.rebasable}${why}`, "");
  const table = (
    title: string,
    header: readonly string[],
    rows: readonly (readonly string[])[],
    optional: readonly string[],
  ) => {
    if (rows.length === 0) return;
    lines.push(`${title}:`, fitTable(header, rows, { indent: "  ", width, optional }));
  };
  const modules = (all: readonly { id: string; version: string; homepage?: string }[]) =>
    all.map((one) => [one.id, one.version || "-", one.homepage || "-"]);
  const moduleHeader = ["ID", "VERSION", "HOMEPAGE"];
  table("Buildpacks", moduleHeader, modules(info.buildpacks), ["HOMEPAGE"]);
  table("Extensions", moduleHeader, modules(info.extensions ?? []), ["HOMEPAGE"]);
  table(
    "Processes",
    ["TYPE", "SHELL", "COMMAND", "ARGS", "WORK DIR", "BUILDPACK"],
    info.processes.map((one) => [
      one.default ? `${one.type} (default)` : one.type,
      one.shell || "-",
      one.command,
      one.args.join(" "),
      one["working-dir"],
      one.buildpack || "-",
    ]),
    ["BUILDPACK", "WORK DIR"],
  );
  table(
    "Layers",
    ["SIZE", "MADE BY", "NAME", "DIGEST"],
    info.layers.map((one) => [
      formatSize(one.size),
      formatOwner({ ...one, version: one.buildpack_version }) === "-"
        ? one.created_by || "-"
        : formatOwner({ ...one, version: one.buildpack_version }),
      one.name || "-",
      one.digest.slice(0, 19),
    ]),
    ["DIGEST"],
  );
  return lines.join("\n").trimEnd() + "\n";
}
