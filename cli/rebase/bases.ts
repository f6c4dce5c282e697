/** Which base an image gets, and from where it may be read. */
import { ExitCode, LifecycleError } from "../../lifecycle/error.ts";
import { baseOf } from "../../lifecycle/phase/rebase.ts";
import { type BasePlace, type NewBase, openBase } from "../../lifecycle/platform/rebase_base.ts";
import { isLocalName, sameName } from "../../lifecycle/platform/same_name.ts";
import { type Image, readImage } from "../../registry/image.ts";
import { labelOf } from "../../registry/oci/config.ts";
import type { Platform } from "../../registry/oci/descriptor.ts";
import {
  familiarName,
  familiarRepository,
  parseReference,
  type Reference,
} from "../../registry/oci/reference.ts";
import { UsageError } from "../exit.ts";
import { fromRegistry, inStore, layout, type Located, readPlace } from "../places.ts";
import type { Session } from "../session.ts";
import type { BaseFlags } from "./flags.ts";
import type { Known } from "../known.ts";
import { type RebasePolicy, refusedBase } from "./policy.ts";
import { placeUnder } from "../pull_policy.ts";
import { METADATA_LABEL } from "../../lifecycle/file/lifecycle_metadata.ts";

/** An image's own surroundings, by which bases are chosen. */
export interface AppPlace {
  /** The registry in its name, which a base may be read from though only the image names it. */
  readonly host: string | undefined;
  /** Its repository there, when it is read from a registry. */
  readonly repository: string | undefined;
}

/** The bases of one run; each is opened once. */
export class Bases {
  readonly #session: Session;
  readonly #flags: Pick<BaseFlags, "runImage" | "pullPolicy">;
  readonly #policy: RebasePolicy;
  readonly #map: readonly (readonly [string, string])[];
  /** Hosts that the user or the configuration named. */
  readonly #named: ReadonlySet<string>;
  readonly #open = new Map<string, Promise<NewBase>>();
  readonly #known: Known | undefined;
  /** What a plan has pinned: by name the digest. */
  readonly #pins: ReadonlyMap<string, string>;

