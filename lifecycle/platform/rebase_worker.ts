/// <reference lib="deno.worker" />
/**
 * Reads images of a store and computes what they are on a new base, in a thread of its own. In the executable it is
 * without zod: an image that only a schema can judge is unusual, and the thread that writes does it.
 */
import type { Descriptor, Platform } from "../../registry/oci/descriptor.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import { openStore, type Store } from "../../registry/store/store.ts";
import {
  type BaseDocuments,
  type Computed,
  RebaseComputer,
  type RebaseOrder,
} from "./rebase_compute.ts";

/** What the pool sends. */
export type RebaseJob =
  /** Once, first: the store, and how to rebase. */
  | { readonly dir: string; readonly order: RebaseOrder }
  /** A base. */
  | { readonly platform: Platform; readonly base: BaseDocuments }
  /** Images, as JSON of pairs of repository and reference; each has one answer, in order. */
  | { readonly images: string }
  /** No more is coming: the worker closes the store and says so with an empty answer. */
  | { readonly end: true };

/** An image's documents lie in the bytes beside the answers, manifest first. */
export type ComputedAbout = Computed extends infer One ? Omit<One & Computed, "made"> & {
    readonly made?: {
      readonly mediaType: string;
      readonly digest: Digest;
      readonly config: Descriptor;
      readonly manifestSize: number;
    };
  }
  : never;

/** What the worker answers. */
export interface RebaseAnswer {
  /** As many as images were sent, as JSON: a text goes between threads in a part of the time that objects take. */
  readonly answers: string;
  /** The documents that were made, one behind the other. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<RebaseJob>) => void;
  postMessage(answer: RebaseAnswer, transfer: readonly Transferable[]): void;
  close(): void;
};

let store: Store | undefined;
/** None where the store cannot be opened: all images are left to others, who hear why. */
let computer: RebaseComputer | undefined;
/** One job after the other. */
let last: Promise<void> = Promise.resolve();

scope.onmessage = ({ data }) => {
  last = last.then(() => act(data));
};

async function act(job: RebaseJob): Promise<void> {
  if ("dir" in job) {
    store = await openStore(job.dir, { readOnly: true, foreignOwner: true }).catch(() => undefined);
    computer = store && new RebaseComputer(store, job.order);
  } else if ("base" in job) computer?.addBase(job.platform, job.base);
  else if ("images" in job) {
    const all: Computed[] = [];
    for (const [repository, reference] of JSON.parse(job.images) as [string, string][]) {
      all.push(await computer?.compute(repository, reference) ?? { is: "unusual" });
    }
    answer(all);
  } else {
    await store?.[Symbol.asyncDispose]();
    answer([]);
    scope.close();
  }
}

function answer(all: readonly Computed[]): void {
  const pieces: Uint8Array[] = [];
  const answers = all.map((one): ComputedAbout => {
    if (!("made" in one) || one.made === undefined) return one as ComputedAbout;
    const { raw: { mediaType, digest, bytes }, rawConfig, config } = one.made;
    pieces.push(bytes, rawConfig);
    const manifestSize = bytes.byteLength;
    return { ...one, made: { mediaType, digest, config, manifestSize } } as ComputedAbout;
  });
  const bytes = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  scope.postMessage({ answers: JSON.stringify(answers), bytes }, [bytes.buffer]);
}
