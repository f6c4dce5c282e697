/** Rebases one image, wherever it is, and says what became of it. Never writes before the journal knows of it. */
import type { Intent } from "../../lifecycle/fleet/journal.ts";
import type { Decision, FleetResult } from "../../lifecycle/fleet/result.ts";
import type { NewBase } from "../../lifecycle/platform/rebase_base.ts";
import { type ComputedRebase, RebasePool } from "../../lifecycle/platform/rebase_pool.ts";
import { writeComputed } from "../../lifecycle/platform/rebase_computed.ts";
import {
  NotThereError,
  type PreparedRebase,
  prepareRebase,
} from "../../lifecycle/platform/rebase_read.ts";
import { BaseLayers, isRemote } from "../../lifecycle/platform/rebase_layers.ts";
import { writeRebase } from "../../lifecycle/platform/rebase_write.ts";
import { sameName } from "../../lifecycle/platform/same_name.ts";
import { beginTally } from "../../registry/client/counter.ts";
import type { RegistryClient } from "../../registry/client/options.ts";
import type { Image } from "../../registry/image.ts";
import type { Platform } from "../../registry/oci/descriptor.ts";
import { formatPlatform } from "../../registry/oci/platform.ts";
import type { Place, Reference } from "../../registry/oci/reference.ts";
import type { Memo } from "../../registry/store/store.ts";
import { UsageError } from "../exit.ts";
import { inRegistry, inStore, layout, readPlace, type Writable } from "../places.ts";
import type { Session } from "../session.ts";
import type { AppPlace, Bases } from "./bases.ts";
import type { Known } from "../known.ts";
import { describeFailure, type Said, sentBy, Skip, type Stage, statesOf } from "./outcome.ts";
import { asksNothing, frozenBy, optedOut, type RebasePolicy } from "./policy.ts";
import { fillTag, isSource, isStore, namesOf, targetsOf } from "./targets.ts";

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
  readonly #olds = new Map<string, Promise<Image | undefined>>();
  /** How often each was said, whichever image it was of. */
  readonly #warnings = new Map<string, number>();
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
    for (const [line, times] of this.#warnings) {
      if (times > 1) {
        this.#session.log.warn(`The same of ${times - 1} more (-v says which): ${line}`);
      }
    }
    await this.#pool?.[Symbol.asyncDispose]();
    await Promise.all(this.#notes);
    await this.#how.known?.[Symbol.asyncDispose]();
    await (await this.#lease)?.[Symbol.asyncDispose]();
  }

  /** What is true of one image is true of thousands at times: it is said of the first, and how many there were. */
  #warn(name: string, line: string): void {
    const { log } = this.#session;
    const times = (this.#warnings.get(line) ?? 0) + 1;
    this.#warnings.set(line, times);
    if (times === 1) log.warn(`${name}: ${line}`);
    else log.debug(`${name}: ${line}`);
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
    const tally = beginTally(signal);
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
        ...sentBy(tally),
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
    const raw = await source.registry.manifest(source.repository, source.reference, {
      signal,
      withConfig: true,
    });
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
        judge: asksNothing(this.#policy) ? undefined : async (candidate) => {
          const { judge } = await import("./judge.ts");
          await judge(this.#policy.asks, candidate, source, this.#oldBases(at), signal);
        },
        force: how.force,
        normalize: sameName,
        known: documents && ((digest) => documents.document(digest)),
        log: {
          ...this.#session.log,
          warn: (line) => this.#warn(name, line),
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
    const targets = targetsOf(how, target, reference, prepared, this.#session.ctx.now());
    if (
      prepared.old === prepared.made &&
      targets.every((one) => isSource(one, prepared, target))
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

  /** Bases that images stand on, each read once: only a policy asks for them. */
  #oldBases(at: AppPlace): (reference: string, platform: Platform) => Promise<Image | undefined> {
    return (reference, platform) => {
      const key = `${at.host} ${formatPlatform(platform)} ${reference}`;
      const reading = this.#olds.get(key) ?? this.#bases.old(reference, platform, at);
      this.#olds.set(key, reading);
      return reading;
    };
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
      backupTag === undefined && !dryRun && this.#policy.optOut === undefined &&
      asksNothing(this.#policy);
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

  async #backUp(
    { registry, repository }: Writable,
    reference: Reference | undefined,
    { old, made, base }: PreparedRebase,
    signal: AbortSignal,
  ): Promise<void> {
    const { backupTag } = this.#how;
    if (backupTag === undefined) return;
    const own = reference?.tag ?? "latest";
    const tag = fillTag(backupTag, own, made.digest, base.digest, this.#session.ctx.now());
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

function memoKey(name: string): string {
  return `rebase ${sameName(name)}`;
}

function hostOfPlace(place: Place): string | undefined {
  return place.kind === "registry" || place.kind === "store" ? place.reference.registry : undefined;
}
