/**
 * Archives that want out of the directory they are unpacked to: the cases by which container engines were broken,
 * under the names they have in containerd's tests, and more. The same list makes tars for layers, tars of
 * buildpacks and zips.
 */
import { crc32 } from "node:zlib";
import { joined, type Sample, tarOf } from "../../registry/layer/tar_testing.ts";

/** One archive. */
export interface HostileArchive {
  /** Id of the attack and what it does. */
  readonly name: string;
  /**
   * Its entries. Names are relative to the directory of the archive; `OUT` in a link is a directory beside the one
   * unpacked to, with a file `file` and a directory `dir`; `UP` leads there from it by `..`.
   */
  readonly entries: readonly Sample[];
  /** It must be refused; otherwise it may be unpacked, as long as nothing outside is touched. */
  readonly refused: boolean;
}

const file = (name: string, text = "evil"): Sample => ({ name, text });
const dir = (name: string, mode = 0o755): Sample => ({ name, type: "directory", mode });
const link = (name: string, linkName: string): Sample => ({ name, type: "symlink", linkName });
const hard = (name: string, linkName: string): Sample => ({ name, type: "link", linkName });

const no = (name: string, ...entries: readonly Sample[]): HostileArchive => ({
  name,
  entries,
  refused: true,
});
const harmless = (name: string, ...entries: readonly Sample[]): HostileArchive => ({
  name,
  entries,
  refused: false,
});

/** Every archive of the collection. */
export const HOSTILE_ARCHIVES: readonly HostileArchive[] = [
  no("X-06 SymlinkAbsolute", link("localetc", "OUT"), file("localetc/unbroken")),
  no("X-06 SymlinkUpAndOut", link("localetc", "UP"), file("localetc/unbroken")),
  no(
    "X-06 SymlinkMultipleAbsolute",
    link("localetc", "OUT/dir"),
    link("localetc2", "/localetc"),
    file("localetc/unbroken"),
  ),
  no(
    "X-06 SymlinkMultipleRelative",
    dir("sub"),
    link("sub/localetc", "../UP"),
    link("sub/deeper", "localetc"),
    file("sub/deeper/unbroken"),
  ),
  no("X-06 SymlinkEmptyFile", link("empty", "OUT/new"), file("empty", ""), file("empty/x", "")),
  no("X-06 SymlinkParentDirectory", link("parent", ".."), file("parent/unbroken")),
  no("X-06 SymlinkEmptyFilename", dir("."), link("to", "OUT"), file("./", "")),
  no("X-06 SymlinkParentRelative", dir("a"), link("a/up", ".."), file("a/up/../unbroken")),
  no("X-06 SymlinkSlashEnded", link("slash", "OUT/"), file("slash/unbroken")),
  no("X-06 SymlinkOverrideDirectory", dir("d"), link("d", "OUT/dir"), file("d/unbroken")),
  no("X-06 SymlinkOverrideDirectoryRelative", dir("d"), link("d", "UP/dir"), file("d/unbroken")),
  no("X-06 HardlinkRelative", link("l", "UP"), hard("h", "l/file")),
  no("X-06 HardlinkDownAndOut", dir("a"), hard("a/h", "a/../../outside/file")),
  no("X-06 HardlinkAbsolute", link("l", "OUT"), hard("h", "/l/file")),
  no(
    "X-06 HardlinkRelativeLong",
    dir("a"),
    dir("a/b"),
    link("a/b/l", "../../UP"),
    hard("h", "a/b/l/file"),
  ),
  no("X-06 HardlinkRelativeUpAndOut", hard("h", "UP/file")),
  no("X-06 HardlinkDirectRelative", hard("h", "../outside/file"), file("h", "evil")),
  no("X-06 HardlinkDirectAbsolute", hard("h", "OUT/file"), file("h", "evil")),
  no("X-06 DirectoryOverrideSymlink", link("d", "OUT/dir"), dir("d", 0o777), file("d/unbroken")),
  no(
    "X-06 DirectoryOverrideSymlinkAndHardlink",
    link("d", "OUT"),
    dir("d", 0o777),
    hard("h", "d/file"),
    file("h", "evil"),
  ),
  no("X-06 WhiteoutRootParent", file(".wh...", ""), file("../.wh.outside", "")),
  no("X-06 WhiteoutParent", dir("a"), file("a/../../.wh.outside", "")),
  harmless("X-06 WhiteoutRoot", file(".wh.", ""), file(".wh..", "")),
  harmless("X-06 WhiteoutCurrentDirectory", dir("a"), file("a/.wh..", ""), file("a/.wh...", "")),
  harmless(
    "X-06 opaque marker before and after",
    file(".wh..wh..opq", ""),
    file("x", ""),
    file("a/.wh..wh..opq", ""),
  ),
  harmless("X-06 whiteout of a file of this archive", file("x", "kept"), file(".wh.x", "")),
  no("X-06 whiteout through a link", link("l", "OUT"), file("l/.wh.file", "")),
  no("X-01 up", file("../x")),
  no("X-01 up, inside", file("a/../../x")),
  no("X-01 up, alone", dir("..")),
  no("X-01 up, behind a long way", file("a/".repeat(99) + "../".repeat(100) + "x")),
  no(
    "X-02 dir, symlink, dir",
    dir("a"),
    link("a/l", "UP/.."),
    dir("a/l/outside"),
    file("a/l/outside/dir/x"),
  ),
  no("X-02 a loop", link("a", "b"), link("b", "a"), file("a/x")),
  no("X-02 the root as a link", link(".", "OUT"), file("x")),
  no("X-02 /proc", link("p", "/proc/self/cwd"), file("p/x")),
  no("X-02 a link to the directory itself", link("p", "/proc/self/fd"), file("p/1")),
  no(
    "X-03 CVE-2026-23745 chain",
    dir("a"),
    dir("a/b"),
    dir("a/b/c"),
    link("a/b/c/up", "../.."),
    link("a/b/escape", "c/up/../.."),
    hard("h", "a/b/escape/outside/file"),
    file("h", "evil"),
  ),
  no("X-03 to a link", link("l", "OUT/file"), hard("h", "l"), file("h", "evil")),
  no("X-03 to what is not there yet", hard("h", "later"), file("later")),
  no("X-03 to a directory", dir("d"), hard("h", "d")),
  no("X-03 to the root", hard("h", ".")),
  no("X-05 a mode through a link", link("l", "OUT/file"), { name: "l", text: "", mode: 0o777 }),
  no("X-05 CVE-2026-33056", link("l", "OUT/dir"), dir("l", 0o777)),
  no("X-05 deferred modes", dir("d", 0o777), file("d/x"), link("d", "OUT/dir")),
  no("X-07 a character device", { name: "null", type: "char", devMajor: 1, devMinor: 3 } as Sample),
  no("X-07 a block device", { name: "disk", type: "block", devMajor: 8, devMinor: 0 } as Sample),
  no("X-07 an overlay whiteout", { name: "gone", type: "char" }),
  no("X-07 a pipe", { name: "pipe", type: "fifo" }),
  harmless("X-08 setuid", { name: "su", text: "x", mode: 0o6755 }),
  harmless(
    "X-01 odd names",
    file("C:\\x"),
    file(".\\..\\x"),
    file("-rf"),
    file("a\nb"),
    file("\u001b[2J"),
  ),
];

