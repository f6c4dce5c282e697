import { z } from "zod";
import { parseDocument } from "./document.ts";
import { type GroupElement, groupElements, type GroupOrder, groupTables } from "./module.ts";
import { formatToml } from "./toml.ts";

/** `system.toml`: buildpacks that surround every group (P0.15). */
export interface System {
  /** In front of every group. */
  readonly pre: readonly GroupElement[];
  /** Behind every group. */
  readonly post: readonly GroupElement[];
}

const side = z.lazy(() => z.object({ buildpacks: groupElements }).prefault({ buildpacks: [] }));
const schema = z.lazy(() => z.object({ system: z.object({ pre: side, post: side }).prefault({}) }));

/**
 * Reads `system.toml` (SYS-1).
 *
 * @throws {FileError} When it is malformed.
 */
export function parseSystemToml(source: string, file: string): System {
  const { system } = parseDocument(schema, source, file);
  return { pre: system.pre.buildpacks, post: system.post.buildpacks };
}

/** Writes `system.toml`. */
export function formatSystemToml(system: System): string {
  const write = (group: readonly GroupElement[]) =>
    group.length > 0 ? { buildpacks: groupTables(group) } : undefined;
  return formatToml({ system: { pre: write(system.pre), post: write(system.post) } });
}

/**
 * `order` with the system's buildpacks around each group. One whose id is already in a group is not
 * added to it again (SYS-2).
 */
export function withSystem(order: GroupOrder, system: System): GroupOrder {
  return order.map(({ group }) => {
    const missing = (list: readonly GroupElement[]) =>
      list.filter(({ id }) => !group.some((member) => member.id === id));
    return { group: [...missing(system.pre), ...group, ...missing(system.post)] };
  });
}
