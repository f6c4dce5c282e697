/**
 * A read-only root made of bind mounts: every top-level entry of a tree, and places the tree does not have. Needs no
 * overlay, so it works wherever mount namespaces do. Gives options of `helper run --view`.
 */
import { join } from "node:path";
import { follow } from "./tree_files.ts";

/** Something bound into the root. */
export interface Mount {
  /** Absolute, inside. */
  readonly inside: string;
  /** Absolute, on this machine. */
  readonly outside: string;
  /** Whether it may be written. */
  readonly access: "ro" | "rw";
}

/** What the view makes by itself. */
const OWN = new Set(["dev", "proc", "sys"]);

/**
 * The options that make `tree` the root with `mounts` in it. A mount whose place the tree lacks opens the directory
 * it would lie in: that becomes a directory of the view, with all its entries bound. Links of the tree on the way to
 * a place count as inside the root.
 *
 * @param called What the tree is called where it is bound from.
 */
export function underlay(
  tree: string,
  mounts: readonly Mount[],
  called = tree,
): string[] {
  const places = placesOf(tree, mounts);
  // Directories that cannot be bound whole: something has to be made in them.
  const opened = new Set<string>();
  for (const { found, missing } of places) {
    if (missing.length > 0) found.forEach((_, at) => opened.add(found.slice(0, at + 1).join("/")));
  }
  const args: string[] = [];
  const expose = (below: string): void => {
    const entries = Array.from(Deno.readDirSync(join(tree, below)));
    for (const { name, isDirectory, isSymlink, isFile } of entries.sort(byName)) {
      const path = below === "" ? name : `${below}/${name}`;
      if (below === "" && OWN.has(name)) continue;
      if (isSymlink) args.push("--link", Deno.readLinkSync(join(tree, path)), `/${path}`);
      else if (isDirectory && opened.has(path)) expose(path);
      else if (isDirectory || isFile) args.push("--ro-bind", join(called, path), `/${path}`);
    }
  };
  expose("");
  return [...args, ...bindsOf(places)];
}

/** The options that bind `mounts` over a root that is `tree`, links of the tree on the way to a place resolved. */
export function binds(tree: string, mounts: readonly Mount[]): string[] {
  return bindsOf(placesOf(tree, mounts));
}

interface Place {
  readonly mount: Mount;
  readonly found: readonly string[];
  readonly missing: readonly string[];
}

function placesOf(tree: string, mounts: readonly Mount[]): readonly Place[] {
  return mounts.map((mount) => ({ mount, ...follow(tree, mount.inside) }));
}

function bindsOf(places: readonly Place[]): string[] {
  // A parent before what is bound inside it.
  return places.map(({ mount, found, missing }) => ({
    ...mount,
    inside: "/" + [...found, ...missing].join("/"),
  })).sort((a, b) => a.inside < b.inside ? -1 : 1)
    .flatMap(({ inside, outside, access }) => [
      access === "rw" ? "--bind" : "--ro-bind",
      outside,
      inside,
    ]);
}

function byName(a: Deno.DirEntry, b: Deno.DirEntry): number {
  return a.name < b.name ? -1 : 1;
}
