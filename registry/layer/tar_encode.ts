/**
 * Tar headers, byte for byte as Go's `archive/tar` writes them, because a layer's diffID is compared with
 * those of images made by the Go lifecycle (TA-7).
 */
import { formatPax } from "./pax.ts";
import {
  BLOCK,
  FIELD,
  type Field,
  GNU_MAGIC,
  maxOctal,
  padded,
  type TarHeader,
  TYPEFLAG,
  USTAR_MAGIC,
} from "./tar_format.ts";

const encoder = new TextEncoder();

/** What {@linkcode encodeHeader} needs; what is absent is empty or zero. */
export type HeaderFields =
  & Pick<TarHeader, "name" | "type" | "mode" | "uid" | "gid" | "size" | "mtime">
  & Partial<TarHeader>;

/**
 * The blocks of one header. Without `dialect` (or with one that has no writer): USTAR when everything fits,
 * else PAX. `gnu` stays GNU, `pax` keeps its records (TA-8).
 *
 * @throws {RangeError} When no dialect can carry it.
 */
export function encodeHeader(header: HeaderFields): Uint8Array {
  const name = encoder.encode(header.name);
  const link = encoder.encode(header.linkName ?? "");
  if (header.name === "" || name.includes(0) || link.includes(0)) {
    throw new RangeError(
      `Cannot write tar entry ${JSON.stringify(header.name)}: want a name without NUL`,
    );
  }
  if (header.dialect === "gnu") return encodeGnu(header, name, link);
  if (isPlain(header, name, link)) {
    const block = new Uint8Array(BLOCK);
    putCommon(block, header, octalOrThrow);
    block.set(name);
    block.set(link, FIELD.linkName[0]);
    return seal(block, USTAR_MAGIC);
  }
  const records = paxRecords(header, name, link);
  const split = splitName(name);
  const fits = name.byteLength <= LENGTH.name && isAscii(name);
  if (records.needed || header.dialect === "pax" && records.map.size > 0) {
    return encodePax(header, name, link, records.map);
  }
  const block = new Uint8Array(BLOCK);
  putCommon(block, header, octalOrThrow);
  putString(block, FIELD.name, fits ? name : split!.name);
  putString(block, FIELD.linkName, link);
  if (!fits) putString(block, FIELD.prefix, split!.prefix);
  return seal(block, USTAR_MAGIC);
}

const LENGTH = { name: FIELD.name[1], prefix: FIELD.prefix[1] };

/** Whether nothing has to be split, cut or recorded: nearly every entry, so it is asked first. */
function isPlain(header: HeaderFields, name: Uint8Array, link: Uint8Array): boolean {
  return name.byteLength <= LENGTH.name && link.byteLength <= LENGTH.name &&
    !header.userName && !header.groupName && (header.pax?.size ?? 0) === 0 &&
    inOctal(header.uid, 8) && inOctal(header.gid, 8) && inOctal(header.size, 12) &&
    inOctal(header.mtime, 12) && isAscii(name) && isAscii(link);
}

function inOctal(value: number, length: number): boolean {
  return value >= 0 && value <= maxOctal(length);
}

/** The records of a PAX header, and whether USTAR cannot do without them. */
function paxRecords(
  header: HeaderFields,
  name: Uint8Array,
  link: Uint8Array,
): { readonly map: Map<string, string>; readonly needed: boolean } {
  const map = new Map<string, string>();
  let needed = false;
  if (name.byteLength > LENGTH.name || !isAscii(name)) {
    map.set("path", header.name); // also when it could be split, if something else asks for PAX
    if (splitName(name) === undefined) needed = true;
  }
  const texts: readonly (readonly [string, Uint8Array, Field])[] = [
    ["linkpath", link, FIELD.linkName],
    ["uname", encoder.encode(header.userName ?? ""), FIELD.userName],
    ["gname", encoder.encode(header.groupName ?? ""), FIELD.groupName],
  ];
  for (const [key, bytes, [, length]] of texts) {
    if (bytes.byteLength > length || !isAscii(bytes)) {
      map.set(key, new TextDecoder().decode(bytes));
      needed = true;
    }
  }
  const numbers: readonly (readonly [string, number, Field])[] = [
    ["uid", header.uid, FIELD.uid],
    ["gid", header.gid, FIELD.gid],
    ["size", header.size, FIELD.size],
    ["mtime", header.mtime, FIELD.mtime],
  ];
  for (const [key, value, [, length]] of numbers) {
    if (!inOctal(value, length)) {
      map.set(key, String(value));
      needed = true;
    }
  }
  for (const [key, value] of header.pax ?? []) {
    // Go keeps a record of the source when it still says the truth, and all it does not know.
    const time = key === "atime" || key === "ctime";
    if (time && header.dialect !== "pax") continue;
    const now = NOW[key]?.(header);
    if (!map.has(key) && (now === undefined ? !key.startsWith("GNU.sparse.") : now === value)) {
      map.set(key, time ? trimTime(value) : value);
      needed = true;
    }
  }
  return { map, needed };
}

