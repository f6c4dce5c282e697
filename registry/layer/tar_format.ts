/** The 512 bytes of a tar header, named once for encoder and decoder. */

/** Everything in a tar is padded to this. */
export const BLOCK = 512;

/** Offset and length of a header field. */
export type Field = readonly [offset: number, length: number];

/** Fields of every dialect; those from `magic` on came with ustar. */
export const FIELD = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  typeflag: [156, 1],
  linkName: [157, 100],
  magic: [257, 8],
  userName: [265, 32],
  groupName: [297, 32],
  major: [329, 8],
  minor: [337, 8],
  prefix: [345, 155],
  gnuAtime: [345, 12],
  gnuCtime: [357, 12],
  starPrefix: [345, 131],
  starTrailer: [508, 4],
} as const satisfies Record<string, Field>;

/** `ustar`, NUL, version 00. */
export const USTAR_MAGIC = "ustar\x0000";
/** GNU's own: magic and version run together. */
export const GNU_MAGIC = "ustar  \0";

/** The dialects that are told apart when reading. */
export type TarDialect = "v7" | "ustar" | "pax" | "gnu" | "star";

/** What an entry is. `link` is a hard link. */
export type TarType =
  | "file"
  | "link"
  | "symlink"
  | "char"
  | "block"
  | "directory"
  | "fifo";

/** The type flag of each kind. */
export const TYPEFLAG: Readonly<Record<TarType, string>> = {
  file: "0",
  link: "1",
  symlink: "2",
  char: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

/** One entry's header, whatever the number of blocks it takes. */
export interface TarHeader {
  /** As written: may be relative, may end in a slash. */
  readonly name: string;
  /** What it is. */
  readonly type: TarType;
  /** As written, usually permission bits only. */
  readonly mode: number;
  /** Owner. */
  readonly uid: number;
  /** Group. */
  readonly gid: number;
  /** Bytes of the body. */
  readonly size: number;
  /** Whole seconds since 1970. */
  readonly mtime: number;
  /** Target of a `link` or `symlink`; else empty. */
  readonly linkName: string;
  /** Owner's name. */
  readonly userName: string;
  /** Group's name. */
  readonly groupName: string;
  /** Device numbers of `char` and `block`. */
  readonly major: number;
  /** Device numbers of `char` and `block`. */
  readonly minor: number;
  /** Seconds since 1970, in GNU headers that have it. */
  readonly atime?: number | undefined;
  /** Seconds since 1970, in GNU headers that have it. */
  readonly ctime?: number | undefined;
  /** How it was written. */
  readonly dialect: TarDialect;
  /** Records of its own PAX header. */
  readonly pax: ReadonlyMap<string, string>;
}

/** `size` rounded up to whole blocks. */
export function padded(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK;
}

/** The largest number that `length` bytes hold as octal digits and a NUL. */
export function maxOctal(length: number): number {
  return length === 8 ? 0o7777777 : length === 12 ? 0o77777777777 : 8 ** (length - 1) - 1;
}
