/** Orders as people see them: groups, their members, and what composites try below. */
import type { GroupElement, GroupOrder } from "../../lifecycle/file/module.ts";
import { keyOf, type ModuleInfo } from "../../lifecycle/platform/package/module.ts";

/** One member of a group, with its own order below it. */
export interface OrderNode {
  /** Its id. */
  readonly id: string;
  /** Its version; empty when nothing says it. */
  readonly version: string;
  /** The group can pass without it. */
  readonly optional: boolean;
  /** It stands above itself already. */
  readonly cyclic: boolean;
  /** Groups of a composite. */
  readonly groups: readonly OrderGroup[];
}

/** One group. */
export interface OrderGroup {
  /** Its members. */
  readonly members: readonly OrderNode[];
}

/**
 * The tree of `order` with the composites among `modules` opened.
 *
 * @param depth How deep composites are opened, as pack counts: 0 for none, -1 for all.
 */
export function orderTree(
  order: GroupOrder,
  modules: readonly ModuleInfo[],
  depth: number,
  above: ReadonlySet<string> = new Set(),
): readonly OrderGroup[] {
  const node = (element: GroupElement): OrderNode => {
    const info = modules.find((one) =>
      one.id === element.id && (element.version === "" || one.version === element.version)
    );
    const version = element.version || info?.version || "";
    const key = keyOf({ id: element.id, version });
    const cyclic = above.has(key);
    return {
      id: element.id,
      version,
      optional: element.optional,
      cyclic,
      groups: cyclic || info === undefined || depth === 0
        ? []
        : orderTree(info.order, modules, depth - 1, new Set([...above, key])),
    };
  };
  return order.map(({ group }) => ({ members: group.map(node) }));
}

/** The tree as pack draws it: `├ Group #1:`, members below; each list of groups is counted from 1. */
export function drawOrder(groups: readonly OrderGroup[], indent = " "): string {
  const drawGroups = (list: readonly OrderGroup[], indent: string): string =>
    list.map((group, at) => {
      const last = at === list.length - 1;
      const head = `${indent}${last ? "└" : "├"} Group #${at + 1}:\n`;
      return head + drawMembers(group.members, `${indent}${last ? " " : "│"}  `);
    }).join("");
  const drawMembers = (list: readonly OrderNode[], indent: string): string =>
    list.map((one, at) => {
      const last = at === list.length - 1;
      const marks = `${one.optional ? "    (optional)" : ""}${one.cyclic ? "    [cyclic]" : ""}`;
      const name = one.version === "" ? one.id : `${one.id}@${one.version}`;
      return `${indent}${last ? "└" : "├"} ${name}${marks}\n` +
        drawGroups(one.groups, `${indent}${last ? " " : "│"}  `);
    }).join("");
  return drawGroups(groups, indent);
}

/** The tree in pack's keys: a composite stands there once for each of its groups. */
export function orderKeys(groups: readonly OrderGroup[]): readonly Record<string, unknown>[] {
  return groups.map(({ members }) => ({ buildpacks: members.flatMap(nodeKeys) }));
}

function nodeKeys(
  { id, version, optional, cyclic, groups }: OrderNode,
): readonly Record<string, unknown>[] {
  const own = {
    id,
    version: version || undefined,
    optional: optional || undefined,
    cyclic: cyclic || undefined,
  };
  return groups.length === 0 ? [own] : orderKeys(groups).map((group) => ({ ...own, ...group }));
}
