import { z } from "zod";
import { parseDocument } from "./document.ts";
import { type GroupOrder, groupOrder, orderTables } from "./module.ts";
import { formatToml } from "./toml.ts";

/** `order.toml`: what to try, best first. */
export interface Order {
  /** Groups of buildpacks. */
  readonly order: GroupOrder;
  /** Groups of image extensions. Always optional, whatever the file says (ORD-1). */
  readonly orderExtensions: GroupOrder;
}

const schema: z.ZodType<Order> = z.object({ order: groupOrder, "order-extensions": groupOrder })
  .transform((file): Order => ({
    order: file.order,
    orderExtensions: file["order-extensions"].map(({ group }) => ({
      group: group.map((one) => ({ ...one, optional: true })),
    })),
  }));

/**
 * Reads `order.toml` (ORD-1).
 *
 * @throws {FileError} When it is malformed.
 */
export function parseOrderToml(source: string, file: string): Order {
  return parseDocument(schema, source, file);
}

/** Writes `order.toml`. */
export function formatOrderToml(order: Order): string {
  const extensions = orderTables(order.orderExtensions).map(({ group }) => ({
    group: (group as Record<string, unknown>[]).map((one) => ({ ...one, optional: undefined })),
  }));
  return formatToml({
    order: orderTables(order.order),
    "order-extensions": extensions.length > 0 ? extensions : undefined,
  });
}
