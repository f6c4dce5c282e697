/** Threads that compute rebases of a store's images, so that the one with the database has its time for writing. */
import type { Image } from "../../registry/image.ts";
import { workerUrl } from "../../registry/layer/worker_url.ts";
import type { Platform } from "../../registry/oci/descriptor.ts";
import { rememberDigest } from "../../registry/oci/digest.ts";
import { type Manifest, rememberManifest } from "../../registry/oci/manifest.ts";
import type { NewBase } from "./rebase_base.ts";
import { type Computed, type MadeImage, platformKey } from "./rebase_compute.ts";
import type { ComputedAbout, RebaseAnswer, RebaseJob } from "./rebase_worker.ts";

/** An image that was computed elsewhere. */
export interface ComputedRebase {
  /** What it was, and what it shall be. */
  readonly image: Exclude<Computed, { readonly is: "waiting" | "unusual" }>;
  /** What it shall stand on. */
  readonly base: Image;
}

/** Images sent to a thread at once: what comes back together is written together, and of a page that many change each pays a part. */
const AT_ONCE = 64;

interface Asked {
  readonly repository: string;
  readonly reference: string;
  readonly resolve: (computed: Computed) => void;
}

/** A thread, and who waits for its answers: they come in order. */
interface Member {
  readonly worker: Worker;
  readonly waiting: (readonly Asked[])[];
  readonly ended: PromiseWithResolvers<void>;
}

/** The threads of one run. Dispose it before its store. */
export class RebasePool implements AsyncDisposable {
  readonly #base: NewBase;
  readonly #members: Member[] = [];
  readonly #bases = new Map<string, Promise<Image | undefined>>();
  #asked: Asked[] = [];

  /** Starts `workers` threads over the store in `dir`, which put images on `base`. */
  constructor(dir: string, base: NewBase, force: boolean, workers: number) {
    this.#base = base;
    const { name, repositoryName, alsoKnownAs = [] } = base.place;
    const order = { name, repositoryName, alsoKnownAs, digest: base.digest, force };
    for (let at = 0; at < workers; at++) this.#start({ dir, order });
  }

  /**
   * Computes one image. `undefined` when the caller has to: it is unusual, there is something to say of it, or no
   * thread is left.
   */
  async compute(repository: string, reference: string): Promise<ComputedRebase | undefined> {
    let computed = await this.#ask(repository, reference);
    if (computed.is === "waiting") {
      if (await this.#baseFor(computed.platform) === undefined) return undefined;
      computed = await this.#ask(repository, reference);
    }
    if (computed.is === "unusual" || computed.is === "waiting") return undefined;
    const base = await this.#baseFor(computed.platform);
    return base && { image: computed, base };
  }

  /** Ends the threads: those that are at work finish first. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { worker } of this.#members) worker.postMessage({ end: true } satisfies RebaseJob);
    await Promise.all(this.#members.map(({ ended }) => ended.promise));
    this.#members.length = 0;
  }

  #start(job: RebaseJob): void {
    const worker = new Worker(workerUrl("rebase"), { type: "module" });
    const member: Member = { worker, waiting: [], ended: Promise.withResolvers() };
    worker.onmessage = ({ data }: MessageEvent<RebaseAnswer>) => {
      const waiting = member.waiting.shift();
      if (waiting === undefined) return member.ended.resolve(); // the answer to the end
      tell(waiting, data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      worker.terminate();
      const at = this.#members.indexOf(member);
      if (at >= 0) this.#members.splice(at, 1);
      member.ended.resolve();
      for (const { resolve } of member.waiting.splice(0).flat()) resolve({ is: "unusual" });
    };
    worker.postMessage(job);
    this.#members.push(member);
  }

  #ask(repository: string, reference: string): Promise<Computed> {
    return new Promise((resolve) => {
      this.#asked.push({ repository, reference, resolve });
      // Not at once: many are asked for in one moment.
      if (this.#asked.length === 1) setTimeout(() => this.#send());
    });
  }

  #send(): void {
    const asked = this.#asked;
    this.#asked = [];
    const share = Math.min(AT_ONCE, Math.ceil(asked.length / Math.max(1, this.#members.length)));
    for (let at = 0; at < asked.length; at += share) {
      const some = asked.slice(at, at + share);
      const member = this.#members.toSorted((a, b) => a.waiting.length - b.waiting.length)[0];
      if (member === undefined) {
        for (const { resolve } of some) resolve({ is: "unusual" });
        continue;
      }
      member.waiting.push(some);
      const images = some.map(({ repository, reference }) => [repository, reference]);
      member.worker.postMessage({ images: JSON.stringify(images) } satisfies RebaseJob);
    }
  }

  /** The base for a platform, said to all threads the first time; `undefined` when there is none. */
  #baseFor(platform: Platform): Promise<Image | undefined> {
    const key = platformKey(platform);
    let base = this.#bases.get(key);
    if (base === undefined) {
      base = this.#base.image(platform).then((image) => {
        const { raw, rawConfig } = image;
        for (const { worker } of this.#members) {
          worker.postMessage({ platform, base: { raw, rawConfig } } satisfies RebaseJob);
        }
        return image;
      }).catch(() => undefined); // whoever computes the image here hears why
      this.#bases.set(key, base);
    }
    return base;
  }
}

function tell(asked: readonly Asked[], { answers: said, bytes }: RebaseAnswer): void {
  const answers = JSON.parse(said) as readonly ComputedAbout[];
  let at = 0;
  const next = (size: number) => bytes.subarray(at, at += size);
  asked.forEach(({ resolve }, index) => {
    const about = answers[index] ?? { is: "unusual" };
    const made = "made" in about && about.made;
    if (!made) return resolve(about as Computed);
    const manifest = next(made.manifestSize);
    resolve({ ...about, made: madeOf(made, manifest, next(made.config.size)) } as Computed);
  });
}

const TEXT = new TextDecoder();

/** What a thread of ours has made and hashed is neither hashed again nor looked at for what strangers may have put there. */
function madeOf(
  { mediaType, digest, config }: NonNullable<ComputedAbout["made"]>,
  bytes: Uint8Array<ArrayBuffer>,
  rawConfig: Uint8Array<ArrayBuffer>,
): MadeImage {
  rememberDigest(bytes, digest);
  rememberDigest(rawConfig, config.digest);
  const manifest = JSON.parse(TEXT.decode(bytes)) as Manifest;
  rememberManifest(bytes, mediaType, manifest);
  return { raw: { mediaType, digest, bytes }, rawConfig, config };
}
