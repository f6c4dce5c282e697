/**
 * What an image or a cache remembers of the build that made it: labels
 * `io.buildpacks.lifecycle.metadata` and `io.buildpacks.lifecycle.cache.metadata`, and the
 * `[metadata]` of `analyzed.toml`, which says the same in other words (ANT-3).
 */
import { z } from "zod";
import { check } from "./document.ts";
import { datePaths, goJson, goMap, parseJson, toTable } from "./json.ts";
import { isTable, type TomlTable } from "./toml.ts";

/** The label that tells the next build what it may reuse. */
export const METADATA_LABEL = "io.buildpacks.lifecycle.metadata";

/** A layer's diffID; empty when there is none. */
export interface Sha {
  /** `sha256:...` or empty. */
  readonly sha: string;
}

/** One layer of a buildpack. */
export interface LayerMetadata extends Sha {
  /** `[metadata]` of its TOML; `null` without any. */
  readonly data: TomlTable | null;
  /** Its flags at that build. */
  readonly build: boolean;
  /** It is in the image. */
  readonly launch: boolean;
  /** It is in the cache. */
  readonly cache: boolean;
}

/** What one buildpack left. */
export interface BuildpackLayers {
  /** The buildpack's id. */
  readonly key: string;
  /** Its version. */
  readonly version: string;
  /** By layer name. */
  readonly layers: Readonly<Record<string, LayerMetadata>>;
  /** `store.toml`; never in a cache. */
  readonly store?: { readonly metadata: TomlTable } | undefined;
}

/** Names of a run image. */
export interface RunImageNames {
  /** Its name as the platform writes it. */
  readonly image: string;
  /** Other places that hold it. */
  readonly mirrors: readonly string[];
}

/** What an image's next build may reuse. */
export interface LifecycleMetadata {
  /** Slices of the app, oldest first. */
  readonly app: readonly Sha[];
  /** Launch SBOMs. */
  readonly sbom?: Sha | undefined;
  /** In group order; launch layers only. */
  readonly buildpacks: readonly BuildpackLayers[];
  /** `<layers>/config`. */
  readonly config: Sha;
  /** The launcher. */
  readonly launcher: Sha;
  /** The links of processes; an empty sha when there are none. */
  readonly processTypes: Sha;
  /** The base it stands on. */
  readonly runImage: {
    /** DiffID of its last layer. */
    readonly topLayer: string;
    /** Digest reference. */
    readonly reference: string;
    /** Name, since P0.12. */
    readonly image?: string | undefined;
    /** Mirrors, since P0.12. */
    readonly mirrors?: readonly string[] | undefined;
  };
  /** Deprecated twin of the names. */
  readonly stack?: { readonly runImage: Partial<RunImageNames> } | undefined;
  /** Execution environment it was built for, since P0.15 (D4). */
  readonly execEnv?: string | undefined;
}

/** What a cache holds. */
export interface CacheMetadata {
  /** DiffID of the layer of cache SBOMs; empty when there is none. */
  readonly sbom: Sha;
  /** One entry a detected buildpack, also without layers. */
  readonly buildpacks: readonly BuildpackLayers[];
}

/** Go writes `null` for an empty list or a missing value; both mean nothing. */
function orNull<T extends z.ZodType>(schema: T) {
  return z.preprocess((seen) => seen === null ? undefined : seen, schema);
}

const text = orNull(z.string().default(""));
const flag = orNull(z.boolean().default(false));
const texts = orNull(z.array(z.string()).optional());
const sha: z.ZodType<Sha> = orNull(z.object({ sha: text }).default({ sha: "" }));
const noSha: z.ZodType<Sha | undefined> = orNull(z.object({ sha: text }).optional());
const free = z.unknown().optional();

const layer: z.ZodType<LayerMetadata> = z.lazy(() =>
  z.object({
    sha: text,
    data: free,
    // As analyzed.toml calls it.
    metadata: free,
    build: flag,
    launch: flag,
    cache: flag,
    dates: texts,
  }).transform((one): LayerMetadata => ({
    sha: one.sha,
    data: toTable(one.data ?? one.metadata, one.dates) ?? null,
    build: one.build,
    launch: one.launch,
    cache: one.cache,
  }))
);

