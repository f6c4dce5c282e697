/** What the fault harness does to a store, and how it looks at what is left. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { join } from "node:path";
import { type Digest, digestOf } from "../../registry/oci/digest.ts";
import { childrenOf, parseDocument } from "../../registry/oci/manifest.ts";
import { pushSampleImage, sampleBytes } from "../../registry/registry_suite_testing.ts";
import { readAll } from "../../registry/source.ts";
import { checkStore } from "../../registry/store/fsck.ts";
import { openStore, type Store } from "../../registry/store/store.ts";

const LARGE = 90_000;

/** One thing done to a store, and what must be true once it was acknowledged. */
export interface Act {
  readonly name: string;
  /** `false` when a later act takes it back. */
  readonly lasts?: boolean;
  run(store: Store): Promise<void>;
  holds(store: Store): Promise<void>;
}

async function names(store: Store, tag: string, digest: Digest): Promise<void> {
  equal((await store.stat("app", tag))?.digest, digest, `${tag} names something else`);
}

/** Fills a store before the faults begin. */
export async function seed(dir: string): Promise<void> {
  await using store = await openStore(dir);
  await pushSampleImage(store, "app", { seed: 1, size: LARGE, tags: ["old", "kept"] });
  await pushSampleImage(store, "app", { seed: 2, size: LARGE, tags: ["going"] });
}

/** The acts, in order: ingests small, large, by upload, of a large document; moves of tags; removals. */
export const ACTS: readonly Act[] = [
  image("a small image", { seed: 10, size: 500, tags: ["small"] }),
  image("an image with a layer in a file", { seed: 11, size: LARGE, tags: ["large"] }),
  image("a tag moved to another image", { seed: 10, size: 500, tags: ["old"] }),
  image("an image with a large document", {
    seed: 12,
    size: 500,
    tags: ["document"],
    more: { annotations: { long: "x".repeat(70_000) } },
  }),
  image("another tag", { seed: 11, size: LARGE, tags: ["short"] }, false),
  {
    name: "an upload in pieces",
    async run(store) {
      const bytes = sampleBytes(LARGE, 13);
      const upload = await store.upload("app");
      await upload.write(bytes.subarray(0, 70_000));
      await upload.write(bytes.subarray(70_000));
      equal((await upload.commit(digestOf(bytes))).size, LARGE);
    },
    async holds(store) {
      const bytes = sampleBytes(LARGE, 13);
      const source = await store.blob("app", digestOf(bytes));
      ok(source, "the upload is gone");
      deepEqual(await readAll(source, LARGE), bytes);
    },
  },
  {
    name: "an image released",
    run: async (store) => void await store.release("app", "going"),
    holds: async (store) => equal(await store.stat("app", "going"), undefined),
  },
  {
    name: "a tag deleted",
    run: async (store) => void await store.deleteManifest("app", "short"),
    holds: async (store) => equal(await store.stat("app", "short"), undefined),
  },
  { name: "a collection", run: async (store) => void await store.gc(), holds: async () => {} },
];

function image(
  name: string,
  options: Parameters<typeof pushSampleImage>[2],
  lasts = true,
): Act {
  const tags = options?.tags ?? [];
  let digest: Digest | undefined;
  return {
    name,
    lasts,
    run: async (store) => void await pushSampleImage(store, "app", options),
    async holds(store) {
      digest ??= await expected(options);
      for (const tag of tags) await names(store, tag, digest);
    },
  };
}

async function expected(options: Parameters<typeof pushSampleImage>[2]): Promise<Digest> {
  const { memoryRegistry } = await import("../../registry/memory.ts");
  return (await pushSampleImage(memoryRegistry(), "app", options)).digest;
}

/**
 * Opens what a fault left in `dir`: everything acknowledged is there, nothing is there by halves, a check finds
 * nothing wrong, and the store can be used.
 */
export async function examine(dir: string, acknowledged: readonly number[]): Promise<void> {
  const findings: string[] = [];
  const report = await checkStore(dir, {
    onFinding: ({ kind, subject, problem }) => findings.push(`${kind}: ${subject}: ${problem}`),
  });
  equal(report.faults, 0, findings.join("; "));
  await using store = await openStore(dir);
  await names(store, "kept", await expected({ seed: 1, size: LARGE }));
  for (const at of acknowledged) {
    // What a later act undoes may be undone, also when nobody was told.
    if (ACTS[at]!.lasts !== false) await ACTS[at]!.holds(store);
  }
  await readEverything(store);
  const after = { seed: 99, size: LARGE, tags: ["after"] };
  await pushSampleImage(store, "app", after);
  await store.gc();
  await readEverything(store);
}

/** Every blob of every image behind every tag, to the last byte. */
async function readEverything(store: Store): Promise<void> {
  for await (const tag of store.tags("app")) {
    const raw = await store.manifest("app", tag);
    ok(raw, `tag ${tag} leads nowhere`);
    for (const child of childrenOf(parseDocument(raw.bytes, raw.mediaType))) {
      const source = await store.blob("app", child.digest);
      ok(source, `blob ${child.digest} of ${tag} is gone`);
      equal((await readAll(source, child.size)).byteLength, child.size);
    }
  }
}

/** Copies a small tree as it lies. */
export async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { mode: 0o700 });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyTree(join(from, name), join(to, name));
    else await Deno.copyFile(join(from, name), join(to, name));
  }
}
