/** An app image on another base: layers are exchanged by name, none is read (16). */
import type { Log } from "../../registry/context.ts";
import { type ConfigCodec, type Image, makeImage } from "../../registry/image.ts";
import { isRecord, isTexts } from "../../registry/oci/usual.ts";
import { envOf, type History, type ImageConfig, labelOf } from "../../registry/oci/config.ts";
import { parseApiVersion } from "../api.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import { compareBytes } from "../../registry/compare_bytes.ts";
import { goJson, goJsonOfParsed, goMap, parseJson } from "../file/json.ts";
import {
  type LifecycleMetadata,
  METADATA_LABEL,
  parseLifecycleLabel,
  type RunImageNames,
} from "../file/lifecycle_metadata.ts";
import { type RebaseCheck, type RebaseObstacle, rebaseObstacles, saidBy } from "./rebase_check.ts";
import { DEFAULT_CREATED, formatTime } from "./created.ts";

/** What a rebase starts from. */
export interface RebaseInput {
  /** The image. */
  readonly app: Image;
  /** What it shall stand on. */
  readonly base: Image;
  /** The new base's name as given, and its digest reference. */
  readonly run: { readonly name: string; readonly reference: string };
  /** What the app stands on now, when that can be read: tells where its layers end (RB-7). */
  readonly oldBase?: Image | undefined;
  /** The rebaser knows targets (P0.12). */
  readonly targets: boolean;
  /** What is questionable is a warning. */
  readonly force: boolean;
  /** Makes two spellings of one image name equal. */
  readonly normalize: (name: string) => string;
  /** An image whose label names no run image, since it was built on a directory say, may stand on any that fits. */
  readonly unnamed?: boolean | undefined;
  /** Names the new base is known by besides: where it was copied from (demand 15). */
  readonly alsoKnownAs?: readonly string[] | undefined;
  /** How the app's config was read, and its new one is written. */
  readonly codec?: ConfigCodec | undefined;
}

/** A check refused a rebase: which, and what it saw on both sides. */
export class RebaseRefusal extends LifecycleError {
  /** Which one. */
  readonly check: RebaseCheck;
  /** What the app image says. */
  readonly app: string;
  /** What the new base says. */
  readonly base: string;
  /** Whether `-force` would turn it into a warning. */
  readonly overridable: boolean;

  /** Makes the error of an obstacle. */
  constructor(obstacle: RebaseObstacle) {
    const hint = obstacle.overridable ? "; please provide -force to override" : "";
    super(ExitCode.rebase, `${obstacle.why}${hint}`);
    this.name = "RebaseRefusal";
    this.check = obstacle.check;
    this.app = obstacle.app;
    this.base = obstacle.base;
    this.overridable = obstacle.overridable;
  }
}

const CREATED = formatTime(DEFAULT_CREATED);

/**
 * The app image on the new base: its config but for what the base says of the platform, its layers above the base's.
 * The same input gives the same digest, and a rebase onto the base it stands on gives the same image (RB-13).
 *
 * @throws {LifecycleError} 72 when it may not or cannot be done.
 */
export function rebaseImage(input: RebaseInput, log: Log): Image {
  const { app, base, force } = input;
  const byTarget = (parseApiVersion(envOf(app.config, "CNB_PLATFORM_API") ?? "")?.[1] ?? 0) >= 12;
  for (const obstacle of rebaseObstacles(app.config, base.config, byTarget)) {
    if (!obstacle.overridable || !force) throw new RebaseRefusal(obstacle);
    log.warn(saidBy(obstacle));
  }
  const label = labelOf(app.config, METADATA_LABEL);
  if (!label) {
    throw refused("metadata label", `get image metadata: it has no label ${METADATA_LABEL}`, {
      app: "none",
    });
  }
  const { runImage } = baseOf(label);
  const cut = cutOf(app, runImage.topLayer, input.oldBase);
  const layers = [...base.layers, ...app.layers.slice(cut)];
  const created = CREATED;
  const { variant: _variant, "os.version": _version, ...rest } = app.config as
    & ImageConfig
    & Record<string, unknown>;
  const theirs = base.config as ImageConfig & Record<string, unknown>;
  const config = {
    ...rest,
    created,
    os: base.config.os,
    architecture: base.config.architecture,
    ...(base.config.variant ? { variant: base.config.variant } : {}),
    ...(theirs["os.version"] ? { "os.version": theirs["os.version"] } : {}),
    config: { ...app.config.config, Labels: labelsOf(input, label, log) },
    history: [...historyOfBase(base), ...historyOf(app, cut, created)],
  } as ImageConfig;
  const image = makeImage(config, layers, app, app.manifest.annotations, input.codec);
  return isSame(image, app) ? app : image;
}

