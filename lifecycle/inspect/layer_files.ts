/** What layers hold, one over the other: which files, and which bytes nobody can reach any more. */
import type { ReadLimits } from "../../registry/layer/read_limits.ts";
import type { TarHeader } from "../../registry/layer/tar_format.ts";

/** One entry of a layer. */
export interface LayerEntry {
  /** Without a slash at either end; of a whiteout what it hides. */
  readonly path: string;
  /** What it does to what lies below; `kept` is a directory that was there already. */
  readonly change: "added" | "changed" | "removed" | "kept";
  /** The header; a whiteout's own. */
  readonly header: TarHeader;
}

/** A layer in numbers. */
export interface LayerCount {
  /** Entries by what they do. */
  readonly added: number;
  /** As above. */
  readonly changed: number;
  /** As above. */
  readonly removed: number;
  /** Bytes of its files. */
  readonly bytes: number;
  /** Bytes of its files that a later layer hides. */
  readonly wasted: number;
}

/** A path whose bytes lie in the image in vain. */
export interface WastedPath {
  /** The path. */
  readonly path: string;
  /** Bytes that cannot be reached. */
  readonly bytes: number;
  /** How often they were hidden. */
  readonly times: number;
}

/** Nobody lists more than this; an image that has more wants our memory. */
export const FILE_LIMITS: ReadLimits = { maxBytes: 256 * 2 ** 30, maxEntries: 4_000_000 };

interface Node {
  children?: Map<string, Node>;
  /** Of a file: its bytes, and the layer that has them. */
  bytes: number;
  layer: number;
}

interface Count {
  added: number;
  changed: number;
  removed: number;
  bytes: number;
  wasted: number;
}

/** Lays layers over each other, bottom to top: {@linkcode layer}, then {@linkcode entry} for each of its headers. */
export class LayerStack {
  readonly #root: Node = { bytes: 0, layer: -1 };
  readonly #counts: Count[] = [];
  readonly #wasted = new Map<string, { bytes: number; times: number }>();

  /** The next layer begins. */
  layer(): void {
    this.#counts.push({ added: 0, changed: 0, removed: 0, bytes: 0, wasted: 0 });
  }

  /** What each layer came to, so far. */
  get counts(): readonly LayerCount[] {
    return this.#counts;
  }

  /** Paths with the most bytes in vain, at most `limit`. */
  wasted(limit: number): readonly WastedPath[] {
    return [...this.#wasted].map(([path, one]) => ({ path, ...one }))
      .sort((a, b) => b.bytes - a.bytes || (a.path < b.path ? -1 : 1)).slice(0, limit);
  }

  /** Takes the next entry of the current layer; says what it does. Opaque directories hide all that lies below. */
  entry(header: TarHeader): LayerEntry {
    const at = this.#counts.length - 1;
    const here = this.#counts[at]!;
    const parts = header.name.split("/").filter((part) => part !== "" && part !== ".");
    const last = parts.at(-1) ?? "";
    if (last === ".wh..wh..opq") {
      parts.pop();
      here.removed++;
      this.#hideBelow(parts, at);
      return { path: parts.join("/"), change: "removed", header };
    }
    if (last.startsWith(".wh.")) {
      parts[parts.length - 1] = last.slice(4);
      here.removed++;
      this.#hide(parts);
      return { path: parts.join("/"), change: "removed", header };
    }
    const path = parts.join("/");
    const before = this.#find(parts);
    // A directory over a directory keeps what is in it; anything else replaces all that was there.
    const kept = header.type === "directory" && before?.children !== undefined;
    const change = before === undefined ? "added" : kept ? "kept" : "changed";
    if (change !== "kept") here[change]++;
    if (before !== undefined && !kept) this.#hide(parts);
    const node = this.#make(parts, at);
    if (header.type === "directory") node.children ??= new Map();
    if (header.type === "file") {
      here.bytes += header.size;
      node.bytes = header.size;
    }
    node.layer = at;
    return { path, change, header };
  }

  #find(parts: readonly string[]): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const part of parts) node = node?.children?.get(part);
    return node;
  }

  #make(parts: readonly string[], at: number): Node {
    let node = this.#root;
    for (const part of parts) {
      node.children ??= new Map();
      let next = node.children.get(part);
      if (next === undefined) {
        next = { bytes: 0, layer: at };
        node.children.set(part, next);
      }
      node = next;
    }
    return node;
  }

  #hide(parts: readonly string[]): void {
    const parent = this.#find(parts.slice(0, -1));
    const name = parts.at(-1);
    const node = name === undefined ? undefined : parent?.children?.get(name);
    if (node === undefined) return;
    this.#waste(node, parts);
    parent!.children!.delete(name!);
  }

  /** An opaque directory may stand before or behind what its own layer puts into it. */
  #hideBelow(parts: readonly string[], at: number): void {
    const directory = this.#find(parts);
    for (const [name, node] of [...directory?.children ?? []]) {
      if (node.layer === at) this.#hideBelow([...parts, name], at);
      else this.#hide([...parts, name]);
    }
  }

  #waste(top: Node, parts: readonly string[]): void {
    const waiting: (readonly [Node, string])[] = [[top, parts.join("/")]];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const [node, path] = next;
      if (node.bytes > 0) {
        this.#counts[node.layer]!.wasted += node.bytes;
        const before = this.#wasted.get(path) ?? { bytes: 0, times: 0 };
        this.#wasted.set(path, { bytes: before.bytes + node.bytes, times: before.times + 1 });
      }
      for (const [name, child] of node.children ?? []) waiting.push([child, `${path}/${name}`]);
    }
  }
}

/** `drwxr-xr-x` of an entry. */
export function formatMode({ type, mode }: Pick<TarHeader, "type" | "mode">): string {
  const kinds = { file: "-", link: "h", symlink: "l", char: "c", block: "b", directory: "d" };
  const kind = type === "fifo" ? "p" : kinds[type];
  const bits = (at: number) => {
    const three = (mode >> at) & 7;
    const special = [0o4000, 0o2000, 0o1000][2 - at / 3]!;
    const letter = at === 0 ? "t" : "s";
    const execute = mode & special
      ? (three & 1 ? letter : letter.toUpperCase())
      : three & 1
      ? "x"
      : "-";
    return `${three & 4 ? "r" : "-"}${three & 2 ? "w" : "-"}${execute}`;
  };
  return kind + bits(6) + bits(3) + bits(0);
}
