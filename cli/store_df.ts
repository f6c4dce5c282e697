/** `wherry store df`. */
import { measureStore } from "../registry/store/usage.ts";
import type { CommonFlags } from "./common.ts";
import type { Io } from "./io.ts";
import type { OutputFormat } from "./output.ts";
import { Session } from "./session.ts";
import { formatSize } from "./ui/size.ts";
import { formatTable } from "./ui/table.ts";
import { count } from "./ui/count.ts";

/** Prints what takes how much room. */
export async function tellUsage(io: Io, flags: CommonFlags, format: OutputFormat): Promise<void> {
  await using session = new Session(io, flags);
  const usage = await measureStore(session.storeDir());
  if (format === "json") {
    io.stdout.write(JSON.stringify(usage, null, 2) + "\n");
    return;
  }
  const rows = [
    ["blobs", usage.blobs.count, usage.blobs.bytes],
    ["documents", usage.documents.count, usage.documents.bytes],
    ["metadata with documents", 1, usage.metadata.bytes],
    ...usage.caches.map(({ name, bytes }) => [`cache ${name}`, "", bytes] as const),
    ["ingest", usage.ingest.count, usage.ingest.bytes],
    ["quarantine", usage.quarantine.count, usage.quarantine.bytes],
    ["unpacked images", usage.unpacked.count, usage.unpacked.bytes],
    ["work", usage.work.count, usage.work.bytes],
    ["reclaimable by store gc", usage.reclaimable.count, usage.reclaimable.bytes],
  ] as const;
  const cells = rows.map(([what, count, bytes]) => [what, String(count), formatSize(bytes)]);
  io.stdout.write(formatTable(["WHAT", "COUNT", "SIZE"], cells));
  session.log.info(
    `${count(usage.manifests, "manifest")} under ${count(usage.tags, "tag")} in ${
      count(usage.repositories, "repository")
    } at ${usage.dir}`,
  );
}
