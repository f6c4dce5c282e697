/** Rebases one image, wherever it is, and says what became of it. Never writes before the journal knows of it. */
import type { Intent } from "../../lifecycle/fleet/journal.ts";
import type { Decision, FleetResult, ImageState } from "../../lifecycle/fleet/result.ts";
import { LifecycleError } from "../../lifecycle/error.ts";
import { METADATA_LABEL } from "../../lifecycle/file/lifecycle_metadata.ts";
import { baseOf, RebaseRefusal } from "../../lifecycle/phase/rebase.ts";
import { saidBy } from "../../lifecycle/phase/rebase_check.ts";
import type { NewBase } from "../../lifecycle/platform/rebase_base.ts";
import { type ComputedRebase, RebasePool } from "../../lifecycle/platform/rebase_pool.ts";
import { writeComputed } from "../../lifecycle/platform/rebase_computed.ts";
import {
  NotCnbError,
  NotThereError,
  type PreparedRebase,
  prepareRebase,
} from "../../lifecycle/platform/rebase_read.ts";
import { BaseLayers, isRemote } from "../../lifecycle/platform/rebase_layers.ts";
import { type RebaseTarget, writeRebase } from "../../lifecycle/platform/rebase_write.ts";
import { sameName } from "../../lifecycle/platform/same_name.ts";
import { tallyOf } from "../../registry/client/counter.ts";
import type { RegistryClient } from "../../registry/client/options.ts";
import type { Image } from "../../registry/image.ts";
import type { UnmetDetail } from "../../registry/expectation.ts";
import { labelOf } from "../../registry/oci/config.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import { isOciError } from "../../registry/oci/error.ts";
import { familiarName, isTag, type Place, type Reference } from "../../registry/oci/reference.ts";
import { storeRepository } from "../../registry/store/name.ts";
import type { Memo } from "../../registry/store/store.ts";
import { failureOf, UsageError } from "../exit.ts";
import { inRegistry, inStore, layout, readPlace, type Writable } from "../places.ts";
import type { Session } from "../session.ts";
import type { AppPlace, Bases } from "./bases.ts";
import type { Known } from "./known.ts";
import { frozenBy, optedOut, type RebasePolicy } from "./policy.ts";

/** One image to rebase. */
export interface RebaseItem {
  /** As it was named. */
  readonly name: string;
  /** It is in its registry, whatever the command says of the others. */
  readonly published?: boolean | undefined;
  /** What a plan says of it: any other state is somebody else's. */
  readonly planned?: { readonly old: string; readonly new: string } | undefined;
}

/** How images are rebased. */
export interface RebaseHow {
  /** Images are in their registries, not in the store. */
  readonly publish: boolean;
  /** What is questionable is a warning. */
  readonly force: boolean;
  /** Only say what would be done. */
  readonly dryRun: boolean;
  /** Names to give it besides; all in the place of the image. */
  readonly tags?: readonly string[] | undefined;
  /** The image to take instead of the one that is named; it is not changed. */
  readonly from?: string | undefined;
  /** The result gets this tag instead of the image's own. */
  readonly tagTemplate?: string | undefined;
  /** The old image keeps this one. */
  readonly backupTag?: string | undefined;
  /** Told before a tag moves; the tag waits for it. */
  readonly onIntent?: ((intent: Intent) => Promise<void>) | undefined;
  /** What earlier runs know of images. */
  readonly memo?: Memo | undefined;
  /** Documents that earlier runs saw, and where bases are. */
  readonly known?: Known | undefined;
  /** It is about one image, for which anything known is worth a look. */
  readonly single?: boolean | undefined;
}

/** What became of an image, and the error that a command for this one image ends with. */
export interface Outcome {
  /** For reports. */
  readonly result: FleetResult;
  /** What went wrong. */
  readonly error?: unknown;
  /** What was computed, if it came to that. */
  readonly prepared?: PreparedRebase | undefined;
  /** The image as it is, of an index its first; also where a check refused it. */
  readonly app?: Image | undefined;
}

