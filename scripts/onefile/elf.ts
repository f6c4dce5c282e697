/** Reading and patching 64-bit little-endian ELF files: just what the assembler needs. */

/** Program header types the assembler names. */
export const PT = {
  LOAD: 1,
  DYNAMIC: 2,
  INTERP: 3,
  NOTE: 4,
  PHDR: 6,
  TLS: 7,
  GNU_STACK: 0x6474e551,
};

/** Dynamic tags the assembler names. */
export const DT = {
  NULL: 0,
  NEEDED: 1,
  STRTAB: 5,
  STRSZ: 10,
  SONAME: 14,
  VERNEED: 0x6ffffffe,
  VERNEEDNUM: 0x6fffffff,
};

/** Size of one program header, bytes. */
export const PHDR_SIZE = 56;

/** One program header; offsets, addresses and sizes in bytes. */
export interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly vaddr: number;
  readonly filesz: number;
  readonly memsz: number;
  readonly align: number;
}

/** One entry of the dynamic section, with where its value stands in the file. */
export interface DynamicEntry {
  readonly tag: number;
  readonly value: number;
  /** File offset of the 8-byte value. */
  readonly valueAt: number;
}

/** The parts of an ELF file that the assembler looks at. */
export interface Elf {
  readonly bytes: Uint8Array;
  readonly machine: number;
  readonly entry: number;
  readonly phoff: number;
  readonly segments: readonly Segment[];
}

/** A view over exactly the bytes of `bytes`. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** An unsigned 64-bit number that must fit a JavaScript integer. */
export function readU64(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new RangeError(`Cannot read a 64-bit number at ${at}: ${value} is out of range`);
  }
  return Number(value);
}

/** Parses the header and the program headers. Throws SyntaxError for anything but a 64-bit ELF. */
export function readElf(bytes: Uint8Array, name: string): Elf {
  const view = viewOf(bytes);
  if (
    bytes.length < 64 || view.getUint32(0, false) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1
  ) {
    throw new SyntaxError(`Cannot read ${name}: not a 64-bit little-endian ELF file`);
  }
  const phoff = readU64(view, 32);
  if (view.getUint16(54, true) !== PHDR_SIZE) {
    throw new SyntaxError(`Cannot read ${name}: program headers are not ${PHDR_SIZE} bytes each`);
  }
  const segments = Array.from({ length: view.getUint16(56, true) }, (_, index) => {
    const at = phoff + index * PHDR_SIZE;
    return {
      type: view.getUint32(at, true),
      flags: view.getUint32(at + 4, true),
      offset: readU64(view, at + 8),
      vaddr: readU64(view, at + 16),
      filesz: readU64(view, at + 32),
      memsz: readU64(view, at + 40),
      align: readU64(view, at + 48),
    };
  });
  return { bytes, machine: view.getUint16(18, true), entry: readU64(view, 24), phoff, segments };
}

/** The 56 bytes of each segment, in order. */
export function encodeSegments(segments: readonly Segment[]): Uint8Array {
  const bytes = new Uint8Array(segments.length * PHDR_SIZE);
  const view = viewOf(bytes);
  segments.forEach((segment, index) => {
    const at = index * PHDR_SIZE;
    view.setUint32(at, segment.type, true);
    view.setUint32(at + 4, segment.flags, true);
    view.setBigUint64(at + 8, BigInt(segment.offset), true);
    view.setBigUint64(at + 16, BigInt(segment.vaddr), true);
    view.setBigUint64(at + 24, BigInt(segment.vaddr), true);
    view.setBigUint64(at + 32, BigInt(segment.filesz), true);
    view.setBigUint64(at + 40, BigInt(segment.memsz), true);
    view.setBigUint64(at + 48, BigInt(segment.align), true);
  });
  return bytes;
}

/** The file offset of address `vaddr`, which must be backed by the file. */
export function fileOffset(elf: Elf, vaddr: number): number {
  for (const segment of elf.segments) {
    if (
      segment.type === PT.LOAD && vaddr >= segment.vaddr && vaddr < segment.vaddr + segment.filesz
    ) {
      return vaddr - segment.vaddr + segment.offset;
    }
  }
  throw new RangeError(`Cannot find address 0x${vaddr.toString(16)}: no segment holds it`);
}

/** The dynamic section up to DT_NULL. */
export function readDynamic(elf: Elf): readonly DynamicEntry[] {
  const segment = elf.segments.find((each) => each.type === PT.DYNAMIC);
  if (!segment) throw new SyntaxError("Cannot read the dynamic section: there is none");
  const view = viewOf(elf.bytes);
  const entries: DynamicEntry[] = [];
  for (let at = segment.offset; at < segment.offset + segment.filesz; at += 16) {
    const tag = readU64(view, at);
    if (tag === DT.NULL) break;
    entries.push({ tag, value: Number(view.getBigUint64(at + 8, true)), valueAt: at + 8 });
  }
  return entries;
}

/** The one entry with this tag; throws SyntaxError when there is none or more than one. */
export function onlyEntry(entries: readonly DynamicEntry[], tag: number): DynamicEntry {
  const found = entries.filter((entry) => entry.tag === tag);
  if (found.length !== 1 || !found[0]) {
    throw new SyntaxError(
      `Cannot read the dynamic section: ${found.length} entries with tag ${tag}`,
    );
  }
  return found[0];
}

/** NUL-terminated Latin-1 text at `at`. */
export function textAt(bytes: Uint8Array, at: number): string {
  const end = bytes.indexOf(0, at);
  return String.fromCharCode(...bytes.subarray(at, end));
}

/** The contents of the section called `name`; throws SyntaxError when it is missing. */
export function readSection(elf: Elf, name: string): Uint8Array {
  const view = viewOf(elf.bytes);
  const shoff = readU64(view, 40);
  const count = view.getUint16(60, true);
  const header = (index: number) => shoff + index * 64;
  const names = readU64(view, header(view.getUint16(62, true)) + 24);
  for (let index = 0; index < count; index++) {
    if (textAt(elf.bytes, names + view.getUint32(header(index), true)) !== name) continue;
    const offset = readU64(view, header(index) + 24);
    return elf.bytes.slice(offset, offset + readU64(view, header(index) + 32));
  }
  throw new SyntaxError(`Cannot read section ${name}: there is none`);
}

/** `value` rounded up to a multiple of `alignment`. */
export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}