/** A record of layers by name. Any name is data: the object has no prototype. */
const layers: z.ZodType<Record<string, LayerMetadata>> = z.unknown().transform((seen, context) => {
  const found: Record<string, LayerMetadata> = Object.create(null);
  if (seen === undefined || seen === null) return found;
  if (!isTable(seen)) {
    context.addIssue({ code: "custom", message: "a table" });
    return z.NEVER;
  }
  for (const [name, one] of Object.entries(seen)) {
    const parsed = layer.safeParse(one);
    if (parsed.success) found[name] = parsed.data;
    else {
      for (const { path, message } of parsed.error.issues) {
        context.addIssue({ code: "custom", path: [name, ...path], message });
      }
    }
  }
  return found;
});

const buildpacks: z.ZodType<BuildpackLayers[]> = z.lazy(() =>
  orNull(
    z.array(
      z.object({
        key: text,
        version: text,
        layers,
        store: orNull(z.object({ metadata: free, dates: texts }).optional()),
      }).transform((one): BuildpackLayers => {
        const { store, ...rest } = one;
        const metadata = store && toTable(store.metadata, store.dates);
        return metadata ? { ...rest, store: { metadata } } : rest;
      }),
    ).default([]),
  )
);

const names = { image: orNull(z.string().optional()), mirrors: texts };

function metadataSchema(runImage: "runImage" | "run-image", topLayer: "topLayer" | "top-layer") {
  return z.object({
    app: orNull(z.array(sha).default([])),
    sbom: noSha,
    buildpacks,
    config: sha.prefault({}),
    launcher: sha.prefault({}),
    "process-types": sha.prefault({}),
    [runImage]: orNull(
      z.object({ [topLayer]: text, reference: text, ...names }).prefault({}),
    ),
    stack: orNull(z.object({ [runImage]: orNull(z.object(names).optional()) }).optional()),
    "exec-env": orNull(z.string().optional()),
  });
}

/** What {@linkcode metadataSchema} gives; its computed keys are lost on the type checker. */
interface Parsed {
  readonly app: readonly Sha[];
  readonly sbom?: Sha | undefined;
  readonly buildpacks: readonly BuildpackLayers[];
  readonly config: Sha;
  readonly launcher: Sha;
  readonly "process-types": Sha;
  readonly "exec-env"?: string | undefined;
  readonly [key: string]: unknown;
}

type Names = { readonly [Key in keyof RunImageNames]?: RunImageNames[Key] | undefined };
type RunImage = Partial<RunImageNames> & Readonly<Record<string, unknown>>;

function fromParsed(parsed: Parsed, runImage: string, topLayer: string): LifecycleMetadata {
  const run = parsed[runImage] as RunImage;
  const stack = parsed.stack as Readonly<Record<string, RunImage | undefined>> | undefined;
  const named = (from: RunImage | undefined): Partial<RunImageNames> => ({
    ...(from?.image === undefined ? {} : { image: from.image }),
    ...(from?.mirrors === undefined ? {} : { mirrors: from.mirrors }),
  });
  return {
    app: parsed.app,
    ...(parsed.sbom?.sha ? { sbom: parsed.sbom } : {}),
    buildpacks: parsed.buildpacks,
    config: parsed.config,
    launcher: parsed.launcher,
    processTypes: parsed["process-types"],
    runImage: {
      topLayer: String(run[topLayer] ?? ""),
      reference: String(run.reference ?? ""),
      ...named(run),
    },
    ...(stack ? { stack: { runImage: named(stack[runImage]) } } : {}),
    ...(parsed["exec-env"] ? { execEnv: parsed["exec-env"] } : {}),
  };
}

const label = metadataSchema("runImage", "topLayer") as unknown as z.ZodType<Parsed>;
const analyzed = metadataSchema("run-image", "top-layer") as unknown as z.ZodType<Parsed>;

/**
 * Reads the label of an app image (LB-1).
 *
 * @throws {FileError} When it is not JSON or has another shape.
 */