/** Whether the old base is needed to tell where the app's layers begin: its last layer is in the image twice (RB-7). */
export function needsOldBase(app: Image, topLayer: string): boolean {
  let seen = 0;
  for (const { diffId } of app.layers) if (diffId === topLayer) seen++;
  return seen > 1;
}

/** Whether both say the same, in whatever order: then the one that is there stays, with its digest (RB-13). */
function isSame(a: Image, b: Image): boolean {
  if (a.layers.length !== b.layers.length) return false;
  const same = (at: number) => a.layers[at]!.descriptor.digest === b.layers[at]!.descriptor.digest;
  if (!a.layers.every((_, at) => same(at))) return false;
  const text = ({ config, layers }: Image) =>
    goJson(goMap([config, layers.map(({ descriptor: { digest, size } }) => `${digest} ${size}`)]));
  return text(a) === text(b);
}

/**
 * What the metadata label says of the base. Nothing else is looked at: other parts had other shapes over time (ANT-2b).
 *
 * @throws {FileError} When it is not JSON or has another shape.
 */
export function baseOf(label: string): Base {
  return readLabel(label).base;
}

type Base = Pick<LifecycleMetadata, "runImage" | "stack">;

/** The label as JSON, not to be changed, and what it says of the base. */
function readLabel(label: string): { readonly json: Json; readonly base: Base } {
  const before = labels.get(label);
  if (before !== undefined) return before;
  const json = parseJson(label, `label ${METADATA_LABEL}`) as Json;
  const { runImage, stack } = json;
  const read = {
    json,
    base: usualBase(runImage, stack) ?? judgedBase(goJson({ runImage, stack })),
  };
  remember(labels, label, read);
  return read;
}

/**
 * What the schema would give for a label as lifecycles write it; `undefined` for any other, which the schema judges. To make
 * the schema takes longer than all else about one image.
 */
export function usualBase(runImage: unknown, stack: unknown): Base | undefined {
  const names = usualNames(runImage);
  if (names === undefined || !isRecord(runImage)) return undefined;
  const { topLayer, reference } = runImage;
  if (typeof topLayer !== "string" || typeof reference !== "string") return undefined;
  const base: Base = { runImage: { topLayer, reference, ...names } };
  if (stack === undefined) return base;
  const under = isRecord(stack) ? usualNames(stack["runImage"]) : undefined;
  return under && { ...base, stack: { runImage: under } };
}

function usualNames(from: unknown): Partial<RunImageNames> | undefined {
  if (!isRecord(from)) return undefined;
  const { image, mirrors } = from;
  const fits = (image === undefined || typeof image === "string") &&
    (mirrors === undefined || isTexts(mirrors));
  if (!fits) return undefined;
  return {
    ...(image === undefined ? {} : { image: image as string }),
    ...(mirrors === undefined ? {} : { mirrors: mirrors as string[] }),
  };
}

function judgedBase(text: string): Base {
  let base = bases.get(text);
  if (base === undefined) remember(bases, text, base = parseLifecycleLabel(text));
  return base;
}

/** One rebase asks several times, with as many others in between as are under way. */
const labels = new Map<string, { readonly json: Json; readonly base: Base }>();
/** A fleet stands on few bases. */
const bases = new Map<string, Base>();
const MAX_REMEMBERED = 64;

/** The oldest goes. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  if (map.size >= MAX_REMEMBERED) map.delete(map.keys().next().value!);
  map.set(key, value);
}

/** The number of layers that belong to the base (RB-7). */
function cutOf(app: Image, topLayer: string, oldBase: Image | undefined): number {
  const ids = app.layers.map(({ diffId }) => String(diffId));
  const under = oldBase?.layers.map(({ diffId }) => String(diffId));
  if (under !== undefined && under.at(-1) === topLayer) {
    if (under.every((id, at) => id === ids[at])) return under.length;
  }
  const first = ids.indexOf(topLayer);
  if (first < 0) {
    const why = topLayer === ""
      ? "it stands on no run image"
      : "could not find base layer in image";
    throw refused("base layer", `rebase app image: ${why}`, {
      app: `no layer ${topLayer || '""'}`,
    });
  }
  if (ids.indexOf(topLayer, first + 1) >= 0) {
    throw refused(
      "base layer",
      `rebase app image: its base's last layer ${topLayer} is in it twice, and the old base cannot be read to tell`,
      { app: `${topLayer} twice` },
    );
  }
  return first + 1;
}

