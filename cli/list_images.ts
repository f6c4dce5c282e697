/** What `wherry ls` shows. */
import { parseDocument } from "../registry/oci/manifest.ts";
import { displayName, storeRepository } from "../registry/store/name.ts";
import type { Store } from "../registry/store/store.ts";
import { isOciError } from "../registry/oci/error.ts";
import type { CommonFlags } from "./common.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import type { OutputFormat } from "./output.ts";
import { readName } from "./places.ts";
import { Session } from "./session.ts";
import { formatSize } from "./ui/size.ts";
import { PagedTable } from "./ui/table.ts";

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
  if (wanted !== undefined && !await hasTags(store, wanted)) {
    throw new UsageError(
      `Cannot list ${name}: the store has no image of that name (see: wherry ls)`,
    );
  }
  const table = new PagedTable(["NAME", "TAG", "DIGEST", "KIND", "SIZE"]);
  const waiting: Row[] = [];
  let listed = 0;
  // A store may hold a million names: a page of them is in memory at a time.
  const flush = () => {
    if (format === "json") {
      const comma = (at: number) => listed + at === 0 ? "\n" : ",\n";
      const text = waiting.map((row, at) => comma(at) + indented(JSON.stringify(row, null, 2)));
      io.stdout.write(text.join(""));
    } else if (waiting.length > 0) {
      io.stdout.write(table.format(waiting.map(cellsOf)));
    }
    listed += waiting.length;
    waiting.length = 0;
  };
  if (format === "json") io.stdout.write("[");
  for await (const repository of store.repositories()) {
    if (wanted !== undefined && repository !== wanted) continue;
    for await (const tag of store.tags(repository)) {
      const row = await describe(store, repository, tag);
      if (row !== undefined && waiting.push(row) >= PAGE) flush();
    }
  }
  flush();
  if (format === "json") io.stdout.write(listed === 0 ? "]\n" : "\n]\n");
  else if (listed === 0) {
    session.log.info("The store has no images yet; wherry build makes one");
  }
}

async function hasTags(store: Store, repository: string): Promise<boolean> {
  try {
    for await (const _ of store.tags(repository)) return true;
  } catch (error) {
    if (!isOciError(error, "NAME_UNKNOWN")) throw error;
  }
  return false;
}

/** Lines written at once. */
const PAGE = 1000;

function cellsOf({ name, tag, digest, kind, size }: Row): readonly string[] {
  return [name, tag, digest.slice(0, 19), kind, formatSize(size)];
}

function indented(text: string): string {
  return "  " + text.replaceAll("\n", "\n  ");
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
