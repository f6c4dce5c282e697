/** Rows of `content` found by their looks in a file of which no tree of pages leads to them any more. */
import { Buffer } from "node:buffer";
import { algorithmOf, type Digest, digestOf, isDigest } from "../oci/digest.ts";

/** One row. */
export interface Carved {
  readonly id: number;
  readonly digest: Digest;
  readonly size: number;
  readonly touched: number;
  /** Verified against the digest; `null` when they are a file. */
  readonly bytes: Uint8Array<ArrayBuffer> | null;
}

/** Pages looked through at once. */
const BLOCK = 256;
/** Longer documents are files. */
const MAX_INLINE = 1024 * 1024;

/**
 * Looks through every page of the SQLite file at `path`. A row is a record of five columns: the empty one that the row's
 * number stands for, a digest, two numbers, bytes or nothing. Rows that were deleted may turn up, too, and rows of files
 * are only as right as they look.
 *
 * @see https://www.sqlite.org/fileformat2.html#b_tree_pages
 */
export function* carveContent(path: string, pageSize: number): Generator<Carved> {
  using file = Deno.openSync(path);
  const block = Buffer.alloc(BLOCK * pageSize);
  for (let at = 0;; at += block.length) {
    const got = readAt(file, at, block);
    if (got === 0) return;
    for (let page = 0; page < got; page += pageSize) {
      yield* carvePage(file, block.subarray(page, Math.min(got, page + pageSize)), pageSize);
    }
    if (got < block.length) return;
  }
}

function* carvePage(file: Deno.FsFile, page: Buffer, pageSize: number): Generator<Carved> {
  for (const mark of ["sha256:", "sha512:"]) {
    for (let at = page.indexOf(mark); at >= 0; at = page.indexOf(mark, at + 1)) {
      const row = rowAround(file, page, at, pageSize);
      if (row !== undefined) yield row;
    }
  }
}

/** The row whose digest begins at `at`. */
function rowAround(
  file: Deno.FsFile,
  page: Buffer,
  at: number,
  pageSize: number,
): Carved | undefined {
  for (let length = 6; length <= 9 && length <= at; length++) {
    const start = at - length;
    if (page[start] !== length || page[start + 1] !== 0) continue;
    const types = typesIn(page, start + 1, at);
    if (types?.length !== 5) continue;
    const [, text, size, touched, blob] = types as [number, number, number, number, number];
    if (text < 13 || text % 2 === 0 || !isNumber(size) || !isNumber(touched)) continue;
    if (blob !== 0 && (blob < 12 || blob % 2 === 1)) continue;
    const payload = length +
      [text, size, touched, blob].reduce((sum, type) => sum + widthOf(type), 0);
    if (payload > MAX_INLINE + pageSize) continue;
    const id = rowIdBefore(page, start, payload);
    const record = id === undefined ? undefined : payloadAt(file, page, start, payload, pageSize);
    if (id === undefined || record === undefined) continue;
    const row = read(record, length, [text, size, touched, blob]);
    if (row !== undefined) return { id, ...row };
  }
  return undefined;
}

function read(
  record: Buffer,
  from: number,
  [text, size, touched, blob]: readonly [number, number, number, number],
): Omit<Carved, "id"> | undefined {
  const middle = from + widthOf(text);
  const digest = record.subarray(from, middle).toString("latin1");
  if (!isDigest(digest)) return undefined;
  const row = {
    digest,
    size: numberAt(record, middle, size),
    touched: numberAt(record, middle + widthOf(size), touched),
  };
  if (row.size < 0) return undefined;
  if (blob === 0) return { ...row, bytes: null };
  const bytes = new Uint8Array(record.subarray(record.length - widthOf(blob)));
  if (bytes.byteLength !== row.size) return undefined;
  return digestOf(bytes, algorithmOf(digest)) === digest ? { ...row, bytes } : undefined;
}

/** The serial types between `from` and `to`, or `undefined` when they do not end there. */
function typesIn(page: Buffer, from: number, to: number): readonly number[] | undefined {
  const types: number[] = [];
  for (let at = from; at < to;) {
    const { value, next } = varintAt(page, at);
    types.push(value);
    at = next;
    if (at > to) return undefined;
  }
  return types;
}

/** What stands before a record: its length, which is known, and the number of the row. */
function rowIdBefore(page: Buffer, start: number, payload: number): number | undefined {
  const said = Buffer.from(varint(payload));
  for (let length = 1; length <= 7 && start - length - said.length >= 0; length++) {
    const { value, next } = varintAt(page, start - length);
    if (next !== start) continue;
    const before = page.subarray(start - length - said.length, start - length);
    if (value > 0 && before.equals(said)) return value;
  }
  return undefined;
}

/** The bytes of a record, those on further pages included. */
function payloadAt(
  file: Deno.FsFile,
  page: Buffer,
  start: number,
  payload: number,
  pageSize: number,
): Buffer | undefined {
  if (payload <= pageSize - 35) {
    return start + payload <= page.length ? page.subarray(start, start + payload) : undefined;
  }
  const least = Math.floor((pageSize - 12) * 32 / 255) - 23;
  const most = least + (payload - least) % (pageSize - 4);
  const local = most <= pageSize - 35 ? most : least;
  if (start + local + 4 > page.length) return undefined;
  const all = Buffer.alloc(payload);
  page.copy(all, 0, start, start + local);
  let next = page.readUInt32BE(start + local);
  const more = Buffer.alloc(pageSize);
  for (let at = local; at < payload;) {
    if (next < 2 || readAt(file, (next - 1) * pageSize, more) < pageSize) return undefined;
    at += more.copy(all, at, 4, Math.min(pageSize, 4 + payload - at));
    next = more.readUInt32BE(0);
  }
  return all;
}

function isNumber(type: number): boolean {
  return type >= 1 && type <= 9 && type !== 7;
}

/** How many bytes a value of this serial type has. */
function widthOf(type: number): number {
  if (type >= 12) return Math.floor((type - 12) / 2);
  return [0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0][type]!;
}

function numberAt(bytes: Buffer, at: number, type: number): number {
  if (type >= 8) return type - 8;
  const width = widthOf(type);
  return width === 8 ? Number(bytes.readBigInt64BE(at)) : bytes.readIntBE(at, width);
}

function varintAt(bytes: Buffer, at: number): { readonly value: number; readonly next: number } {
  let value = 0;
  for (let next = at;; next++) {
    const byte = bytes[next] ?? 0;
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80 || next - at >= 7) return { value, next: next + 1 };
  }
}

function varint(value: number): readonly number[] {
  const bytes = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes.unshift(0x80 | rest & 0x7f);
  return bytes;
}

function readAt(file: Deno.FsFile, at: number, into: Uint8Array): number {
  file.seekSync(at, Deno.SeekMode.Start);
  let got = 0;
  while (got < into.byteLength) {
    const count = file.readSync(into.subarray(got));
    if (count === null) break;
    got += count;
  }
  return got;
}
