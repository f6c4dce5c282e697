/** `wherry store gc`, `fsck`, `df` and `rm`, run as `main.ts` runs them, with an Io of our own. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { join } from "node:path";
import { hexOf } from "../registry/oci/digest.ts";
import { describeBytes, pushSampleImage, sampleBytes } from "../registry/registry_suite_testing.ts";
import { openStore } from "../registry/store/store.ts";
import { type Ended, runLine } from "./line_testing.ts";

const LARGE = 100_000;
const LAYER = hexOf(describeBytes(sampleBytes(LARGE, 1)).digest);

interface Shell extends AsyncDisposable {
  readonly dir: string;
  /** Exit code, stdout and stderr of one command line. */
  wherry(...args: readonly string[]): Promise<Ended>;
}

async function shell(): Promise<Shell> {
  const top = await Deno.makeTempDir();
  const dir = join(top, "store");
  await using store = await openStore(dir);
  await pushSampleImage(store, "app", { size: LARGE, tags: ["v1"] });
  return {
    dir,
    wherry: (...args) => runLine([...args, "--store", dir], { dir: top }),
    [Symbol.asyncDispose]: () => Deno.remove(top, { recursive: true }),
  };
}

Deno.test("ST-09 store fsck: a line for each finding, exit 0 and 1, and a repair", async () => {
  await using made = await shell();
  const sound = await made.wherry("store", "fsck");
  deepEqual([sound.code, sound.out], [0, ""]);
  match(sound.err, /0 faults/);
  const blob = join(made.dir, "blobs/sha256", LAYER.slice(0, 2), LAYER);
  await Deno.chmod(blob, 0o600);
  await Deno.writeFile(blob, sampleBytes(LARGE, 2));
  await Deno.chmod(blob, 0o444);
  const broken = await made.wherry("store", "fsck");
  equal(broken.code, 1);
  equal(broken.out.split("\n").length, 2, broken.out);
  match(broken.out, /^digest: blobs\/sha256\/.*: its bytes have digest sha256:/);
  const json = JSON.parse((await made.wherry("store", "fsck", "-o", "json")).out);
  deepEqual([json.faults, json.findings[0].kind], [1, "digest"]);
  const repaired = await made.wherry("store", "fsck", "--repair");
  match(repaired.out, /moved to quarantine\//);
  equal((await Deno.stat(join(made.dir, "quarantine", LAYER))).size, LARGE);
  match((await made.wherry("store", "fsck")).out, /child: .*app:v1: it needs sha256:/);
});

Deno.test("store df, gc and rm: what is removed is free at once", async () => {
  await using made = await shell();
  const df = async () => JSON.parse((await made.wherry("store", "df", "-o", "json")).out);
  equal((await df()).blobs.bytes, LARGE);
  match((await made.wherry("store", "df")).out, /blobs +1 +100 KB/);
  equal((await made.wherry("rm", "app:v1")).code, 0);
  const after = await df();
  deepEqual([after.blobs.bytes, after.manifests, after.documents.count], [0, 0, 0]);
  match((await made.wherry("store", "gc", "--grace", "0")).out, /Removed 0 manifests, 0 blobs/);
  deepEqual(Object.keys(JSON.parse((await made.wherry("store", "gc", "-o", "json")).out)), [
    "manifests",
    "blobs",
    "bytes",
    "uploads",
    "trees",
    "tree_bytes",
    "waiting_bytes",
  ]);
  equal((await made.wherry("store", "gc", "--grace", "soon")).code, 3);
  equal((await made.wherry("store", "fsck", "--bogus")).code, 3);
});

Deno.test("store gc --dry-run says what would go, and removes nothing", async () => {
  await using made = await shell();
  {
    await using store = await openStore(made.dir);
    ok(await store.deleteManifest("app", "v1"));
  }
  for (const words of [[], ["--dry-run"], ["--grace", "7200"]]) {
    // Whose disk is full hears what the hour keeps.
    const early = await made.wherry("store", "gc", ...words);
    match(early.out, /0 blobs \(0 B\)/);
    match(early.err, /^101 KB more wait, since .* within the last \w+( seconds)?; --grace 0 /m);
  }
  const dry = await made.wherry("store", "gc", "--grace", "0", "--dry-run");
  equal(dry.err, "");
  match(dry.out, /^Would remove 1 manifest, 3 blobs \(101 KB\) and 0 uploads\n$/);
  const gone = await made.wherry("store", "gc", "--grace", "0");
  equal(gone.out, dry.out.replace("Would remove", "Removed"));
});

Deno.test("store gc --grace 0 beside a build leaves what the build looks at", async () => {
  await using made = await shell();
  await using builder = await openStore(made.dir);
  await using _lease = await builder.lease();
  ok(await builder.deleteManifest("app", "v1"));
  await made.wherry("store", "gc", "--grace", "0");
  equal((await Deno.stat(join(made.dir, "blobs/sha256", LAYER.slice(0, 2), LAYER))).size, LARGE);
});