/** Smaller fleets are done before a thread has started. */
const ALONE = 64;
/** Beside the one thread that writes; more than three would wait for it. */
const THREADS = Math.min(3, navigator.hardwareConcurrency - 1);

/** Rebases images of one run. */
export class Rebaser implements AsyncDisposable {
  readonly #session: Session;
  readonly #bases: Bases;
  readonly #policy: RebasePolicy;
  readonly #how: RebaseHow;
  readonly #layers: BaseLayers;
  readonly #signals: AbortSignal[] = [];
  readonly #layouts = new Map<string, Promise<Writable>>();
  readonly #notes = new Set<Promise<void>>();
  #ahead: NewBase | undefined;
  /** Images of the store so far, and who computes for them. */
  #inStore = 0;
  #pool: RebasePool | undefined;
  /** Keeps collectors from what the run brings into the store, until its end. */
  #lease: Promise<AsyncDisposable> | undefined;

  /** Opens nothing yet. */
  constructor(session: Session, bases: Bases, policy: RebasePolicy, how: RebaseHow) {
    this.#session = session;
    this.#bases = bases;
    this.#policy = policy;
    this.#how = how;
    this.#layers = new BaseLayers(how.known);
  }

  /**
   * Starts to open the base that the command line names, while images are read.
   *
   * @param early Its config is wanted at any rate.
   * @returns Settles when it is open; rejects when there is none such: then there is nothing to do.
   */
  async open(early = false): Promise<void> {
    this.#ahead = await this.#bases.ahead(early);
  }

  /** Gives the store free; what was noted gets to the disk. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool?.[Symbol.asyncDispose]();
    await Promise.all(this.#notes);
    await this.#how.known?.[Symbol.asyncDispose]();
    await (await this.#lease)?.[Symbol.asyncDispose]();
  }

  /** Says to the image's registry what is about to come, before anything is sent: see {@linkcode RegistryClient.foresee}. */
  async foresee({ name, published }: RebaseItem): Promise<void> {
    const place = readPlace(name);
    if (place.kind !== "registry" && place.kind !== "store") return;
    const target = await this.#locate(place, published);
    const at = { host: hostOfPlace(place), repository: target.repository };
    if ("foresee" in target.registry) this.#foresee(target, at);
  }

