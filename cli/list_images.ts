/** What `wherry ls` shows. */
import { parseDocument } from "../registry/oci/manifest.ts";
import { displayName, storeRepository } from "../registry/store/name.ts";
import type { Store } from "../registry/store/store.ts";
import type { CommonFlags } from "./common.ts";
import type { Io } from "./io.ts";
import type { OutputFormat } from "./output.ts";
import { readName } from "./places.ts";
import { Session } from "./session.ts";
import { formatSize } from "./ui/size.ts";
import { formatTable } from "./ui/table.ts";

/** One line of the list. */
interface Row {
  readonly name: string;
  readonly tag: string;
  readonly digest: string;
  readonly kind: string;
  /** Bytes of its blobs as they travel; of an index, of its documents only. */
  readonly size: number;
}

/** Lists the images of the store, or of one repository of it. */
export async function listImages(
  io: Io,
  name: string | undefined,
  flags: CommonFlags,
  format: OutputFormat,
): Promise<void> {
  await using session = new Session(io, flags);
  const store = await session.store();
  const wanted = name === undefined ? undefined : storeRepository(readName(name));
  const rows: Row[] = [];
  for await (const repository of store.repositories()) {
    if (wanted !== undefined && repository !== wanted) continue;
    for await (const tag of store.tags(repository)) {
      const row = await describe(store, repository, tag);
      if (row !== undefined) rows.push(row);
    }
  }
  if (format === "json") io.stdout.write(JSON.stringify(rows, null, 2) + "\n");
  else if (rows.length === 0) {
    session.log.info("The store has no images yet; wherry build makes one");
  } else {
    const cells = rows.map((
      { name, tag, digest, kind, size },
    ) => [name, tag, digest.slice(0, 19), kind, formatSize(size)]);
    io.stdout.write(formatTable(["NAME", "TAG", "DIGEST", "KIND", "SIZE"], cells));
  }
}

async function describe(store: Store, repository: string, tag: string): Promise<Row | undefined> {
  const raw = await store.manifest(repository, tag);
  if (raw === undefined) return undefined; // removed meanwhile
  const document = parseDocument(raw.bytes, raw.mediaType);
  const parts = document.kind === "index"
    ? document.index.manifests
    : [document.manifest.config, ...document.manifest.layers];
  return {
    name: displayName(repository),
    tag,
    digest: raw.digest,
    kind: document.kind === "index" ? "index" : "image",
    size: parts.reduce((sum, part) => sum + part.size, raw.bytes.byteLength),
  };
}
