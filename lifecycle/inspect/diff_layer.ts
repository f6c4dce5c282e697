/** Where two layers differ: which file, and which field of its header. Each is read once. */
import { createHash } from "node:crypto";
import type { Layer } from "../../registry/image.ts";
import { walkTar } from "../../registry/layer/tar_reader.ts";
import type { TarHeader } from "../../registry/layer/tar_format.ts";
import { FILE_LIMITS, formatMode } from "./layer_files.ts";

/** One entry that is not the same in both. */
export interface FileDiff {
  /** Absolute. */
  readonly path: string;
  /** `changed`, or in which image alone it is. */
  readonly how: "changed" | "only in a" | "only in b";
  /** Fields of its header that differ, `content` for its bytes; none unless `changed`. */
  readonly fields: readonly { readonly field: string; readonly a: string; readonly b: string }[];
}

/** How two layers compare. */
export interface LayerDiff {
  /** In order of the first layer, then what only the second has. */
  readonly files: readonly FileDiff[];
  /** The same entries in another order. */
  readonly order: boolean;
}

/** What is compared of an entry. */
type Facts = Readonly<Record<string, string>>;

/**
 * Reads both and compares. Only facts of the first are held in memory: a few hundred bytes an entry.
 *
 * @param dirs What is called so in the first is called so in the second, and is told by the name of the first.
 */
export async function diffLayers(
  a: Layer,
  b: Layer,
  dirs: readonly [a: string, b: string] = ["", ""],
  signal?: AbortSignal,
): Promise<LayerDiff> {
  const [to, from] = dirs;
  const renamed = (path: string) =>
    path === from || path.startsWith(`${from}/`) ? `${to}${path.slice(from.length)}` : path;
  const first = new Map<string, { readonly facts: Facts; readonly at: number }>();
  await eachEntry(a, signal, (path, facts) => first.set(path, { facts, at: first.size }));
  const files: (FileDiff & { readonly at: number })[] = [];
  let [order, last] = [false, -1];
  const seen = new Set<string>();
  await eachEntry(b, signal, (theirs, said) => {
    const path = renamed(theirs);
    const name = said["name"]!.replace(from.slice(1), to.slice(1));
    const facts: Facts = path === theirs ? said : { ...said, name };
    const before = first.get(path);
    seen.add(path);
    if (before === undefined) {
      return void files.push({ path, how: "only in b", fields: [], at: Infinity });
    }
    if (before.at < last) order = true;
    last = before.at;
    const fields = [...new Set([...Object.keys(before.facts), ...Object.keys(facts)])]
      .filter((field) => before.facts[field] !== facts[field])
      .map((field) => ({ field, a: before.facts[field] ?? "", b: facts[field] ?? "" }));
    if (fields.length > 0) files.push({ path, how: "changed", fields, at: before.at });
  });
  for (const [path, { at }] of first) {
    if (!seen.has(path)) files.push({ path, how: "only in a", fields: [], at });
  }
  files.sort((x, y) => x.at === y.at ? (x.path < y.path ? -1 : 1) : x.at - y.at);
  return { files: files.map(({ at: _, ...file }) => file), order };
}

async function eachEntry(
  layer: Layer,
  signal: AbortSignal | undefined,
  tell: (path: string, facts: Facts) => void,
): Promise<void> {
  const blob = await layer.blob();
  let header: TarHeader | undefined;
  let hash: ReturnType<typeof createHash> | undefined;
  const times = new Map<string, number>();
  await walkTar(
    await blob.open({ signal }),
    {
      header(next) {
        header = next;
        hash = next.type === "file" ? createHash("sha256") : undefined;
      },
      body: (bytes) => void hash?.update(bytes),
      end() {
        const path = `/${header!.name.split("/").filter((step) => step && step !== ".").join("/")}`;
        // A name that comes twice is compared twice.
        const time = (times.get(path) ?? 0) + 1;
        times.set(path, time);
        tell(time === 1 ? path : `${path} (${time})`, factsOf(header!, hash?.digest("hex")));
      },
    },
    { limits: FILE_LIMITS, signal },
  );
}

function factsOf(header: TarHeader, content: string | undefined): Facts {
  const { type, uid, gid, size, mtime, linkName, userName, groupName, dialect, name } = header;
  return {
    name,
    type,
    mode: `${formatMode(header)} 0${header.mode.toString(8)}`,
    owner: `${uid}:${gid}`,
    "owner names": `${userName}:${groupName}`,
    mtime: `${mtime}`,
    ...(type === "file" ? { size: String(size), content: content ?? "" } : {}),
    ...(linkName === "" ? {} : { link: linkName }),
    ...(type === "char" || type === "block" ? { device: `${header.major}:${header.minor}` } : {}),
    dialect,
    ...Object.fromEntries(
      [...header.pax].filter(([key]) => !/^(path|linkpath|size|uid|gid|mtime)$/.test(key))
        .map(([key, value]) => [`pax ${key}`, value]),
    ),
  };
}
