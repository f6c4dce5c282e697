/** What a fleet may be put on, and what is left alone: a small TOML file, or `[rebase]` of the settings. */
import { ExitCode, LifecycleError } from "../../lifecycle/error.ts";
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
  /** Why nothing may be moved at this moment. */
  readonly frozenAt: (moment: Date) => string | undefined;
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
  frozenAt: () => undefined,
  signedBy: [],
  asks: {},
};

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
  // Nearly everybody has none, and what reads it takes a while to be loaded.
  if (text === "") return NONE;
  const { parsePolicy } = await import("./policy_file.ts");
  const policy = parsePolicy(text, path ?? "policy", file === undefined);
  // Whoever cannot read a key shall not find out image by image.
  if (policy.signedBy.length > 0) await (await import("./signed.ts")).readKeys(policy.signedBy);
  return policy;
}

/** Whether images and bases need not be looked at more than any rebase does. */
export function asksNothing({ asks }: RebasePolicy): boolean {
  return !asks.newer && asks.newerThan === undefined && !asks.sameDistro &&
    (asks.sboms ?? []).length === 0;
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
