/** Orders as trees. */
import { deepEqual, equal } from "node:assert/strict";
import type { ModuleInfo } from "../../lifecycle/platform/package/module.ts";
import { drawOrder, orderKeys, type OrderNode, orderTree } from "./order_tree.ts";

const node = (id: string, groups: OrderNode["groups"] = []): OrderNode => ({
  id,
  version: "",
  optional: false,
  cyclic: false,
  groups,
});

Deno.test("an order is drawn as pack draws it: every list of groups is counted from 1", () => {
  const inner = [{ members: [node("c")] }, { members: [node("d")] }];
  equal(
    drawOrder([{ members: [node("a", inner)] }, { members: [node("b")] }]),
    ` ├ Group #1:
 │  └ a
 │     ├ Group #1:
 │     │  └ c
 │     └ Group #2:
 │        └ d
 └ Group #2:
    └ b
`,
  );
});

Deno.test("--depth counts composites that are opened, and a composite stands in pack's keys once a group", () => {
  const order = (...groups: readonly string[][]) =>
    groups.map((group) => ({
      group: group.map((id) => ({ id, version: "1", optional: id === "c", execEnv: [] })),
    }));
  const info = (id: string, ...groups: readonly string[][]) =>
    ({ id, version: "1", order: order(...groups) }) as unknown as ModuleInfo;
  const modules = [info("a", ["b"], ["c"]), info("b", ["a"]), info("c")];
  const keys = (depth: number) => orderKeys(orderTree(order(["a"]), modules, depth));
  const plain = (value: unknown) => JSON.parse(JSON.stringify(value));
  const a = { id: "a", version: "1" };
  const b = { id: "b", version: "1" };
  const c = { id: "c", version: "1", optional: true };
  deepEqual(plain(keys(0)), [{ buildpacks: [a] }]);
  deepEqual(plain(keys(1)), [
    { buildpacks: [{ ...a, buildpacks: [b] }, { ...a, buildpacks: [c] }] },
  ]);
  const cyclic = { ...b, buildpacks: [{ ...a, cyclic: true }] };
  deepEqual(plain(keys(-1)), [
    { buildpacks: [{ ...a, buildpacks: [cyclic] }, { ...a, buildpacks: [c] }] },
  ]);
});
