/** `wherry buildpack inspect` and `wherry extension inspect`. */
import { type Located, locateModule } from "../../lifecycle/platform/package/locate.ts";
import { keyOf, type ModuleKind } from "../../lifecycle/platform/package/module.ts";
import { orderJson } from "../../lifecycle/platform/package/module.ts";
import { formatTarget } from "../../lifecycle/platform/package/target_text.ts";
import type { CommonFlags } from "../common.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import type { AnyFormat } from "../output.ts";
import { machinePlatform } from "../platform.ts";
import { LOOK, Session } from "../session.ts";
import { plain } from "../ui/plain.ts";
import { formatStructured } from "../ui/structured.ts";
import { formatTable } from "../ui/table.ts";
import { drawOrder, orderTree } from "./order_tree.ts";
import { moduleSources } from "./sources.ts";
import type { PullPolicy } from "../pull_policy.ts";

/** Flags of the command. */
export interface InspectModuleFlags extends CommonFlags {
  readonly depth?: string;
  readonly output: AnyFormat;
  readonly pullPolicy?: PullPolicy;
  readonly buildpackRegistry?: string;
}

/** `--depth`; -1 for all. */
export function depthOf(text: string | undefined): number {
  if (text === undefined) return -1;
  if (/^-?\d{1,4}$/.test(text) && Number(text) >= -1) return Number(text);
  throw new UsageError(`Cannot use --depth ${JSON.stringify(text)}: want a number, -1 for all`);
}

/** A kind with its article. */
export function aKind(kind: ModuleKind): string {
  return kind === "extension" ? "an extension" : `a ${kind}`;
}

/** Shows a package. */
export async function inspectModule(
  io: Io,
  name: string,
  kind: ModuleKind,
  flags: InspectModuleFlags,
): Promise<void> {
  const depth = depthOf(flags.depth);
  await using session = new Session(io, flags, LOOK);
  await using stack = new AsyncDisposableStack();
  const sources = await moduleSources(session, flags, { platform: machinePlatform(), stack });
  const found = await locateModule(name, sources, kind);
  const located = found.main.kind === kind ? found : undefined;
  if (located === undefined) {
    throw new UsageError(
      `Cannot inspect ${name}: it is a package of ${
        aKind(found.main.kind)
      } (see: wherry ${found.main.kind} inspect)`,
    );
  }
  const { output } = flags;
  io.stdout.write(
    output === "human"
      ? human(name, located, depth)
      : await formatStructured(keys(name, located), output),
  );
}

function keys(name: string, { main, modules }: Located): unknown {
  const shown = modules.map(({ info, ...rest }) => ({
    id: info.id,
    version: info.version,
    name: info.name || undefined,
    api: info.api,
    homepage: info.homepage || undefined,
    targets: info.targets,
    stacks: info.stacks,
    order: info.order.length > 0 ? orderJson(info.order) : undefined,
    layer_diff_id: "layer" in rest ? rest.layer.diffId : undefined,
    layer_size: "layer" in rest ? rest.layer.descriptor.size : undefined,
  }));
  return { name, kind: main.kind, id: main.id, version: main.version, modules: shown };
}

function human(name: string, found: Located, depth: number): string {
  const { main, modules } = plain({
    main: found.main,
    modules: found.modules.map(({ info }) => info),
  });
  const lines = [`Inspecting ${main.kind}: '${name}'`, "", `${keyOf(main)}`, ""];
  if (main.targets.length > 0) {
    lines.push("Targets:", ...main.targets.map((one) => `  ${formatTarget(one)}`), "");
  }
  if (main.stacks.length > 0) {
    lines.push("Stacks:");
    for (const { id, mixins } of main.stacks) {
      lines.push(`  ID: ${id}`, `    Mixins: ${mixins.join(", ") || "(omitted)"}`);
    }
    lines.push("");
  }
  lines.push(
    main.kind === "buildpack" ? "Buildpacks:" : "Extensions:",
    formatTable(
      ["ID", "NAME", "VERSION", "API", "HOMEPAGE"],
      modules.map((one) => [one.id, one.name || "-", one.version, one.api, one.homepage || "-"]),
      "  ",
    ),
  );
  if (main.order.length > 0) {
    lines.push(
      "Detection Order:",
      drawOrder(orderTree(main.order, modules, depth, new Set([keyOf(main)]))),
    );
  } else if (main.kind === "buildpack") {
    lines.push(
      "Detection Order:",
      drawOrder([{ members: [{ ...main, optional: false, cyclic: false, groups: [] }] }]),
    );
  }
  return lines.join("\n").trimEnd() + "\n";
}
