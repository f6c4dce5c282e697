/** `wherry store gc`. */
import { join } from "node:path";
import { type CollectedTrees, collectTrees } from "../lifecycle/platform/trees.ts";
import { GRACE_MS } from "../registry/store/gc.ts";
import type { Store } from "../registry/store/store.ts";
import { helperPath } from "./assets.ts";
import type { CommonFlags } from "./common.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import type { OutputFormat } from "./output.ts";
import { Session } from "./session.ts";
import { formatSize } from "./ui/size.ts";
import { count } from "./ui/count.ts";

/** Collects once and says what went. */
export async function collect(
  io: Io,
  flags: CommonFlags & { readonly grace?: string; readonly dryRun?: boolean },
  format: OutputFormat,
): Promise<void> {
  const graceMs = flags.grace === undefined ? undefined : readSeconds(flags.grace) * 1000;
  await using session = new Session(io, flags);
  const store = await session.store();
  const { dryRun = false } = flags;
  const report = await store.gc({ graceMs, dryRun, signal: session.ctx.signal });
  // Afterwards: an image that is gone wants no tree.
  const unpacked = dryRun ? { trees: 0, bytes: 0 } : await collectUnpacked(store, graceMs);
  // With a full disk it matters what a grace of nothing would give.
  const all = graceMs === 0 ? report : await store.gc({ graceMs: 0, dryRun: true });
  const waiting = Math.max(0, all.bytes - (dryRun || graceMs === 0 ? report.bytes : 0));
  if (format === "json") {
    const { trees, bytes } = unpacked;
    const value = { ...report, trees, tree_bytes: bytes, waiting_bytes: waiting };
    io.stdout.write(JSON.stringify(value, null, 2) + "\n");
  } else {
    const { manifests, blobs, bytes, uploads } = report;
    io.stdout.write(
      `${dryRun ? "Would remove" : "Removed"} ${count(manifests, "manifest")}, ${
        count(blobs, "blob")
      } (${formatSize(bytes)}) and ${count(uploads, "upload")}\n`,
    );
    if (waiting > 0) {
      const within = graceMs === undefined ? "the last hour" : `the last ${flags.grace} seconds`;
      session.log.info(
        `${
          formatSize(waiting)
        } more wait, since they were pushed or looked at within ${within}; --grace 0 removes them now`,
      );
    }
    if (unpacked.trees > 0) {
      io.stdout.write(
        `Removed ${count(unpacked.trees, "unpacked image")} (${formatSize(unpacked.bytes)})\n`,
      );
    }
  }
}

async function collectUnpacked(
  store: Store,
  graceMs = GRACE_MS,
): Promise<CollectedTrees> {
  const dir = join(store.dir, "unpacked");
  if (!await Deno.stat(dir).then(() => true, () => false)) return { trees: 0, bytes: 0 };
  return await collectTrees({
    helper: helperPath(),
    dir,
    isKept: async (config) => await store.locate(config) !== undefined,
    graceMs,
    now: new Date(),
  });
}

function readSeconds(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(`Cannot use --grace ${JSON.stringify(text)}: want a number of seconds`);
}
