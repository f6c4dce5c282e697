import { z } from "zod";
import { digestSchema } from "./descriptor.ts";
import { type Digest, isDigest } from "./digest.ts";
import { OciError } from "./error.ts";
import { parseStrictJson } from "./json.ts";
import { inOrder, isRecord, isTexts } from "./usual.ts";

/** One line of an image's history. Bottom layer first; `empty_layer` entries made no layer. */
export interface History {
  /** RFC 3339. */
  readonly created?: string | undefined;
  /** What made the layer. */
  readonly created_by?: string | undefined;
  /** Free-form. */
  readonly author?: string | undefined;
  /** Free-form. */
  readonly comment?: string | undefined;
  /** It made no layer. */
  readonly empty_layer?: boolean | undefined;
}

/** How a container is started. Unknown keys are kept, as Go's structs would not (CF-4). */
export interface ContainerConfig {
  /** `user`, `uid`, `user:group`, ... */
  readonly User?: string | undefined;
  /** `NAME=value`, in order. */
  readonly Env?: readonly string[] | null | undefined;
  /** First part of the command line. */
  readonly Entrypoint?: readonly string[] | null | undefined;
  /** Second part of it. */
  readonly Cmd?: readonly string[] | null | undefined;
  /** Where it starts. */
  readonly WorkingDir?: string | undefined;
  /** Free-form; CNB's metadata is here. */
  readonly Labels?: Readonly<Record<string, string>> | null | undefined;
  /** Anything else. */
  readonly [key: string]: unknown;
}

/** The image config. Unknown keys are kept. */
export interface ImageConfig {
  /** `linux`, ... */
  readonly os: string;
  /** `amd64`, ... */
  readonly architecture: string;
  /** `v8`, ... */
  readonly variant?: string | undefined;
  /** RFC 3339. */
  readonly created?: string | undefined;
  /** How a container is started. */
  readonly config: ContainerConfig;
  /** Plain (uncompressed) layers, oldest first. */
  readonly rootfs: { readonly type: "layers"; readonly diff_ids: readonly Digest[] };
  /** Oldest first. */
  readonly history?: readonly History[] | undefined;
  /** Anything else. */
  readonly [key: string]: unknown;
}

const strings = z.array(z.string()).nullable().optional();
const configSchema = z.lazy(() =>
  z.looseObject({
    os: z.string().default(""),
    architecture: z.string().default(""),
    variant: z.string().optional(),
    created: z.string().optional(),
    config: z.looseObject({
      User: z.string().optional(),
      Env: strings,
      Entrypoint: strings,
      Cmd: strings,
      WorkingDir: z.string().optional(),
      Labels: z.record(z.string(), z.string()).nullable().optional(),
    }).nullish().transform((config) => config ?? {}),
    rootfs: z.looseObject({
      type: z.literal("layers").default("layers"),
      diff_ids: z.array(digestSchema).nullish().transform((ids) => ids ?? []),
    }),
    history: z.array(z.looseObject({
      created: z.string().optional(),
      created_by: z.string().optional(),
      author: z.string().optional(),
      comment: z.string().optional(),
      empty_layer: z.boolean().optional(),
    })).nullish().transform((history) => history ?? undefined),
  })
);

/**
 * Reads an image config.
 *
 * @param read Gives its JSON, or throws a `SyntaxError` as {@linkcode parseStrictJson} does.
 * @throws {OciError} `MANIFEST_INVALID` with the path of the first fault.
 */
export function parseConfig(
  bytes: Uint8Array,
  read: (bytes: Uint8Array) => unknown = parseStrictJson,
): ImageConfig {
  let json: unknown;
  try {
    json = read(bytes);
  } catch (cause) {
    throw new OciError(
      "MANIFEST_INVALID",
      `Cannot read image config: it ${(cause as Error).message}`,
      { cause },
    );
  }
  const usual = usualConfig(json);
  if (usual !== undefined) return usual;
  const result = configSchema.safeParse(json);
  if (result.success) return result.data as unknown as ImageConfig;
  const issue = result.error.issues[0];
  throw new OciError(
    "MANIFEST_INVALID",
    `Cannot read image config: ${issue?.path.join(".") || "document"}: ${issue?.message}`,
  );
}

/**
 * What the schema would give for a config as builders write it; `undefined` for any other, which the schema judges.
 * Fleets are thousands of the usual ones, and the schema takes longer than all else about them.
 */
function usualConfig(json: unknown): ImageConfig | undefined {
  if (!isRecord(json)) return undefined;
  const { config, rootfs, history } = json;
  if (typeof json["os"] !== "string" || typeof json["architecture"] !== "string") return undefined;
  if (!isText(json["variant"]) || !isText(json["created"])) return undefined;
  if (!isRecord(config) || !isRecord(rootfs) || !Array.isArray(history)) return undefined;
  const { Labels } = config;
  const { diff_ids } = rootfs;
  const fits = isText(config["User"]) && isText(config["WorkingDir"]) &&
    ["Env", "Entrypoint", "Cmd"].every((key) => {
      const value = config[key];
      return value === undefined || value === null || isTexts(value);
    }) &&
    (Labels === undefined || Labels === null ||
      isRecord(Labels) && isTexts(Object.values(Labels))) &&
    rootfs["type"] === "layers" && isTexts(diff_ids) && diff_ids.every(isDigest) &&
    history.every(isUsualHistory);
  if (!fits) return undefined;
  const ordered = inOrder(json, TOP_KEYS);
  ordered["config"] = inOrder(config, CONTAINER_KEYS);
  ordered["rootfs"] = inOrder(rootfs, ["type", "diff_ids"]);
  ordered["history"] = history.map((entry) => inOrder(entry, HISTORY_KEYS));
  return ordered as unknown as ImageConfig;
}

const TOP_KEYS = ["os", "architecture", "variant", "created", "config", "rootfs", "history"];
const CONTAINER_KEYS = ["User", "Env", "Entrypoint", "Cmd", "WorkingDir", "Labels"];
const HISTORY_TEXTS = ["created", "created_by", "author", "comment"];
const HISTORY_KEYS = [...HISTORY_TEXTS, "empty_layer"];

function isUsualHistory(entry: unknown): entry is Record<string, unknown> {
  if (!isRecord(entry)) return false;
  const empty = entry["empty_layer"];
  return (empty === undefined || typeof empty === "boolean") &&
    HISTORY_TEXTS.every((key) => isText(entry[key]));
}

function isText(value: unknown): value is string | undefined {
  return value === undefined || typeof value === "string";
}

/** The value of `name` in `Env`; the last one counts. */
export function envOf(config: ImageConfig, name: string): string | undefined {
  return config.config.Env?.findLast((entry) => entry.startsWith(name + "="))
    ?.slice(name.length + 1);
}

/** The value of a label. */
export function labelOf(config: ImageConfig, key: string): string | undefined {
  const labels = config.config.Labels;
  return labels && Object.hasOwn(labels, key) ? labels[key] : undefined;
}