/** The entries for a directory that lies beside `outside`, under `prefix` in the archive. */
export function placed(
  { entries }: HostileArchive,
  outside: string,
  prefix = "",
): readonly Sample[] {
  return entries.map((entry) => ({
    ...entry,
    name: prefix + entry.name,
    ...(entry.linkName === undefined ? {} : {
      linkName: entry.linkName.replace("OUT", outside).replace("UP", "../outside"),
    }),
  }));
}

/** A tar of it. */
export function hostileTar(
  archive: HostileArchive,
  outside: string,
  prefix?: string,
): Uint8Array<ArrayBuffer> {
  return tarOf(...placed(archive, outside, prefix));
}

/** A zip of it, stored; `undefined` when it has what zips have not. */
export function hostileZip(
  archive: HostileArchive,
  outside: string,
): Uint8Array<ArrayBuffer> | undefined {
  if (archive.entries.some(({ type }) => type === "link")) return undefined;
  return zipOf(placed(archive, outside));
}

const TYPES: Readonly<Record<string, number>> = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  char: 0o020000,
  block: 0o060000,
  fifo: 0o010000,
};

/** A zip as a Unix writes it. Everything is stored as it is. */
export function zipOf(entries: readonly Sample[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const table: Uint8Array[] = [];
  let at = 0;
  for (const { name, text = "", linkName, type = "file", mode = 0o644 } of entries) {
    const path = new TextEncoder().encode(type === "directory" ? `${name}/` : name);
    const body = new TextEncoder().encode(linkName ?? text);
    const common = new Uint8Array(26);
    const view = new DataView(common.buffer);
    view.setUint16(0, 20, true);
    view.setUint16(2, 0x800, true); // names are UTF-8
    view.setUint32(10, crc32(body), true);
    view.setUint32(14, body.byteLength, true);
    view.setUint32(18, body.byteLength, true);
    view.setUint16(22, path.byteLength, true);
    const local = joined(bytes32(0x04034b50), common, path, body);
    const tail = new Uint8Array(14);
    const tailView = new DataView(tail.buffer);
    tailView.setUint32(6, ((TYPES[type] ?? 0) | mode) << 16 >>> 0, true);
    tailView.setUint32(10, at, true);
    table.push(joined(bytes32(0x02014b50), Uint8Array.of(20, 3), common, tail, path));
    parts.push(local);
    at += local.byteLength;
  }
  const directory = joined(...table);
  const end = new Uint8Array(18);
  const view = new DataView(end.buffer);
  view.setUint16(4, entries.length, true);
  view.setUint16(6, entries.length, true);
  view.setUint32(8, directory.byteLength, true);
  view.setUint32(12, at, true);
  return joined(...parts, directory, bytes32(0x06054b50), end);
}

function bytes32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
