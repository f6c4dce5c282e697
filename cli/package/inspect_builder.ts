/** `wherry builder inspect`. */
import { type BuilderInfo, readBuilder } from "../../lifecycle/platform/package/builder.ts";
import type { CommonFlags } from "../common.ts";
import { alsoNotInStore, UsageError } from "../exit.ts";
import { nowhere } from "../open_image.ts";
import type { Io } from "../io.ts";
import type { AnyFormat } from "../output.ts";
import { fromRegistry, imagePlace, inStore, type Located, openForReading } from "../places.ts";
import { machinePlatform } from "../platform.ts";
import { LOOK, Session } from "../session.ts";
import { plain } from "../ui/plain.ts";
import { formatStructured } from "../ui/structured.ts";
import { formatTable } from "../ui/table.ts";
import { readImage } from "../../registry/image.ts";
import { depthOf } from "./inspect_module.ts";
import { drawOrder, orderKeys, orderTree } from "./order_tree.ts";

/** Flags of the command. */
export interface InspectBuilderFlags extends CommonFlags {
  readonly depth?: string;
  readonly output: AnyFormat;
}

type Shown = Omit<BuilderInfo, "modules"> & {
  readonly modules: readonly BuilderInfo["modules"][number]["info"][];
};
type Answer = { readonly info?: Shown; readonly error?: string; readonly cause?: unknown };

/** Shows a builder, from its registry and from the store where the name can mean both. */
export async function inspectBuilder(
  io: Io,
  name: string,
  flags: InspectBuilderFlags,
): Promise<void> {
  const depth = depthOf(flags.depth);
  await using session = new Session(io, flags, LOOK);
  await using stack = new AsyncDisposableStack();
  const place = await imagePlace(session, name);
  const look = (located: Promise<Located>) => answer(session, name, located);
  const remote = place.kind === "registry"
    ? await look(fromRegistry(session, place.reference))
    : {};
  const local = place.kind === "registry"
    ? await look(inStore(session, place.reference))
    : await look(openForReading(session, place, stack));
  if (remote.info === undefined && local.info === undefined) {
    const failed = remote.cause !== undefined ? remote : local;
    if (failed.cause !== undefined) {
      throw remote.cause !== undefined && local.cause === undefined
        ? alsoNotInStore(remote.cause)
        : failed.cause;
    }
    throw place.kind === "registry"
      ? await nowhere(session, place.reference)
      : new UsageError(`Cannot find ${name}: it is not there`);
  }
  if (flags.output !== "human") {
    const value = {
      builder_name: name,
      trusted: true,
      default: false,
      remote_info: remote.info ? keys(remote.info, depth) : null,
      local_info: local.info ? keys(local.info, depth) : null,
      ...(remote.error ? { remote_error: remote.error } : {}),
      ...(local.error ? { local_error: local.error } : {}),
    };
    io.stdout.write(await formatStructured(value, flags.output));
    return;
  }
  const parts = place.kind === "registry"
    ? [`REMOTE:\n${human(remote, depth)}`, `LOCAL:\n${human(local, depth)}`]
    : [human(local, depth)];
  io.stdout.write(`Inspecting builder: '${name}'\n\n${parts.join("\n")}`);
}

async function answer(session: Session, name: string, opening: Promise<Located>): Promise<Answer> {
  try {
    const { registry, repository, reference } = await opening;
    const image = await readImage(registry, repository, reference, machinePlatform(), {
      signal: session.ctx.signal,
    });
    if (image === undefined) return {};
    const info = readBuilder(image, name);
    return { info: { ...info, modules: info.modules.map((one) => one.info) } };
  } catch (error) {
    session.ctx.signal.throwIfAborted();
    return { error: error instanceof Error ? error.message : String(error), cause: error };
  }
}

function of(info: Shown, kind: "buildpack" | "extension") {
  return info.modules.filter((one) => one.kind === kind);
}

/** pack's keys. */
function keys(info: Shown, depth: number): unknown {
  const modules = (kind: "buildpack" | "extension") =>
    of(info, kind).map(({ id, name, version, homepage }) => ({
      id,
      name: name || undefined,
      version,
      homepage: homepage || undefined,
    }));
  const extensions = modules("extension");
  return {
    description: info.description || undefined,
    created_by: {
      name: info.createdBy.name,
      version: info.createdBy.version,
    },
    stack: { id: info.stackId, mixins: info.mixins.length > 0 ? info.mixins : undefined },
    lifecycle: {
      version: info.lifecycle.version,
      buildpack_apis: info.lifecycle.apis.buildpack,
      platform_apis: info.lifecycle.apis.platform,
    },
    run_images: info.runImages.flatMap(({ image, mirrors }) =>
      [image, ...mirrors].map((name) => ({ name }))
    ),
    buildpacks: modules("buildpack"),
    detection_order: orderKeys(orderTree(info.order, of(info, "buildpack"), depth)),
    extensions: extensions.length > 0 ? extensions : undefined,
    order_extensions: info.orderExtensions.length > 0
      ? orderKeys(orderTree(info.orderExtensions, of(info, "extension"), 0))
      : undefined,
  };
}

function human(answer: Answer, depth: number): string {
  if (answer.error !== undefined) return `ERROR: ${plain(answer.error)}\n`;
  if (answer.info === undefined) return "(not present)\n";
  const info = plain(answer.info);
  const { lifecycle: { version, apis } } = info;
  const versions = (list: readonly string[]) => list.join(", ") || "(none)";
  const table = (kind: "buildpack" | "extension") =>
    formatTable(
      ["ID", "NAME", "VERSION", "HOMEPAGE"],
      of(info, kind).map((one) => [one.id, one.name || "-", one.version, one.homepage || "-"]),
      "  ",
    );
  const lines = [
    ...(info.description ? [`Description: ${info.description}`, ""] : []),
    "Created By:",
    `  Name: ${info.createdBy.name || "-"}`,
    `  Version: ${info.createdBy.version || "-"}`,
    "",
    "Trusted: Yes", // it makes no difference here: buildpacks never see credentials
    "",
    ...(info.stackId ? ["Stack:", `  ID: ${info.stackId}`, ""] : []),
    "Lifecycle:",
    `  Version: ${version || "-"}`,
    "  Buildpack APIs:",
    `    Deprecated: ${versions(apis.buildpack.deprecated)}`,
    `    Supported: ${versions(apis.buildpack.supported)}`,
    "  Platform APIs:",
    `    Deprecated: ${versions(apis.platform.deprecated)}`,
    `    Supported: ${versions(apis.platform.supported)}`,
    "",
    "Run Images:",
    ...(info.runImages.length === 0
      ? ["  (none)"]
      : info.runImages.flatMap(({ image, mirrors }) => [image, ...mirrors]).map((one) =>
        `  ${one}`
      )),
    "",
    "Buildpacks:",
    table("buildpack"),
    "Detection Order:",
    drawOrder(orderTree(info.order, of(info, "buildpack"), depth)),
  ];
  if (of(info, "extension").length > 0) {
    lines.push("Extensions:", table("extension"));
  }
  if (info.orderExtensions.length > 0) {
    lines.push(
      "Detection Order (Extensions):",
      drawOrder(orderTree(info.orderExtensions, of(info, "extension"), 0)),
    );
  }
  return lines.join("\n").trimEnd() + "\n";
}
