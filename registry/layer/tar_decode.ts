/**
 * Reads tar headers of every dialect a layer comes in, and refuses what two readers could take for two
 * different things: no image needs that, and every "smuggled entry" attack does.
 */
import {
  BLOCK,
  FIELD,
  type Field,
  GNU_MAGIC,
  maxOctal,
  type TarDialect,
  type TarHeader,
  type TarType,
} from "./tar_format.ts";

/** Facts about the next entry that came in headers before it. */
export interface Announced {
  /** Records of an `x` header. */
  readonly pax?: ReadonlyMap<string, string> | undefined;
  /** From a GNU `L` header. */
  readonly longName?: Uint8Array | undefined;
  /** From a GNU `K` header. */
  readonly longLink?: Uint8Array | undefined;
}

/** One 512-byte block, before anything that came ahead of it is applied. */
export interface RawHeader {
  /** The type flag as a character; a NUL is `"\0"`. */
  readonly flag: string;
  /** Bytes of what follows. */
  readonly size: number;
  /** The block itself. */
  readonly block: Uint8Array;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Checks a block's checksum and reads what decides how to go on.
 *
 * @throws {SyntaxError} When it is no header.
 */
export function decodeBlock(block: Uint8Array): RawHeader {
  const [offset, length] = FIELD.checksum;
  let unsigned = 0;
  let signed = 0;
  for (let at = 0; at < BLOCK; at++) {
    const byte = at >= offset && at < offset + length ? 0x20 : block[at]!;
    unsigned += byte;
    signed += byte < 0x80 ? byte : byte - 256;
  }
  const sum = number(block, FIELD.checksum, "checksum");
  // Some old writers added signed bytes.
  if (sum !== unsigned && sum !== signed) {
    throw new SyntaxError(`checksum is ${sum}, want ${unsigned}`);
  }
  // Also those nobody asks for here: a reader that does would stop, and see fewer entries than we.
  number(block, FIELD.mode, "mode");
  number(block, FIELD.uid, "uid");
  number(block, FIELD.gid, "gid");
  number(block, FIELD.mtime, "mtime");
  number(block, FIELD.major, "device number");
  number(block, FIELD.minor, "device number");
  return {
    flag: String.fromCharCode(block[FIELD.typeflag[0]]!),
    size: number(block, FIELD.size, "size"),
    block,
  };
}

const TYPES: Readonly<Record<string, TarType>> = {
  "0": "file",
  "\0": "file",
  "7": "file", // "contiguous": every reader of today takes it for a file
  "1": "link",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "directory",
  "6": "fifo",
};

/**
 * The header of an entry.
 *
 * @throws {SyntaxError} When it is malformed, ambiguous or of a kind no layer holds.
 */
export function decodeHeader(raw: RawHeader, announced: Announced = {}): TarHeader {
  const { block } = raw;
  let type = TYPES[raw.flag];
  if (type === undefined) {
    const kind = raw.flag === "S" ? "a GNU sparse file" : `of type ${JSON.stringify(raw.flag)}`;
    throw new SyntaxError(`it is ${kind}, which no layer may hold`);
  }
  const pax = announced.pax ?? NO_RECORDS;
  for (const key of pax.keys()) {
    if (key.startsWith("GNU.sparse.")) {
      throw new SyntaxError("it is a GNU sparse file, which no layer may hold");
    }
  }
  const own = dialectOf(block);
  const dialect = announced.pax === undefined
    ? own
    : own === "ustar" && isStrict(block)
    ? "pax"
    : "ustar";
  const name = nameOf(block, announced);
  const linkName = linkOf(block, announced);
  if (name === "") throw new SyntaxError("its name is empty");
  if (name.endsWith("/") && type === "file") {
    if (raw.flag !== "\0") {
      throw new SyntaxError(`${JSON.stringify(name)} is a file with the name of a directory`);
    }
    type = "directory"; // how tars of 1979 said it
  }
  const size = sizeOf(raw, pax);
  if (type !== "file" && size !== 0) {
    throw new SyntaxError(`${JSON.stringify(name)} is a ${type} with ${size} bytes of content`);
  }
  if ((type === "link" || type === "symlink") && linkName === "") {
    throw new SyntaxError(`${JSON.stringify(name)} is a ${type} to nowhere`);
  }
  const modern = own !== "v7";
  const times = own === "gnu" ? gnuTimes(block) : {};
  return {
    name,
    type,
    mode: number(block, FIELD.mode, "mode"),
    uid: ownerOf(block, FIELD.uid, "uid", pax),
    gid: ownerOf(block, FIELD.gid, "gid", pax),
    size,
    mtime: seconds(pax.get("mtime"), "mtime") ?? number(block, FIELD.mtime, "mtime"),
    linkName: type === "link" || type === "symlink" ? linkName : "",
    userName: pax.get("uname") ?? (modern ? loose(block, FIELD.userName) : ""),
    groupName: pax.get("gname") ?? (modern ? loose(block, FIELD.groupName) : ""),
    major: modern ? number(block, FIELD.major, "device number") : 0,
    minor: modern ? number(block, FIELD.minor, "device number") : 0,
    ...(dialect === "gnu" ? times : {}),
    dialect,
    pax,
  };
}

/** GNU puts times where ustar has its name prefix; what does not read as a time would be a prefix to others. */
function gnuTimes(block: Uint8Array): { readonly atime?: number; readonly ctime?: number } {
  return {
    ...(block[FIELD.gnuAtime[0]] !== 0 ? { atime: number(block, FIELD.gnuAtime, "atime") } : {}),
    ...(block[FIELD.gnuCtime[0]] !== 0 ? { ctime: number(block, FIELD.gnuCtime, "ctime") } : {}),
  };
}

const NO_RECORDS: ReadonlyMap<string, string> = new Map();

function dialectOf(block: Uint8Array): TarDialect {
  const magic = latin(block, FIELD.magic);
  if (magic === GNU_MAGIC) return "gnu";
  if (!magic.startsWith("ustar\0")) return "v7";
  return latin(block, FIELD.starTrailer) === "tar\0" ? "star" : "ustar";
}

/**
 * Whether a ustar block keeps to ASCII and ends its numbers in NUL. Go takes others for "unknown" and then writes
 * no access times (TA-8); GNU tar puts raw UTF-8 into them.
 */
function isStrict(block: Uint8Array): boolean {
  for (let at = 0; at < BLOCK; at++) if (block[at]! >= 0x80) return false;
  const { size, mode, uid, gid, mtime, major, minor } = FIELD;
  return [size, mode, uid, gid, mtime, major, minor].every(([offset, length]) =>
    block[offset + length - 1] === 0
  );
}

function nameOf(block: Uint8Array, { pax, longName }: Announced): string {
  const said = pax?.get("path");
  if (said !== undefined && longName !== undefined) throw twice("name");
  if (said !== undefined) return said;
  if (longName !== undefined) return text(cut(longName), "name");
  const name = cut(sub(block, FIELD.name));
  const dialect = dialectOf(block);
  if (dialect === "gnu") return text(name, "name");
  const field = dialect === "star" ? FIELD.starPrefix : FIELD.prefix;
  const prefix = cut(sub(block, field));
  if (prefix.byteLength === 0) return text(name, "name");
  if (dialect === "v7") throw new SyntaxError("it has a name prefix but no ustar mark");
  const whole = new Uint8Array(prefix.byteLength + 1 + name.byteLength);
  whole.set(prefix);
  whole[prefix.byteLength] = 0x2f;
  whole.set(name, prefix.byteLength + 1);
  return text(whole, "name");
}

function linkOf(block: Uint8Array, { pax, longLink }: Announced): string {
  const said = pax?.get("linkpath");
  if (said !== undefined && longLink !== undefined) throw twice("link target");
  return said ?? text(cut(longLink ?? sub(block, FIELD.linkName)), "link target");
}

/** The PAX size counts only where the field is too short for it; else the two must agree (CVE-2025-62518). */
function sizeOf(raw: RawHeader, pax: ReadonlyMap<string, string>): number {
  const said = pax.get("size");
  if (said === undefined) return raw.size;
  const size = decimal(said, "size");
  if (size !== raw.size && size <= maxOctal(FIELD.size[1])) {
    throw new SyntaxError(`its size is ${raw.size} in the header and ${size} in its PAX record`);
  }
  return size;
}

const MAX_OWNER = 2 ** 32 - 1;

function ownerOf(
  block: Uint8Array,
  field: Field,
  what: "uid" | "gid",
  pax: ReadonlyMap<string, string>,
): number {
  const said = pax.get(what);
  const value = said === undefined ? number(block, field, what) : decimal(said, what);
  if (value < 0 || value > MAX_OWNER) {
    throw new SyntaxError(`its ${what} is ${value}, want 0 to ${MAX_OWNER}`);
  }
  return value;
}

function decimal(said: string, what: string): number {
  const value = /^(0|[1-9][0-9]{0,15})$/.test(said) ? Number(said) : NaN;
  if (!Number.isSafeInteger(value)) {
    throw new SyntaxError(`its PAX ${what} is ${JSON.stringify(said.slice(0, 40))}`);
  }
  return value;
}

function seconds(said: string | undefined, what: string): number | undefined {
  if (said === undefined) return undefined;
  if (!/^-?[0-9]{1,15}(\.[0-9]*)?$/.test(said)) {
    throw new SyntaxError(`its PAX ${what} is ${JSON.stringify(said.slice(0, 40))}`);
  }
  return Math.floor(Number(said));
}

/** A numeric field: octal after blanks and before blanks or NULs, or GNU's base-256. Others are read differently by each reader. */
function number(block: Uint8Array, [offset, length]: Field, what: string): number {
  const first = block[offset]!;
  if (first === 0x80 || first === 0xff) {
    let value = first === 0xff ? -1n : 0n;
    for (let at = offset + 1; at < offset + length; at++) {
      value = (value << 8n) | BigInt(block[at]!);
    }
    const exact = Number(value);
    if (!Number.isSafeInteger(exact) || (what !== "mtime" && exact < 0)) {
      throw new SyntaxError(`its ${what} is ${value}`);
    }
    return exact;
  }
  let at = offset;
  let end = offset + length;
  while (at < end && block[at] === 0x20) at++;
  while (end > at && (block[end - 1] === 0x20 || block[end - 1] === 0)) end--;
  let value = 0;
  for (; at < end; at++) {
    const digit = block[at]! - 0x30;
    if (digit < 0 || digit > 7) {
      throw new SyntaxError(`its ${what} is ${JSON.stringify(latin(block, [offset, length]))}`);
    }
    value = value * 8 + digit;
  }
  return value;
}

function sub(block: Uint8Array, [offset, length]: Field): Uint8Array {
  return block.subarray(offset, offset + length);
}

/** Up to the first NUL. */
function cut(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

function text(bytes: Uint8Array, what: string): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new SyntaxError(
      `its ${what} ${JSON.stringify(new TextDecoder().decode(bytes))} is not UTF-8`,
      { cause },
    );
  }
}

/** Owner names decide nothing, so odd bytes in them are let through. */
function loose(block: Uint8Array, field: Field): string {
  return new TextDecoder().decode(cut(sub(block, field)));
}

function latin(block: Uint8Array, [offset, length]: Field): string {
  let out = "";
  for (let at = offset; at < offset + length; at++) out += String.fromCharCode(block[at]!);
  return out;
}

function twice(what: string): SyntaxError {
  return new SyntaxError(`its ${what} is said twice, in a GNU and in a PAX header`);
}