/** A time of a PAX record as Go writes it: at most nine digits after the point, no zeros at the end. */
function trimTime(value: string): string {
  const [whole = "", fraction = ""] = value.split(".");
  const digits = fraction.slice(0, 9).replace(/0+$/, "");
  return digits === "" ? whole : `${whole}.${digits}`;
}

/** The keys that say the same as a header field, and what they would say now. */
const NOW: Readonly<Record<string, (header: HeaderFields) => string>> = {
  path: (header) => header.name,
  linkpath: (header) => header.linkName ?? "",
  uname: (header) => header.userName ?? "",
  gname: (header) => header.groupName ?? "",
  uid: (header) => String(header.uid),
  gid: (header) => String(header.gid),
  size: (header) => String(header.size),
  mtime: (header) => String(header.mtime),
};

function encodePax(
  header: HeaderFields,
  name: Uint8Array,
  link: Uint8Array,
  records: ReadonlyMap<string, string>,
): Uint8Array {
  const block = new Uint8Array(BLOCK);
  putCommon(block, {
    ...header,
    userName: onlyAscii(header.userName ?? ""),
    groupName: onlyAscii(header.groupName ?? ""),
  }, octalOrZero);
  putString(block, FIELD.name, asciiOf(name));
  putString(block, FIELD.linkName, asciiOf(link));
  seal(block, USTAR_MAGIC);
  // Where it would be unpacked by a tool that knows no PAX: beside the entry, in a folder of its own.
  const slash = header.name.lastIndexOf("/") + 1;
  const parts = header.name.slice(0, slash) + "/PaxHeaders.0/" + header.name.slice(slash);
  return join(special(asciiOf(encoder.encode(cleanPath(parts))), "x", formatPax(records)), block);
}

function encodeGnu(header: HeaderFields, name: Uint8Array, link: Uint8Array): Uint8Array {
  const long = encoder.encode("././@LongLink");
  const before: Uint8Array[] = [];
  if (name.byteLength > LENGTH.name) before.push(special(long, "L", join(name, NUL), GNU_MAGIC));
  if (link.byteLength > FIELD.linkName[1]) {
    before.push(special(long, "K", join(link, NUL), GNU_MAGIC));
  }
  const block = new Uint8Array(BLOCK);
  putCommon(block, header, octalOrBinary);
  putString(block, FIELD.name, name);
  putString(block, FIELD.linkName, link);
  if (header.atime !== undefined) octalOrBinary(block, FIELD.gnuAtime, header.atime);
  if (header.ctime !== undefined) octalOrBinary(block, FIELD.gnuCtime, header.ctime);
  return join(...before, seal(block, GNU_MAGIC));
}

const NUL = new Uint8Array(1);

/** A header that carries `body` about the entry behind it. */
function special(
  name: Uint8Array,
  flag: string,
  body: Uint8Array,
  magic = USTAR_MAGIC,
): Uint8Array {
  const blocks = new Uint8Array(BLOCK + padded(body.byteLength));
  const block = blocks.subarray(0, BLOCK);
  let end = Math.min(name.byteLength, LENGTH.name);
  while (end > 0 && name[end - 1] === 0x2f) end--;
  putString(block, FIELD.name, name.subarray(0, end));
  for (const field of [FIELD.mode, FIELD.uid, FIELD.gid, FIELD.mtime]) octalOrZero(block, field, 0);
  octalOrThrow(block, FIELD.size, body.byteLength);
  block[FIELD.typeflag[0]] = flag.charCodeAt(0);
  seal(block, magic);
  blocks.set(body, BLOCK);
  return blocks;
}

type PutNumber = (block: Uint8Array, field: Field, value: number) => void;

