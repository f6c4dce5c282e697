/** What a fleet may be put on, and what is left alone: a small TOML file, or `[rebase]` of the settings. */
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { ExitCode, FileError, LifecycleError } from "../../lifecycle/error.ts";
import { isDate } from "../../lifecycle/file/toml.ts";
import { parseDocument } from "../../lifecycle/file/document.ts";
import {
  type FreezeWindow,
  frozenAt,
  parseFreeze,
  wallClock,
} from "../../lifecycle/fleet/freeze.ts";
import { matchesAny } from "../../lifecycle/fleet/pattern.ts";
import { type ImageConfig, labelOf } from "../../registry/oci/config.ts";
import { fileFault, UsageError } from "../exit.ts";
import { settingsPath } from "../registry_settings.ts";
import type { Session } from "../session.ts";

/** A policy. */
export interface RebasePolicy {
  /** Patterns of run images that are allowed; their hosts are named by it. Without any, all are. */
  readonly runImages: readonly string[] | undefined;
  /** Patterns of images that are left alone. */
  readonly frozen: readonly string[];
  /** An image with this label (`name`, or `name=value`) is left alone. */
  readonly optOut: string | undefined;
  /** When nothing is moved, on the clock of `timeZone`. */
  readonly freeze: readonly FreezeWindow[];
  readonly timeZone: string;
  /** Files of public keys: one of them must have signed a run image. Without any, nobody need have. */
  readonly signedBy: readonly string[];
  /** What is looked at in images and their bases. */
  readonly asks: PolicyQuestions;
}

/** What a policy asks of an image and its new base, besides what any rebase does; `--force` does not help. */
export interface PolicyQuestions {
  /** The new base was made after the one that the image stands on. */
  readonly newer?: boolean | undefined;
  /** It was made after this moment. */
  readonly newerThan?: Date | undefined;
  /** Both are of one distribution, in one version. */
  readonly sameDistro?: boolean | undefined;
  /** Which of the two must have a bill of materials. */
  readonly sboms?: readonly ("image" | "run-image")[] | undefined;
}

/** The policy of those who have none. */
const NONE: RebasePolicy = {
  runImages: undefined,
  frozen: [],
  optOut: undefined,
  freeze: [],
  timeZone: "UTC",
  signedBy: [],
  asks: {},
};

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
 * The policy of `--policy`, else that of `[rebase]` in the settings.
 *
 * @throws {UsageError} When it cannot be read.
 */
export async function readPolicy(
  session: Session,
  file: string | undefined,
): Promise<RebasePolicy> {
  const path = file === undefined ? settingsPath(session.io.env) : session.path(file);
  let text = "";
  if (path !== undefined) {
    try {
      text = await Deno.readTextFile(path);
    } catch (cause) {
      if (file !== undefined || !(cause instanceof Deno.errors.NotFound)) {
        throw new UsageError(`Cannot read policy ${path}: ${fileFault(cause)}`, { cause });
      }
    }
  }
  // Nearly everybody has none, and the schema takes a while to be made.
  if (text === "") return NONE;
  const policy = parsePolicy(text, path ?? "policy", file === undefined);
  // Whoever cannot read a key shall not find out image by image.
  if (policy.signedBy.length > 0) await (await import("./signed.ts")).readKeys(policy.signedBy);
  return policy;
}

/** Reads the text; `nested`: it is in the table `[rebase]`. */
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
  const timeZone = data["time-zone"] ?? NONE.timeZone;
  try {
    wallClock(timeZone);
    return {
      runImages: data["run-images"],
      frozen: data.frozen ?? [],
      optOut: data["opt-out-label"],
      freeze: (data.freeze ?? []).map(parseFreeze),
      timeZone,
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

/** Whether images and bases need not be looked at more than any rebase does. */
export function asksNothing({ asks }: RebasePolicy): boolean {
  return !asks.newer && asks.newerThan === undefined && !asks.sameDistro &&
    (asks.sboms ?? []).length === 0;
}

/** Why nothing may be moved now. */
export function frozenNow({ freeze, timeZone }: RebasePolicy, now: Date): string | undefined {
  return frozenAt(freeze, timeZone, now);
}

/**
 * Says that nothing may be moved now.
 *
 * @param looks Nothing is going to be: a warning.
 * @throws {LifecycleError} Else.
 */
export function refuseFrozen(session: Session, why: string | undefined, looks: boolean): void {
  if (why === undefined) return;
  if (!looks) throw new LifecycleError(ExitCode.rebase, `Cannot rebase now: ${why}`);
  session.log.warn(`What is said here could not be done now: ${why}`);
}

/** Why an image is left alone by its name. */
export function frozenBy(policy: RebasePolicy, name: string): string | undefined {
  return policy.frozen.length > 0 && matchesAny(name, policy.frozen)
    ? "the policy has frozen it"
    : undefined;
}

/** Why an image is left alone by its label. */
export function optedOut({ optOut }: RebasePolicy, config: ImageConfig): string | undefined {
  if (optOut === undefined) return undefined;
  const [name = "", ...rest] = optOut.split("=");
  const value = labelOf(config, name);
  const wanted = rest.length === 0 ? undefined : rest.join("=");
  const out = value !== undefined && (wanted === undefined ? value !== "false" : value === wanted);
  return out ? `its label ${name} says ${JSON.stringify(value)}` : undefined;
}

/** Why a run image may not be used. */
export function refusedBase({ runImages }: RebasePolicy, name: string): string | undefined {
  if (runImages === undefined || matchesAny(name, runImages)) return undefined;
  return `Cannot use run image ${name}: the policy allows ${runImages.join(", ") || "none"}`;
}