/** The entries of the layers from `from` on; blank where history does not fit the layers (RB-8). */
function historyOf(image: Image, from: number, created: string): History[] {
  const entries = (image.config.history ?? []).filter((entry) => entry.empty_layer !== true);
  if (entries.length !== image.layers.length) {
    return image.layers.slice(from).map(() => ({ created }));
  }
  return entries.slice(from).map((entry) => ({ ...entry, created }));
}

/** That of a base, which many apps get. */
function historyOfBase(base: Image): readonly History[] {
  let history = histories.get(base);
  if (history === undefined) histories.set(base, history = historyOf(base, 0, CREATED));
  return history;
}

const histories = new WeakMap<Image, readonly History[]>();

/** The app's labels; those that describe the base are the new base's (RB-10). */
function labelsOf(input: RebaseInput, label: string, log: Log): Record<string, string> {
  const { app, base, targets } = input;
  const ofBase = (key: string) =>
    key.startsWith("io.buildpacks.stack.") || (targets && key.startsWith("io.buildpacks.base."));
  const [ours, theirs] = [app.config.config.Labels ?? {}, base.config.config.Labels ?? {}];
  const keys = [
    ...Object.keys(ours).filter((key) => !ofBase(key)),
    ...Object.keys(theirs).filter(ofBase),
  ].sort(compareBytes);
  const metadata = metadataOf(input, label, log);
  return Object.fromEntries(keys.map((key) => [
    key,
    key === METADATA_LABEL ? metadata : (ofBase(key) ? theirs : ours)[key]!,
  ]));
}

type Json = Record<string, unknown>;

/** The label with the new base in it; all else stays, also keys nobody knows (ANT-2b). */
function metadataOf(input: RebaseInput, label: string, log: Log): string {
  const { base, run, targets } = input;
  const metadata: Json = { ...readLabel(label).json };
  const before = metadata["runImage"] as Json | undefined ?? {};
  const changed: Json = {
    ...before,
    topLayer: base.layers.at(-1)?.diffId ?? "",
    reference: run.reference,
  };
  metadata["runImage"] = changed;
  if (!targets || isKnown(input, label)) return goJsonOfParsed(metadata);
  const names = knownNames(label);
  const known = JSON.stringify(baseOf(label).runImage.image ?? "not found");
  const obstacle: RebaseObstacle = {
    why:
      `rebase app image: new base image '${run.name}' not found in existing run image metadata: ${known}`,
    overridable: true,
    check: "run image name",
    app: names.join(", ") || "none",
    base: run.name || "none",
  };
  if (names.length > 0 || input.unnamed !== true) {
    if (!input.force) throw new RebaseRefusal(obstacle);
    log.warn(saidBy(obstacle));
  }
  const { mirrors: _mirrors, ...rest } = changed;
  // A base without a name, from a directory of this machine say, leaves none.
  const named = run.name === "" ? {} : { image: run.name };
  metadata["runImage"] = { ...rest, ...named };
  if (run.name === "") delete (metadata["runImage"] as Json)["image"];
  metadata["stack"] = { runImage: named };
  return goJsonOfParsed(metadata);
}

type Names = { readonly [Key in keyof RunImageNames]?: RunImageNames[Key] | undefined };

/** Whether the new base is one the app's builder named (RB-6). */
function isKnown({ run, normalize, alsoKnownAs = [] }: RebaseInput, label: string): boolean {
  const names = knownNames(label);
  if (names.includes(run.name)) return true;
  const bare = (name: string) => normalize(name.replace(/@[a-z0-9]+:[0-9a-f]+$/, ""));
  const ours = [run.name, ...alsoKnownAs].map(bare);
  return names.some((name) => ours.includes(bare(name)));
}

function knownNames(label: string): readonly string[] {
  const { runImage, stack } = baseOf(label);
  const names = new Set<string>();
  for (const { image = "", mirrors = [] } of [runImage, stack?.runImage ?? {}] as Names[]) {
    for (const name of [image, ...mirrors]) if (name !== "") names.add(name);
  }
  return [...names];
}

function refused(
  check: RebaseCheck,
  why: string,
  { app = "", base = "" }: { readonly app?: string; readonly base?: string } = {},
): RebaseRefusal {
  return new RebaseRefusal({ why, overridable: false, check, app, base });
}