export function parseLifecycleLabel(
  source: string,
  file = "label io.buildpacks.lifecycle.metadata",
): LifecycleMetadata {
  return fromParsed(check(label, parseJson(source, file), file), "runImage", "topLayer");
}

/**
 * Writes the label of an app image, byte for byte as Go does (LB-1, LB-2). Dates in free-form data
 * add a key `dates`, which Go does not know.
 */
export function formatLifecycleLabel(metadata: LifecycleMetadata): string {
  const { runImage, stack } = metadata;
  const named = (from: Names) => ({
    image: from.image || undefined,
    mirrors: from.mirrors && from.mirrors.length > 0 ? from.mirrors : undefined,
  });
  return goJson({
    app: metadata.app.map(({ sha }) => ({ sha })),
    sbom: metadata.sbom?.sha ? { sha: metadata.sbom.sha } : undefined,
    buildpacks: metadata.buildpacks.map(buildpackJson),
    config: { sha: metadata.config.sha },
    launcher: { sha: metadata.launcher.sha },
    "process-types": { sha: metadata.processTypes.sha },
    runImage: {
      topLayer: runImage.topLayer,
      reference: runImage.reference,
      ...named(runImage),
    },
    stack: stack && { runImage: named(stack.runImage) },
    "exec-env": metadata.execEnv || undefined,
  });
}

/**
 * Reads the metadata of a cache (CA-10).
 *
 * @throws {FileError} When it is not JSON or has another shape; a cache like that is an empty one (CA-4).
 */
export function parseCacheMetadata(
  source: string,
  file = "io.buildpacks.lifecycle.cache.metadata",
): CacheMetadata {
  return check(z.object({ sbom: sha.prefault({}), buildpacks }), parseJson(source, file), file);
}

/** Writes the metadata of a cache, without a newline at the end (CA-10). */
export function formatCacheMetadata(metadata: CacheMetadata): string {
  return goJson({
    sbom: { sha: metadata.sbom.sha },
    buildpacks: metadata.buildpacks.map((one) => buildpackJson({ ...one, store: undefined })),
  });
}

/**
 * Reads `[metadata]` of `analyzed.toml`.
 *
 * @throws {FileError} When it has another shape.
 */
export function lifecycleMetadataFromToml(table: TomlTable, file: string): LifecycleMetadata {
  return fromParsed(check(analyzed, table, file), "run-image", "top-layer");
}

/** `[metadata]` of `analyzed.toml`. */
export function lifecycleMetadataToToml(metadata: LifecycleMetadata): Record<string, unknown> {
  return {
    app: metadata.app.length > 0 ? metadata.app : undefined,
    sbom: metadata.sbom,
    buildpacks: metadata.buildpacks.length === 0 ? undefined : metadata.buildpacks.map((one) => ({
      key: one.key,
      version: one.version,
      layers: Object.fromEntries(
        Object.entries(one.layers).map(([name, { data, ...layer }]) => [name, {
          ...layer,
          metadata: data ?? undefined,
        }]),
      ),
      store: one.store,
    })),
    config: metadata.config,
    launcher: metadata.launcher,
    "process-types": metadata.processTypes,
    "run-image": {
      "top-layer": metadata.runImage.topLayer,
      reference: metadata.runImage.reference,
      image: metadata.runImage.image || undefined,
      mirrors: metadata.runImage.mirrors,
    },
    stack: metadata.stack && { "run-image": metadata.stack.runImage },
    "exec-env": metadata.execEnv || undefined,
  };
}

function buildpackJson(one: BuildpackLayers): unknown {
  const dates = (value: unknown) => {
    const found = datePaths(value);
    return found.length > 0 ? found : undefined;
  };
  return {
    key: one.key,
    version: one.version,
    layers: new Map(
      Object.entries(one.layers).map(([name, layer]) => [name, {
        sha: layer.sha,
        data: goMap(layer.data),
        build: layer.build,
        launch: layer.launch,
        cache: layer.cache,
        dates: dates(layer.data),
      }]),
    ),
    store: one.store &&
      { metadata: goMap(one.store.metadata), dates: dates(one.store.metadata) },
  };
}