  /** Opens nothing yet. */
  constructor(
    session: Session,
    flags: Pick<BaseFlags, "runImage" | "runImageMap" | "pullPolicy">,
    policy: RebasePolicy,
    { pins = new Map(), known }: {
      readonly pins?: ReadonlyMap<string, string>;
      readonly known?: Known | undefined;
    } = {},
  ) {
    this.#known = known;
    this.#session = session;
    this.#flags = flags;
    this.#policy = policy;
    this.#pins = pins;
    this.#map = (flags.runImageMap ?? []).map(readMapping);
    const targets = this.#map.map(([, to]) => to);
    const allowed = (policy.runImages ?? []).map((pattern) => pattern.split("/")[0]!);
    const asked = flags.runImage === undefined ? [] : [flags.runImage];
    if ([...targets, ...asked].includes("scratch")) {
      throw new UsageError("Cannot rebase onto scratch: it is no image; want --run-image NAME");
    }
    this.#named = new Set([
      ...[...targets, ...asked].map(hostOf),
      ...allowed.filter((host) => !/[*?{]/.test(host)).map((host) => hostOf(`${host}/x`)),
    ].filter((host) => host !== undefined));
  }

  /** All that were opened, by the name they were opened under: what a plan pins. */
  async opened(): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    for (const [name, opening] of this.#open) {
      const base = await opening.catch(() => undefined);
      if (base !== undefined) found.set(name, base.digest);
    }
    return found;
  }

  /** Where the base that the command line names is, when it is a registry: known before it is opened. */
  get aheadAt(): { readonly host: string; readonly repository: string } | undefined {
    const { runImage, pullPolicy } = this.#flags;
    if (runImage === undefined || (pullPolicy ?? "always") !== "always" || isLocalName(runImage)) {
      return undefined;
    }
    const reference = readQuietly(runImage);
    return reference && { host: reference.registry, repository: reference.repository };
  }

  /** Opens the base that the command line names, if it names one: before any image is read. `early`: its config, too. */
  async ahead(early: boolean): Promise<NewBase | undefined> {
    const { runImage } = this.#flags;
    return runImage === undefined ? undefined : await this.#base(runImage, [], early);
  }

  /**
   * The base for an image: the one that was asked for, else the one its label names, from the image's own registry
   * first (RB-2). A host that only the label names is not visited (M-10).
   *
   * @throws {LifecycleError} When there is none, or none that may be asked.
   */
  async choose(app: Image, at: AppPlace): Promise<NewBase> {
    const { runImage } = this.#flags;
    if (runImage !== undefined) return await this.#base(runImage, this.#mappedTo(runImage));
    const label = labelOf(app.config, METADATA_LABEL) ?? "";
    const { runImage: known, stack } = baseOf(label);
    if (label !== "" && known.topLayer === "") {
      throw new LifecycleError(ExitCode.rebase, "it stands on no run image");
    }
    const names = known.image ? known : stack?.runImage;
    const all = [...new Set([names?.image ?? "", ...names?.mirrors ?? []])]
      .filter((name) => name !== "");
    if (all.length === 0) {
      throw new LifecycleError(ExitCode.arguments, "it names no run image: want --run-image");
    }
    const candidates = all.map((name) => ({ name: this.#mapped(name) ?? name, label: name }));
    const near = (name: string) => at.host !== undefined && hostOf(name) === at.host;
    const allowed = candidates.filter(({ name }) =>
      near(name) || this.#named.has(hostOf(name) ?? "")
    ).sort((a, b) => Number(near(b.name)) - Number(near(a.name)));
    if (allowed.length === 0) {
      throw new LifecycleError(
        ExitCode.rebase,
        `its label names ${all.join(", ")}, on a host that only the image names: want --run-image ${
          all[0]
        }, or run-images of a policy, or --run-image-map`,
      );
    }
    let first: unknown;
    for (const { name, label } of allowed) {
      try {
        return await this.#base(name, name === label ? [] : [label]);
      } catch (error) {
        this.#session.ctx.signal.throwIfAborted();
        first ??= error;
      }
    }
    throw first;
  }

  /** The base an image stands on; only where we go anyway, since an image may name any host of our network (M-10). */
  async old(reference: string, platform: Platform, at: AppPlace): Promise<Image | undefined> {
    const host = hostOf(reference);
    if (host === undefined || (host !== at.host && !this.#named.has(host))) return undefined;
    try {
      const place = await fromRegistry(this.#session, parseReference(reference));
      const { registry, repository } = place;
      const { signal } = this.#session.ctx;
      return await readImage(registry, repository, place.reference, platform, { signal });
    } catch {
      this.#session.ctx.signal.throwIfAborted();
      return undefined; // only to be surer of the cut
    }
  }

  async #base(name: string, alsoKnownAs: readonly string[], early = false): Promise<NewBase> {
    const key = sameName(name);
    let opening = this.#open.get(key);
    if (opening === undefined) {
      opening = this.#openBase(name, alsoKnownAs, early);
      this.#open.set(key, opening);
      opening.catch(() => {});
    }
    return await opening;
  }

  async #openBase(
    name: string,
    alsoKnownAs: readonly string[],
    early: boolean,
  ): Promise<NewBase> {
    const why = refusedBase(this.#policy, name);
    if (why !== undefined) throw new LifecycleError(ExitCode.rebase, why);
    const place = await this.#place(name);
    const pinned = this.#pins.get(sameName(name));
    const known = this.#known;
    const { signedBy } = this.#policy;
    const base = await openBase(
      { ...place, alsoKnownAs, ...(pinned === undefined ? {} : { reference: pinned }) },
      this.#session.ctx,
      { early, known: known && ((digest) => known.document(digest)) },
    );
    if (signedBy.length > 0) {
      const { demandSignature } = await import("./signed.ts");
      await demandSignature(name, base, signedBy, this.#session.ctx.signal);
    }
    return known === undefined ? base : {
      ...base,
      image: async (platform) => {
        const image = await base.image(platform);
        known.keep(image.manifest.config.digest, image.rawConfig);
        return image;
      },
    };
  }

  async #place(name: string): Promise<BasePlace> {
    const place = readPlace(name);
    switch (place.kind) {
      case "registry":
        return named(
          await placeUnder(this.#session, place.reference, this.#flags.pullPolicy),
          place.reference,
        );
      case "store":
        return named(await inStore(this.#session, place.reference), place.reference);
      case "oci":
        // A path of this machine has no meaning for whoever gets the image.
        return { ...await layout(this.#session, place, false), name: "", repositoryName: "" };
      default:
        throw new UsageError(`Cannot use run image ${name}: want a name, store:NAME or oci:DIR`);
    }
  }

  #mapped(name: string): string | undefined {
    for (const [from, to] of this.#map) {
      if (sameName(name) === sameName(from)) return to;
      const reference = readQuietly(name);
      const of = readQuietly(from);
      if (reference === undefined || of === undefined || hasTag(from) || hasTag(to)) continue;
      // A repository stands for all its tags.
      if (familiarRepository(reference) !== familiarRepository(of)) continue;
      return to + (reference.tag === undefined ? "" : `:${reference.tag}`);
    }
    return undefined;
  }

  /** The names in other images' labels that a mapping leads from to `name`. */
  #mappedTo(name: string): readonly string[] {
    return this.#map.flatMap(([from, to]) => {
      if (sameName(to) === sameName(name)) return [from];
      const [ours, target] = [readQuietly(name), readQuietly(to)];
      if (ours === undefined || target === undefined || hasTag(from) || hasTag(to)) return [];
      if (familiarRepository(ours) !== familiarRepository(target)) return [];
      return [from + (ours.tag === undefined ? "" : `:${ours.tag}`)];
    });
  }
}

function named(located: Located, reference: Reference): BasePlace {
  const { registry, repository } = located;
  return {
    registry,
    repository,
    reference: located.reference,
    name: familiarName(reference),
    repositoryName: familiarRepository(reference),
  };
}

function readMapping(text: string): readonly [string, string] {
  const [from = "", to = "", ...more] = text.split("=");
  if (from === "" || to === "" || more.length > 0) {
    throw new UsageError(`Cannot use --run-image-map ${JSON.stringify(text)}: want OLD=NEW`);
  }
  for (const name of [from, to]) readPlace(name);
  return [from, to];
}

function hasTag(name: string): boolean {
  return /[:@]/.test(name.slice(name.lastIndexOf("/") + 1));
}

function readQuietly(name: string): Reference | undefined {
  try {
    return parseReference(name);
  } catch {
    return undefined;
  }
}

/** The registry in a name; `undefined` for a place on this machine, or no name at all. */
export function hostOf(name: string): string | undefined {
  return isLocalName(name) ? undefined : readQuietly(name)?.registry;
}
