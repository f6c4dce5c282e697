/** Orders as trees. */
import { equal } from "node:assert/strict";
import { drawOrder, type OrderNode } from "./order_tree.ts";

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