  /** Does one. `worker` is used by one act at a time: what is sent meanwhile is the act's. */
  async rebase(item: RebaseItem, worker = 0): Promise<Outcome> {
    const started = performance.now();
    const signal = this.#signalOf(worker);
    const tally = tallyOf(signal);
    tally.requests = 0;
    tally.bytes = 0;
    let decision: Decision;
    let said: Partial<FleetResult> = {};
    let error: unknown;
    const stage: Stage = {};
    try {
      ({ decision, ...said } = await this.#act(item, signal, stage));
    } catch (caught) {
      this.#session.ctx.signal.throwIfAborted();
      error = caught;
      ({ decision, ...said } = describeFailure(caught, stage));
    }
    const { old, made } = statesOf(stage);
    return {
      error,
      prepared: stage.prepared,
      app: stage.seen?.app,
      result: {
        reference: item.name,
        decision,
        ...(old === undefined ? {} : { old }),
        ...(made === undefined || (decision !== "rebased" && decision !== "would rebase")
          ? {}
          : { new: made }),
        ...said,
        requests: tally.requests,
        bytes: tally.bytes,
        ms: Math.round(performance.now() - started),
      },
    };
  }

  async #act(item: RebaseItem, signal: AbortSignal, stage: Stage): Promise<Said> {
    const { name, planned } = item;
    const how = this.#how;
    const frozen = frozenBy(this.#policy, name.replace(/^store:/, ""));
    if (frozen !== undefined) return { decision: "skipped", reason: frozen };
    const place = readPlace(name);
    const target = await this.#locate(place, item.published);
    const source = how.from === undefined ? target : await this.#locate(readPlace(how.from));
    const reference = "reference" in place && typeof place.reference === "object"
      ? place.reference
      : undefined;
    const at: AppPlace = {
      host: hostOfPlace(place),
      repository: "foresee" in source.registry ? source.repository : undefined,
    };
    this.#foresee(target, at);
    const computed = await this.#computed(target, reference, planned);
    if (computed !== undefined) {
      return await this.#writeComputed(name, target, computed, stage, signal);
    }
    const recalled = this.#layers.recall(target.registry);
    const known = planned === undefined && how.from === undefined && !isStore(target)
      ? await this.#lastSeen(name)
      : undefined;
    if (known !== undefined) {
      // One request says that nothing happened since.
      const now = await target.registry.stat(target.repository, target.reference, { signal });
      if (now?.digest === known.new) {
        const state = { digest: known.new, base: known.base };
        return { decision: "current", old: state };
      }
    }
    const raw = await source.registry.manifest(source.repository, source.reference, { signal });
    if (raw === undefined) throw this.#absent(source, place);
    if (planned !== undefined && raw.digest === planned.new) {
      return { decision: "current", old: { digest: raw.digest, base: "" } };
    }
    if (planned !== undefined && raw.digest !== planned.old) {
      return {
        decision: "moved",
        reason: `skipped: moved, it is ${raw.digest} and was planned from ${planned.old}`,
      };
    }
    let out: string | undefined;
    const documents = this.#documentsOf(target);
    const prepared = await prepareRebase(
      source,
      {
        chooseBase: async (app) => {
          stage.seen ??= { app, digest: raw.digest };
          out ??= optedOut(this.#policy, app.config);
          if (out !== undefined) throw new Skip(out);
          const base = await this.#bases.choose(app, at);
          this.#foresee(target, at, base);
          return base;
        },
        oldBase: (of, platform) => this.#bases.old(of, platform, at),
        force: how.force,
        normalize: sameName,
        known: documents && ((digest) => documents.document(digest)),
        log: {
          ...this.#session.log,
          warn: (line) => this.#session.log.warn(`${name}: ${line}`),
        },
        signal,
      },
      raw,
    );
    stage.prepared = prepared;
    if (planned !== undefined && prepared.made.digest !== planned.new) {
      return {
        decision: "failed",
        reason: `it would become ${prepared.made.digest}, the plan says ${planned.new}`,
      };
    }
    const targets = this.#targets(target, reference, prepared);
    if (
      prepared.old === prepared.made &&
      targets.every((one) => this.#isSource(one, prepared, target))
    ) {
      if (!isStore(target)) this.#remember(name, prepared);
      keepConfigs(documents, prepared.images.map(({ old }) => old));
      return { decision: "current" };
    }
    if (how.dryRun) {
      keepConfigs(documents, prepared.images.map(({ old }) => old));
      return { decision: "would rebase", tags: namesOf(target, targets) };
    }
    await how.onIntent?.({ intent: name, old: prepared.old.digest, new: prepared.made.digest });
    if (isStore(target)) {
      await (this.#lease ??= this.#session.store().then((store) => store.lease()));
    }
    await this.#backUp(target, reference, prepared, signal);
    // By digest it is true whatever becomes of the image: kept while requests are on their way.
    keepConfigs(documents, prepared.images.map(({ made }) => made));
    await recalled;
    await writeRebase(prepared, target.registry, targets, this.#layers, signal);
    if (!isStore(target)) this.#remember(name, prepared);
    return { decision: "rebased", tags: namesOf(target, targets) };
  }

  /** What another thread made of an image of the store: of a fleet that only gives its images another base. */
  async #computed(
    target: Writable,
    reference: Reference | undefined,
    planned: RebaseItem["planned"],
  ): Promise<ComputedRebase | undefined> {
    const { from, tags = [], tagTemplate, backupTag, dryRun, single, force } = this.#how;
    const base = this.#ahead;
    const plain = from === undefined && tags.length === 0 && tagTemplate === undefined &&
      backupTag === undefined && !dryRun && this.#policy.optOut === undefined;
    if (!plain || single || base === undefined || !isStore(target)) return undefined;
    if (reference === undefined || reference.digest !== undefined) return undefined;
    if (this.#inStore++ < ALONE || THREADS < 1) return undefined;
    this.#pool ??= new RebasePool(this.#session.storeDir(), base, force, THREADS);
    const computed = await this.#pool.compute(target.repository, target.reference);
    if (computed === undefined || planned === undefined) return computed;
    const { old, made } = computed.image;
    return old === planned.old && made?.raw.digest === planned.new ? computed : undefined;
  }

  async #writeComputed(
    name: string,
    target: Writable,
    { image, base }: ComputedRebase,
    stage: Stage,
    signal: AbortSignal,
  ): Promise<Said> {
    stage.computed = image;
    const { old, made } = image;
    if (made === undefined) return { decision: "current" };
    const { registry, repository, reference: tag } = target;
    await this.#how.onIntent?.({ intent: name, old, new: made.raw.digest });
    await (this.#lease ??= this.#session.store().then((store) => store.lease()));
    const to = { repository, tag, expect: [old] };
    await writeComputed(made, base, registry, to, this.#layers, signal);
    return { decision: "rebased", tags: namesOf(target, [to]) };
  }

  /** Where the result goes: the image's own tag only from where it was read, so that nobody's change is lost. */
  #targets(
    target: Writable,
    reference: Reference | undefined,
    { old, made, base }: PreparedRebase,
  ): readonly RebaseTarget[] {
    const how = this.#how;
    const { repository } = target;
    const own = reference === undefined
      ? target.reference
      : reference.tag ?? (reference.digest === undefined ? "latest" : undefined);
    const targets: RebaseTarget[] = [];
    if (how.tagTemplate !== undefined) {
      const tag = fill(
        how.tagTemplate,
        own ?? "latest",
        made.digest,
        base.digest,
        this.#session.ctx.now(),
      );
      targets.push({ repository, tag, expect: "absent" });
    } else if (own === undefined) {
      targets.push({ repository });
    } else {
      targets.push({
        repository,
        tag: own,
        ...(how.from === undefined ? { expect: [old.digest] } : {}),
      });
    }
    for (const name of how.tags ?? []) {
      const other = readPlace(name);
      if (other.kind !== "registry" || reference === undefined) {
        throw new UsageError(`Cannot tag ${name}: --tag goes with the name of an image`);
      }
      if (other.reference.digest !== undefined || other.reference.registry !== reference.registry) {
        throw new UsageError(
          `Cannot tag ${name}: want a tag on the registry of ${familiarName(reference)}`,
        );
      }
      targets.push({
        repository: this.#repositoryOf(other.reference, target),
        tag: other.reference.tag ?? "latest",
      });
    }
    return targets;
  }

  #repositoryOf(other: Reference, target: Writable): string {
    return isStore(target) ? storeRepository(other) : other.repository;
  }

  #isSource(one: RebaseTarget, { source }: PreparedRebase, target: Writable): boolean {
    return (source.registry as unknown) === target.registry &&
      source.repository === one.repository &&
      (one.tag ?? source.reference) === source.reference;
  }

  async #backUp(
    { registry, repository }: Writable,
    reference: Reference | undefined,
    { old, made, base }: PreparedRebase,
    signal: AbortSignal,
  ): Promise<void> {
    const { backupTag } = this.#how;
    if (backupTag === undefined) return;
    const own = reference?.tag ?? "latest";
    const tag = fill(backupTag, own, made.digest, base.digest, this.#session.ctx.now());
    await registry.pushManifest(repository, { mediaType: old.mediaType, bytes: old.bytes }, {
      signal,
      tags: [tag],
    });
  }

  async #locate(place: Place, published = false): Promise<Writable> {
    switch (place.kind) {
      case "registry":
        return this.#how.publish || published
          ? await inRegistry(this.#session, place.reference)
          : await inStore(this.#session, place.reference);
      case "store":
        return await inStore(this.#session, place.reference);
      case "oci": {
        const key = `${place.path}:${place.tag ?? ""}`;
        const opening = this.#layouts.get(key) ?? layout(this.#session, place, false);
        this.#layouts.set(key, opening);
        return await opening;
      }
      default:
        throw new UsageError(
          `Cannot rebase ${place.kind}:${place.path}: an archive is written in one piece; want a name, store:NAME or oci:DIR`,
        );
    }
  }

  /** One token for all of it, where a registry has tokens. */
  #foresee(target: Writable, at: AppPlace, base = this.#ahead): void {
    const client = target.registry as Partial<RegistryClient>;
    if (client.foresee === undefined || at.repository === undefined) return;
    const ahead = this.#bases.aheadAt;
    const from = base === undefined
      ? ahead?.host === at.host ? ahead?.repository : undefined
      : (base.place.registry as unknown) === client
      ? base.place.repository
      : undefined;
    const near = from !== undefined && from !== target.repository;
    client.foresee([
      { repository: target.repository, write: !this.#how.dryRun },
      ...(near ? [{ repository: from, write: false }] : []),
    ]);
  }

  #absent(source: Writable, place: Place): Error {
    if (source.registry.name !== "store" || place.kind !== "registry") {
      return new NotThereError(source.name);
    }
    return new NotThereError(
      source.name,
      " in the store (see: wherry ls); --publish means the one in its registry",
    );
  }

  async #lastSeen(
    name: string,
  ): Promise<{ readonly new: string; readonly base: string } | undefined> {
    const { memo, tagTemplate, tags = [] } = this.#how;
    if (memo === undefined || this.#ahead === undefined || tagTemplate !== undefined) {
      return undefined;
    }
    if (tags.length > 0) return undefined;
    const [digest = "", under = "", base = ""] = (await memo.get(memoKey(name)))?.split(" ") ?? [];
    return under === this.#ahead.digest ? { new: digest, base } : undefined;
  }

  /** Nobody waits: without it a later run looks at the image once more. */
  #remember(name: string, { made, images, base }: PreparedRebase): void {
    const { memo, dryRun } = this.#how;
    if (memo === undefined || dryRun) return;
    const under = images[0]?.newBase ?? "";
    const noted = memo.set(memoKey(name), `${made.digest} ${base.digest} ${under}`)
      .catch(() => {})
      .finally(() => this.#notes.delete(noted));
    this.#notes.add(noted);
  }

  /**
   * Documents that may be here instead of being asked for. In a fleet only where that saves more than it costs: our own server
   * answers as fast as the disk.
   */
  #documentsOf({ registry }: Writable): Known | undefined {
    const { known, single } = this.#how;
    if (!isRemote(registry)) return undefined;
    return single || registry.facts.conditions !== true ? known : undefined;
  }

  #signalOf(worker: number): AbortSignal {
    let signal = this.#signals[worker];
    if (signal === undefined) {
      const controller = new AbortController();
      const all = this.#session.ctx.signal;
      all.addEventListener("abort", () => controller.abort(all.reason), { once: true });
      if (all.aborted) controller.abort(all.reason);
      this.#signals[worker] = signal = controller.signal;
    }
    return signal;
  }
}

function keepConfigs(known: Known | undefined, images: readonly Image[]): void {
  for (const { manifest, rawConfig } of images) known?.keep(manifest.config.digest, rawConfig);
}

/** There an image is read as fast as what an earlier run noted of it. */
function isStore({ registry }: Writable): boolean {
  return registry.name === "store";
}

/** How far an act came. */
interface Stage {
  prepared?: PreparedRebase;
  /** Instead of it, where another thread did it. */
  computed?: ComputedRebase["image"];
  /** Its first image, once it is read, and the digest of the whole: known also when a check refuses it. */
  seen?: { readonly app: Image; readonly digest: string };
}

type Said = Pick<FleetResult, "decision" | "reason" | "check" | "tags"> & {
  readonly old?: ImageState;
};

/** The image itself says that it is to be left alone. */
class Skip extends Error {}

function memoKey(name: string): string {
  return `rebase ${sameName(name)}`;
}

function statesOf(
  { prepared, seen, computed }: Stage,
): { readonly old?: ImageState; readonly made?: ImageState } {
  if (computed !== undefined) {
    const made = computed.made?.raw.digest ?? computed.old;
    return {
      old: { digest: computed.old, base: computed.oldBase },
      made: { digest: made, base: computed.newBase },
    };
  }
  if (prepared === undefined) {
    if (seen === undefined) return {};
    return { old: { digest: seen.digest, base: saidBase(seen.app) } };
  }
  const { old, made, images: [first] } = prepared;
  return {
    old: { digest: old.digest, base: first?.oldBase ?? "" },
    made: { digest: made.digest, base: first?.newBase ?? "" },
  };
}

/** The base in the image's label; nothing where the label cannot be read. */
function saidBase({ config }: Image): string {
  try {
    return baseOf(labelOf(config, METADATA_LABEL) ?? "{}").runImage.reference;
  } catch {
    return "";
  }
}

function namesOf(target: Writable, targets: readonly RebaseTarget[]): readonly string[] {
  return targets.flatMap(({ repository, tag }) =>
    tag === undefined ? [] : [
      repository === target.repository ? `${target.repositoryName}:${tag}` : `${repository}:${tag}`,
    ]
  );
}

function describeFailure(error: unknown, stage: Stage): Said {
  const { message = "" } = failureOf(error);
  if (error instanceof Skip) return { decision: "skipped", reason: error.message };
  if (error instanceof NotThereError) return { decision: "unreadable", reason: message };
  if (error instanceof NotCnbError) return { decision: "not CNB", reason: message };
  if (error instanceof RebaseRefusal) {
    const { check: name, app, base } = error;
    return { decision: "refused", reason: reasonOf(error), check: { name, app, base } };
  }
  if (error instanceof LifecycleError) return { decision: "refused", reason: message };
  if (isOciError(error, "PRECONDITION_FAILED")) {
    const now = (error.detail as Partial<UnmetDetail> | undefined)?.digest;
    const made = (stage.prepared?.made ?? stage.computed?.made?.raw)?.digest;
    if (now !== undefined && now !== null && now === made) return { decision: "current" };
    return { decision: "moved", reason: `skipped: moved, it is ${now ?? "gone"}` };
  }
  const reading = (stage.prepared ?? stage.computed) === undefined && isOciError(error);
  return { decision: reading ? "unreadable" : "failed", reason: message };
}

/** A refusal in the words of people: the check, what it saw, and what helps. */
export function reasonOf({ check, app, base, overridable, message: why }: RebaseRefusal): string {
  return saidBy({ check, app, base, why }) +
    (overridable ? "; --force makes this a warning" : "");
}

/** A tag made of a template: `{tag}`, `{date}` as 20260131, `{digest}` and `{base}` as their first twelve digits. */
function fill(template: string, tag: string, digest: Digest, base: Digest, now: Date): string {
  const short = (text: Digest) => text.slice(text.indexOf(":") + 1, text.indexOf(":") + 13);
  const made = template
    .replaceAll("{tag}", tag)
    .replaceAll("{date}", now.toISOString().slice(0, 10).replaceAll("-", ""))
    .replaceAll("{digest}", short(digest))
    .replaceAll("{base}", short(base));
  if (isTag(made)) return made;
  throw new UsageError(
    `Cannot use tag ${JSON.stringify(made)} of ${
      JSON.stringify(template)
    }: want {tag}, {date}, {digest}, {base} and characters of a tag`,
  );
}

function hostOfPlace(place: Place): string | undefined {
  return place.kind === "registry" || place.kind === "store" ? place.reference.registry : undefined;
}
