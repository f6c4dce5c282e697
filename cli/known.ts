/** What earlier commands read and made, so that there is less to ask: files below `cache/rebase-1` of the store. */
import { join } from "node:path";
import { type Digest, digestOf, hexOf } from "../registry/oci/digest.ts";
import type { HostFacts, KnownRealm, RealmMemory } from "../registry/client/options.ts";
import type { KnownBases } from "../lifecycle/platform/rebase_layers.ts";

/** A registry may clean up: that a base is in a repository is believed so long, in milliseconds. */
const TRUSTED_MS = 10 * 60 * 1000;
/** Where a manifest that lacks something is refused, a belief that is wrong costs a request, and nothing else. */
const LONG_MS = 7 * 24 * 60 * 60 * 1000;
/** Another registry may answer by a name some day: what one was seen to do is believed so long. */
const FACTS_MS = 24 * 60 * 60 * 1000;
/** What nobody made or read for so long is forgotten, in milliseconds. */
const KEPT_MS = 60 * 24 * 60 * 60 * 1000;

/**
 * Manifests and configs by digest, and where bases are. Losing any of it costs a request; what was changed on the disk
 * is not believed. Dispose it: what is being written gets there.
 */
export class Known implements KnownBases, RealmMemory, AsyncDisposable {
  readonly #dir: string;
  readonly #writing = new Set<Promise<void>>();
  readonly #kept = new Set<Digest>();
  /** Said to be wrong: not to be believed before the file is gone. */
  readonly #wrong = new Set<Digest>();
  #swept = false;

  /** Below the store in `dir`, which need not be there. */
  constructor(dir: string) {
    this.#dir = join(dir, "cache", "rebase-1");
  }

  /** The bytes of a document, when they are here. */
  async document(digest: Digest): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const bytes = await Deno.readFile(this.#fileOf(digest)).catch(() => undefined);
    if (bytes === undefined || digestOf(bytes) !== digest) return undefined;
    this.#kept.add(digest);
    return bytes;
  }

  /** Keeps a document. Nobody waits, and nobody hears when it cannot be written. */
  keep(digest: Digest, bytes: Uint8Array): void {
    if (this.#kept.has(digest)) return;
    this.#kept.add(digest);
    this.#write(this.#fileOf(digest), bytes);
  }

  async has(place: string, base: Digest, refuses: boolean): Promise<boolean> {
    const key = keyOf(place, base);
    if (this.#wrong.has(key)) return false;
    const file = await Deno.stat(this.#fileOf(key)).catch(() => undefined);
    const age = Date.now() - (file?.mtime?.getTime() ?? 0);
    return age < (refuses ? LONG_MS : TRUSTED_MS);
  }

  add(place: string, base: Digest): void {
    const key = keyOf(place, base);
    if (!this.#wrong.has(key)) this.#write(this.#fileOf(key), new Uint8Array());
  }

  remove(place: string, base: Digest): void {
    const key = keyOf(place, base);
    this.#wrong.add(key);
    this.#act(() => Deno.remove(this.#fileOf(key)));
  }

  async facts(host: string): Promise<HostFacts> {
    const { refuses, singlePost, inOrder } = await this.#noteOf(hostKey("facts", host));
    return { refuses: flag(refuses), singlePost: flag(singlePost), inOrder: flag(inOrder) };
  }

  keepFacts(host: string, facts: HostFacts): void {
    this.#note(hostKey("facts", host), facts);
  }

  async realm(host: string): Promise<KnownRealm | undefined> {
    const { realm, service } = await this.#noteOf(hostKey("realm", host));
    if (typeof realm !== "string" || realm === "") return undefined;
    return { realm, ...(typeof service === "string" ? { service } : {}) };
  }

  keepRealm(host: string, realm: KnownRealm): void {
    this.#note(hostKey("realm", host), realm);
  }

  forgetRealm(host: string): void {
    this.#act(() => Deno.remove(this.#fileOf(hostKey("realm", host))));
  }

  /** A note of the last day; empty when there is none, or it was changed into something else. */
  async #noteOf(key: Digest): Promise<Readonly<Record<string, unknown>>> {
    const path = this.#fileOf(key);
    const file = await Deno.stat(path).catch(() => undefined);
    if (Date.now() - (file?.mtime?.getTime() ?? 0) >= FACTS_MS) return {};
    try {
      return Object(JSON.parse(await Deno.readTextFile(path)));
    } catch {
      return {};
    }
  }

  #note(key: Digest, note: object): void {
    this.#write(this.#fileOf(key), new TextEncoder().encode(JSON.stringify(note)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#writing);
  }

  #fileOf(digest: Digest): string {
    const hex = hexOf(digest);
    return join(this.#dir, hex.slice(0, 2), hex);
  }

  #write(path: string, bytes: Uint8Array): void {
    this.#act(async () => {
      const dir = join(path, "..");
      await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
      if (!this.#swept) {
        this.#swept = true;
        await sweep(dir);
      }
      const temporary = `${path}.${crypto.randomUUID()}`;
      try {
        Deno.writeFileSync(temporary, bytes, { mode: 0o600 });
        await Deno.rename(temporary, path);
      } catch (error) {
        await Deno.remove(temporary).catch(() => {});
        throw error;
      }
    });
  }

  #act(act: () => Promise<void>): void {
    const acting = act().catch(() => {}).finally(() => this.#writing.delete(acting));
    this.#writing.add(acting);
  }
}

/** One directory of 256 each time: all have their turn. */
async function sweep(dir: string): Promise<void> {
  for await (const { name } of Deno.readDir(dir)) {
    const path = join(dir, name);
    const age = Date.now() - ((await Deno.stat(path)).mtime?.getTime() ?? Date.now());
    if (age > KEPT_MS) await Deno.remove(path);
  }
}

function keyOf(place: string, base: Digest): Digest {
  return digestOf(new TextEncoder().encode(`base ${base} in ${place}`));
}

/** Of this host alone: no other is any the wiser. */
function hostKey(what: string, host: string): Digest {
  return digestOf(new TextEncoder().encode(`${what} of ${host.toLowerCase()}`));
}

/** What is no flag is nothing. */
function flag(value: unknown): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}
