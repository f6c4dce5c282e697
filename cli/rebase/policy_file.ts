/** The text of a policy. */
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { FileError } from "../../lifecycle/error.ts";
import { parseDocument } from "../../lifecycle/file/document.ts";
import { isDate } from "../../lifecycle/file/toml.ts";
import { frozenAt, parseFreeze, wallClock } from "../../lifecycle/fleet/freeze.ts";
import { UsageError } from "../exit.ts";
import type { RebasePolicy } from "./policy.ts";

const schema = z.strictObject({
  "run-images": z.array(z.string()).optional(),
  frozen: z.array(z.string()).optional(),
  "opt-out-label": z.string().optional(),
  freeze: z.array(z.string()).optional(),
  "time-zone": z.string().optional(),
  "signed-by": z.array(z.string().min(1)).min(1).optional(),
  newer: z.boolean().optional(),
  // As a string, or one of TOML's own dates.
  "newer-than": z.union([z.string(), z.custom((value) => isDate(value)).transform(String)])
    .optional(),
  "same-distro": z.boolean().optional(),
  "require-sbom": z.array(z.enum(["image", "run-image"])).optional(),
});

/**
 * Reads it.
 *
 * @param nested It is in the table `[rebase]`.
 * @throws {UsageError} When it is none.
 */
export function parsePolicy(text: string, path: string, nested: boolean): RebasePolicy {
  let data: z.output<typeof schema>;
  try {
    // Of the settings only one table is ours; a file of its own is a policy and nothing else.
    data = nested
      ? parseDocument(z.object({ rebase: schema.optional() }), text, path).rebase ?? {}
      : parseDocument(schema, text, path);
  } catch (cause) {
    if (!(cause instanceof FileError)) throw cause;
    const said = cause.message.replace(/^Cannot parse /, "Cannot read policy ");
    throw new UsageError(said, { cause });
  }
  const timeZone = data["time-zone"] ?? "UTC";
  try {
    wallClock(timeZone);
    const freeze = (data.freeze ?? []).map(parseFreeze);
    return {
      runImages: data["run-images"],
      frozen: data.frozen ?? [],
      optOut: data["opt-out-label"],
      frozenAt: (moment) => frozenAt(freeze, timeZone, moment),
      signedBy: (data["signed-by"] ?? []).map((file) => resolve(dirname(path), file)),
      asks: {
        newer: data.newer,
        newerThan: data["newer-than"] === undefined ? undefined : momentOf(data["newer-than"]),
        sameDistro: data["same-distro"],
        sboms: data["require-sbom"],
      },
    };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new UsageError(`Cannot read policy ${path}: ${cause.message}`, { cause });
  }
}

function momentOf(text: string): Date {
  const moment = /^\d{4}-\d\d-\d\d/.test(text) ? new Date(text.replace(/\[.*$/, "")) : undefined;
  if (moment !== undefined && !Number.isNaN(moment.getTime())) return moment;
  throw new RangeError(
    `Cannot use newer-than ${JSON.stringify(text)}: want a date as in "2026-11-01"`,
  );
}
