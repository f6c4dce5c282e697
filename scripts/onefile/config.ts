/** The tables `stub.c` reads: `struct config` and what it points to. Change both together. */
import { alignUp, viewOf } from "./elf.ts";

/** What the stub does with a part of the file. */
const PART_KIND = { library: 1, program: 2, script: 3, loader: 4, data: 5 } as const;

/** A run of bytes in the executable. */
export interface Part {
  /** File name for `WHERRY_UNPACK`, at most 31 ASCII characters. */
  readonly name: string;
  readonly kind: keyof typeof PART_KIND;
  /** File descriptor it appears under; 0 for the loader and for data. */
  readonly fd: number;
  /** Byte offset in the executable. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/** Bytes of Deno's file that the assembler overwrote. */
export interface Undo {
  readonly offset: number;
  readonly before: Uint8Array;
}

/** Everything the stub needs to know; addresses as in the program headers. */
export interface StubConfig {
  readonly self: number;
  readonly entry: number;
  readonly phdr: number;
  readonly phnum: number;
  readonly denoSize: number;
  readonly files: number;
  readonly holes: readonly { readonly from: number; readonly to: number }[];
  readonly parts: readonly Part[];
  readonly undos: readonly Undo[];
  /** Deno's command line up to and including the script. */
  readonly args: readonly string[];
  /** `NAME=value` added to the environment. */
  readonly settings: readonly string[];
}

const HEADER_SIZE = 16 + 6 * 8 + 5 * 16;

/** The bytes of the config. Their length depends only on counts and text lengths, not on addresses. */
export function encodeConfig(config: StubConfig): Uint8Array {
  const tables = [
    encodeNumbers(config.holes.map((hole) => [hole.from, hole.to])),
    encodeParts(config.parts),
    new Uint8Array(config.undos.length * 24),
    encodeTexts(config.args),
    encodeTexts(config.settings),
  ];
  const counts = [config.holes, config.parts, config.undos, config.args, config.settings];
  let end = HEADER_SIZE;
  const places = tables.map((table) => {
    const at = end;
    end = alignUp(end + table.length, 16);
    return at;
  });
  const undoAt = config.undos.map((undo) => {
    const at = end;
    end += undo.before.length;
    return at;
  });
  tables[2] = encodeNumbers(
    config.undos.map((undo, index) => [undo.offset, undo.before.length, undoAt[index] ?? 0]),
  );

  const bytes = new Uint8Array(alignUp(end, 16));
  const view = viewOf(bytes);
  bytes.set(new TextEncoder().encode("wherry onefile 1"));
  [config.self, config.entry, config.phdr, config.phnum, config.denoSize, config.files].forEach(
    (value, index) => view.setBigUint64(16 + index * 8, BigInt(value), true),
  );
  tables.forEach((table, index) => {
    view.setBigUint64(64 + index * 16, BigInt(places[index] ?? 0), true);
    view.setBigUint64(72 + index * 16, BigInt(counts[index]?.length ?? 0), true);
    bytes.set(table, places[index]);
  });
  config.undos.forEach((undo, index) => bytes.set(undo.before, undoAt[index]));
  return bytes;
}

function encodeNumbers(rows: readonly (readonly number[])[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(rows.flat().map(BigInt)).buffer);
}

function encodeParts(parts: readonly Part[]): Uint8Array {
  const bytes = new Uint8Array(parts.length * 64);
  parts.forEach((part, index) => {
    const name = new TextEncoder().encode(part.name);
    if (name.length > 31) throw new RangeError(`Cannot name a part "${part.name}": over 31 bytes`);
    bytes.set(
      encodeNumbers([[part.offset, part.size, part.fd, PART_KIND[part.kind]]]),
      index * 64,
    );
    bytes.set(name, index * 64 + 32);
  });
  return bytes;
}

function encodeTexts(texts: readonly string[]): Uint8Array {
  return new TextEncoder().encode(texts.map((text) => text + "\0").join(""));
}
