/** What a fleet may be put on, and what is left alone: a small TOML file, or `[rebase]` of the settings. */
import { z } from "zod";
import { FileError } from "../../lifecycle/error.ts";
import { parseDocument } from "../../lifecycle/file/document.ts";
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
}

const schema = z.strictObject({
  "run-images": z.array(z.string()).optional(),
  frozen: z.array(z.string()).optional(),
  "opt-out-label": z.string().optional(),
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
  if (text === "") return { runImages: undefined, frozen: [], optOut: undefined };
  return parsePolicy(text, path ?? "policy", file === undefined);
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
  return {
    runImages: data["run-images"],
    frozen: data.frozen ?? [],
    optOut: data["opt-out-label"],
  };
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