function putCommon(block: Uint8Array, header: HeaderFields, put: PutNumber): void {
  put(block, FIELD.mode, header.mode);
  put(block, FIELD.uid, header.uid);
  put(block, FIELD.gid, header.gid);
  put(block, FIELD.size, header.size);
  put(block, FIELD.mtime, header.mtime);
  block[FIELD.typeflag[0]] = TYPEFLAG[header.type].charCodeAt(0);
  if (header.userName) putString(block, FIELD.userName, encoder.encode(header.userName));
  if (header.groupName) putString(block, FIELD.groupName, encoder.encode(header.groupName));
  for (
    const [field, value] of [[FIELD.major, header.major], [FIELD.minor, header.minor]] as const
  ) {
    if ((value ?? 0) > maxOctal(8)) {
      throw new RangeError(
        `Cannot write tar entry ${
          JSON.stringify(header.name)
        }: device number ${value} is too large`,
      );
    }
    put(block, field, value ?? 0);
  }
  if (header.mode < 0 || header.mode > maxOctal(8)) {
    throw new RangeError(
      `Cannot write tar entry ${JSON.stringify(header.name)}: mode ${header.mode} is not one`,
    );
  }
}

function octalOrZero(block: Uint8Array, [offset, length]: Field, value: number): void {
  let rest = inOctal(value, length) ? value : 0;
  for (let at = offset + length - 2; at >= offset; at--) {
    if (rest < 0x80000000) {
      block[at] = 0x30 + (rest & 7);
      rest >>>= 3;
    } else {
      block[at] = 0x30 + rest % 8;
      rest = Math.floor(rest / 8);
    }
  }
  block[offset + length - 1] = 0;
}

function octalOrThrow(block: Uint8Array, field: Field, value: number): void {
  if (!Number.isInteger(value) || !inOctal(value, field[1])) {
    throw new RangeError(`Cannot write tar header: ${value} does not fit ${field[1]} octal digits`);
  }
  octalOrZero(block, field, value);
}

/** GNU's base-256: the top bit marks it, the rest is a big-endian two's complement number. */
function octalOrBinary(block: Uint8Array, field: Field, value: number): void {
  const [offset, length] = field;
  if (value >= 0 && value <= maxOctal(length)) return octalOrZero(block, field, value);
  let rest = BigInt(value);
  for (let at = offset + length - 1; at >= offset; at--) {
    block[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  block[offset] = block[offset]! | 0x80;
}

/** Puts what fits. Old readers take a file whose cut name ends in a slash for a directory, so that goes. */
function putString(block: Uint8Array, [offset, length]: Field, bytes: Uint8Array): void {
  block.set(bytes.subarray(0, length), offset);
  if (bytes.byteLength > length && bytes[length - 1] === 0x2f) {
    let end = length - 1;
    while (end > 0 && bytes[end - 1] === 0x2f) end--;
    block[offset + end] = 0;
  }
}

function seal(block: Uint8Array, magic: string): Uint8Array {
  for (let at = 0; at < magic.length; at++) block[FIELD.magic[0] + at] = magic.charCodeAt(at);
  const [offset] = FIELD.checksum;
  block.fill(0x20, offset, offset + 8);
  let sum = 0;
  for (let at = 0; at < BLOCK; at++) sum += block[at]!;
  octalOrZero(block, [offset, 7], sum);
  return block;
}

/** Prefix and name of a long USTAR name: at the last slash that leaves a prefix of at most 155 bytes. */
function splitName(
  name: Uint8Array,
): { readonly prefix: Uint8Array; readonly name: Uint8Array } | undefined {
  if (name.byteLength <= LENGTH.name || !isAscii(name)) return undefined;
  let end = name.byteLength;
  if (end > LENGTH.prefix + 1) end = LENGTH.prefix + 1;
  else if (name[end - 1] === 0x2f) end--;
  const slash = name.lastIndexOf(0x2f, end - 1);
  const left = name.byteLength - slash - 1;
  if (slash <= 0 || left === 0 || left > LENGTH.name || slash > LENGTH.prefix) return undefined;
  return { prefix: name.subarray(0, slash), name: name.subarray(slash + 1) };
}

function isAscii(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.byteLength; at++) if (bytes[at]! >= 0x80) return false;
  return true;
}

function asciiOf(bytes: Uint8Array): Uint8Array {
  return isAscii(bytes) ? bytes : bytes.filter((byte) => byte < 0x80);
}

function onlyAscii(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[^\x00-\x7f]/g, "");
}

/** Go's path.Join for what can stand in a tar: no empty, `.` or resolvable `..` parts. */
function cleanPath(path: string): string {
  const parts: string[] = [];
  const rooted = path.startsWith("/");
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else if (!rooted) parts.push(part);
  }
  return (rooted ? "/" : "") + parts.join("/");
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}
