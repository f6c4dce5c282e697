import type { Descriptor } from "../oci/descriptor.ts";
import type { CallOptions, RawManifest } from "../registry.ts";
import { statManifest } from "./manifest.ts";
import { type ManifestPlace, named } from "./place.ts";
import type { Session } from "./session.ts";

/** What a tag was so long ago, in milliseconds, it may still be. */
const GLANCE_MS = 1000;
/** Tags that are remembered so long; of a fleet no more are under way. */
const MAX_READS = 1000;

/** What a tag was, and when. */
interface Seen {
  readonly since: number;
  readonly what: Promise<Descriptor | undefined>;
}

/**
 * What tags were a moment ago. A registry that does not look itself what a tag is before it is put is asked right before;
 * who knows that a tag will be put can ask earlier, while other things are waited for.
 */
export class TagsSeen {
  readonly #session: Session;
  readonly #glances = new Map<string, Seen>();
  /** Tags whose manifests were read: as good as a glance to whoever says so. */
  readonly #reads = new Map<string, Seen>();

  /** Has seen nothing. */
  constructor(session: Session) {
    this.#session = session;
  }

  /** Looks at a tag that will be put; with `spare` not at one that was read a moment ago. */
  glance(
    place: ManifestPlace,
    { spare = false, signal }: CallOptions & { readonly spare?: boolean | undefined } = {},
  ): void {
    if (this.#session.learned.conditions === true) return;
    const key = named(place);
    const since = this.#session.now();
    const read = this.#reads.get(key);
    // The put is to come while it is still good.
    if (spare && read !== undefined && since - read.since < GLANCE_MS / 2) {
      this.#glances.set(key, read);
      return;
    }
    const what = statManifest(this.#session, place, { signal });
    what.catch(() => {}); // said to whoever puts
    this.#glances.set(key, { since, what });
  }

  /** A tag that was read was looked at, too. `since`: when it was asked for. */
  read(place: ManifestPlace, since: number, raw: RawManifest | undefined): void {
    if (this.#session.learned.conditions === true) return;
    const what = raw && {
      mediaType: raw.mediaType,
      digest: raw.digest,
      size: raw.bytes.byteLength,
    };
    const key = named(place);
    this.#reads.delete(key);
    this.#reads.set(key, { since, what: Promise.resolve(what) });
    for (const oldest of this.#reads.keys()) {
      if (this.#reads.size <= MAX_READS) break;
      this.#reads.delete(oldest);
    }
  }

  /** It changes now. */
  forget(place: ManifestPlace): void {
    this.#reads.delete(named(place));
  }

  /** What a tag is: by the last glance, which counts once, or by asking. */
  async look(place: ManifestPlace, signal?: AbortSignal): Promise<Descriptor | undefined> {
    const key = named(place);
    const glance = this.#glances.get(key);
    this.#glances.delete(key);
    const fresh = glance !== undefined && this.#session.now() - glance.since < GLANCE_MS;
    return await (fresh ? glance.what : statManifest(this.#session, place, { signal }));
  }
}
