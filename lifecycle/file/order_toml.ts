import { z } from "zod";
import { type KnownKeys, parseDocument, unknownKeys } from "./document.ts";
import { type GroupOrder, groupOrder, orderTables } from "./module.ts";
import { formatToml } from "./toml.ts";

/** `order.toml`: what to try, best first. */
export interface Order {
  /** Groups of buildpacks. */
  readonly order: GroupOrder;
  /** Groups of image extensions. Always optional, whatever the file says (ORD-1). */
  readonly orderExtensions: GroupOrder;
  /** What people should be told about the file; absent when there is nothing to tell. */
  readonly warnings?: readonly string[] | undefined;
}

/** `optional` of an extension is heeded by nobody, yet people write it (ORD-1). */
const ELEMENT: KnownKeys = { id: true, version: true, optional: true, "exec-env": true };
const KNOWN: KnownKeys = { order: { group: ELEMENT }, "order-extensions": { group: ELEMENT } };

const schema: z.ZodType<Order> = z.lazy(() =>
  z.object({ order: groupOrder, "order-extensions": groupOrder })
    .transform((file): Order => ({
      order: file.order,
      orderExtensions: file["order-extensions"].map(({ group }) => ({
        group: group.map((one) => ({ ...one, optional: true })),
      })),
    }))
);

/**
 * Reads `order.toml` (ORD-1). Keys that mean nothing are warned of: with `[[order.grup]]` a buildpack would be left
 * out without a word.
 *
 * @throws {FileError} When it is malformed.
 */
export function parseOrderToml(source: string, file: string): Order {
  const order = parseDocument(schema, source, file);
  const warnings = unknownKeys(KNOWN, source, file);
  return warnings.length === 0 ? order : { ...order, warnings };
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
