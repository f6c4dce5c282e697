/**
 * Turns Deno's program into an executable that carries its own loader, libraries and scripts.
 *
 * The result is Deno's file with a few bytes patched, followed by one new segment and the parts:
 *
 * ```
 * 0      Deno: e_entry, program headers, DT_NEEDED, DT_STRTAB, DT_STRSZ, version needs patched, and what `changes` says
 * S      one PT_LOAD, R+X: stub | config | program headers for the loader | .dynstr and new names
 * ...    loader, libraries, data, helper; the entry script last, since it knows where the others are
 * ```
 *
 * Pure: bytes in, bytes out, the same for the same input. Anything unexpected about Deno's layout throws.
 */
import { encodeConfig, type Part, type StubConfig, type Undo } from "./config.ts";
import {
  alignUp,
  DT,
  type Elf,
  encodeSegments,
  fileOffset,
  onlyEntry,
  PHDR_SIZE,
  PT,
  readDynamic,
  readElf,
  type Segment,
  textAt,
  viewOf,
} from "./elf.ts";
import type { Patch } from "./light_vm.ts";
import type { Pins } from "./pins.ts";

/** Bytes to be carried, and how. */
export interface PartInput {
  readonly name: string;
  readonly kind: Part["kind"];
  /** File descriptor, 0 for the loader and for data. */
  readonly fd: number;
  readonly bytes: Uint8Array;
}

/** Everything an executable is assembled from. */
export interface AssembleInput {
  readonly pins: Pick<Pins, "machine" | "alignment" | "loader" | "libraries">;
  /** Deno's ELF file. */
  readonly deno: Uint8Array;
  /** What else is changed in it, apart from what is changed here. */
  readonly changes?: readonly Patch[] | undefined;
  /** The stub's code; the config follows it directly. */
  readonly stub: Uint8Array;
  /** Loader, libraries, helper and data, in file order. */
  readonly parts: readonly PartInput[];
  /** Makes the entry script, told where the part of kind `data` stands in the executable. */
  readonly entryScript: (start: number) => Uint8Array;
  /** File descriptor of the entry script. */
  readonly entryFd: number;
  /** Deno's command line before the script. */
  readonly args: readonly string[];
  /** `NAME=value` added to the environment Deno starts with. */
  readonly settings: readonly string[];
}

/** Descriptors below this many are needed at start; the stub raises a lower soft limit. */
const SPARE_FILES = 4;

/** The types of Deno's program headers, in order. Another layout needs a look at the stub first. */
const LAYOUT = [
  PT.PHDR,
  PT.INTERP,
  PT.LOAD,
  PT.LOAD,
  PT.LOAD,
  PT.LOAD,
  PT.TLS,
  PT.DYNAMIC,
  PT.GNU_STACK,
  PT.NOTE,
];

/** Assembles the executable. Throws SyntaxError when Deno's file is not laid out as expected. */
export function assemble(input: AssembleInput): Uint8Array {
  const { alignment, loader } = input.pins;
  const deno = readElf(input.deno, "deno");
  checkLayout(deno, input.pins);

  const fdOf = new Map(
    input.parts.filter((part) => part.kind === "library").map((p) => [p.name, p.fd]),
  );
  const names = renameLibraries(deno, loader, fdOf);

  // Sizes do not depend on addresses, so a first config with zeros tells how long everything is.
  const last = deno.segments.filter((segment) => segment.type === PT.LOAD).at(-1);
  if (!last) throw new SyntaxError("Cannot assemble: deno has no PT_LOAD");
  const base = alignUp(last.vaddr + last.memsz, alignment);
  const start = alignUp(input.deno.length, alignment);
  if (input.stub.length % 16 !== 0) {
    throw new RangeError("Cannot assemble: the stub's end is not aligned");
  }
  const loaderTable = [...deno.segments, last];
  const { changes = [] } = input;
  const undoShape = [...plannedPatches(deno, names, 0, []), ...changes].map((
    { offset, bytes },
  ) => ({
    offset,
    before: input.deno.slice(offset, offset + bytes.length),
  }));
  const draft = (values: Partial<StubConfig>): Uint8Array =>
    encodeConfig({
      self: 0,
      entry: deno.entry,
      phdr: 0,
      phnum: loaderTable.length,
      denoSize: input.deno.length,
      files: Math.max(input.entryFd, ...input.parts.map((part) => part.fd)) + SPARE_FILES,
      holes: holesBetween([...deno.segments, { ...last, vaddr: base }]),
      parts: [...input.parts, { name: "entry.js", kind: "script" as const, fd: input.entryFd }].map(
        (part) => ({ name: part.name, kind: part.kind, fd: part.fd, offset: 0, size: 0 }),
      ),
      undos: undoShape,
      args: [...input.args, `/proc/self/fd/${input.entryFd}`],
      settings: input.settings,
      ...values,
    });
  const configAt = input.stub.length;
  const tableAt = alignUp(configAt + draft({}).length, 16);
  const stringsAt = tableAt + loaderTable.length * PHDR_SIZE;
  const segmentSize = alignUp(stringsAt + names.strings.length, alignment);

  let end = start + segmentSize;
  const place = (size: number): number => {
    const offset = end;
    end = alignUp(offset + size, alignment);
    return offset;
  };
  const parts: Part[] = input.parts.map(({ name, kind, fd, bytes }) => ({
    name,
    kind,
    fd,
    offset: place(bytes.length),
    size: bytes.length,
  }));
  const entryBytes = input.entryScript(parts.find((part) => part.kind === "data")?.offset ?? 0);
  const entry: Part = {
    name: "entry.js",
    kind: "script",
    fd: input.entryFd,
    offset: place(entryBytes.length),
    size: entryBytes.length,
  };

  const segment: Segment = {
    type: PT.LOAD,
    flags: 5,
    offset: start,
    vaddr: base,
    // Whole pages: older kernels would otherwise try to zero the rest of a page that is not writable.
    filesz: segmentSize,
    memsz: segmentSize,
    align: alignment,
  };
  // The loader wants PT_PHDR to tell its table's own address, and PT_INTERP to exist.
  const lastLoad = deno.segments.lastIndexOf(last);
  const forLoader = deno.segments.toSpliced(lastLoad + 1, 0, segment).map((each) =>
    each.type === PT.PHDR
      ? {
        ...each,
        offset: start + tableAt,
        vaddr: base + tableAt,
        filesz: loaderTable.length * PHDR_SIZE,
        memsz: loaderTable.length * PHDR_SIZE,
      }
      : each
  );
  // The kernel must not see PT_INTERP; the new PT_LOAD takes its room, as the last of its kind.
  const forKernel = deno.segments.toSpliced(lastLoad + 1, 0, segment)
    .filter((each) => each.type !== PT.INTERP);

  const bytes = new Uint8Array(entry.offset + entry.size);
  bytes.set(input.deno);
  const undos: Undo[] = [];
  const patches = plannedPatches(deno, names, base + stringsAt, forKernel, base);
  for (const patch of [...patches, ...changes]) {
    undos.push({
      offset: patch.offset,
      before: bytes.slice(patch.offset, patch.offset + patch.bytes.length),
    });
    bytes.set(patch.bytes, patch.offset);
  }
  bytes.set(input.stub, start);
  bytes.set(
    draft({ self: base + configAt, phdr: base + tableAt, parts: [...parts, entry], undos }),
    start + configAt,
  );
  bytes.set(encodeSegments(forLoader), start + tableAt);
  bytes.set(names.strings, start + stringsAt);
  parts.forEach((part, index) =>
    bytes.set(input.parts[index]?.bytes ?? new Uint8Array(), part.offset)
  );
  bytes.set(entryBytes, entry.offset);
  return bytes;
}

/** Throws unless Deno's file looks exactly like the one the method was proven with. */
function checkLayout(deno: Elf, pins: AssembleInput["pins"]): void {
  const complain = (what: string, seen: unknown, wanted: unknown): never => {
    throw new SyntaxError(`Cannot assemble: deno's ${what} is ${seen}, wanted ${wanted}`);
  };
  if (deno.machine !== pins.machine) complain("machine", deno.machine, pins.machine);
  const types = deno.segments.map((segment) => segment.type);
  if (types.join() !== LAYOUT.join()) complain("program header layout", types, LAYOUT);
  if (deno.phoff !== 64) complain("program header offset", deno.phoff, 64);
  const interp = deno.segments.find((segment) => segment.type === PT.INTERP);
  const path = interp ? textAt(deno.bytes, interp.offset) : "";
  if (!path.endsWith("/" + pins.loader)) complain("interpreter", path, pins.loader);
  const dynamic = readDynamic(deno);
  const strings = fileOffset(deno, onlyEntry(dynamic, DT.STRTAB).value);
  const needed = dynamic.filter((entry) => entry.tag === DT.NEEDED)
    .map((entry) => textAt(deno.bytes, strings + entry.value));
  const wanted = [...pins.libraries, pins.loader];
  if (needed.join() !== wanted.join()) complain("list of needed libraries", needed, wanted);
}

interface NewNames {
  /** The old string table with the new names behind it. */
  readonly strings: Uint8Array;
  /** Where 8-byte string offsets (DT_NEEDED) are to be changed, and to what. */
  readonly needed: readonly { readonly at: number; readonly value: number }[];
  /** Where 4-byte string offsets (version needs) are to be changed, and to what. */
  readonly versions: readonly { readonly at: number; readonly value: number }[];
}

/** Plans `libc.so.6` -> `/proc/self/fd/N` in both places that name a library. */
function renameLibraries(deno: Elf, loader: string, fdOf: ReadonlyMap<string, number>): NewNames {
  const dynamic = readDynamic(deno);
  const oldAt = fileOffset(deno, onlyEntry(dynamic, DT.STRTAB).value);
  const old = deno.bytes.slice(oldAt, oldAt + onlyEntry(dynamic, DT.STRSZ).value);
  const view = viewOf(deno.bytes);

  let strings = String.fromCharCode(...old);
  const placeOf = new Map<string, number>();
  for (const [name, fd] of fdOf) {
    placeOf.set(name, strings.length);
    strings += `/proc/self/fd/${fd}\0`;
  }
  const newPlace = (offset: number): number | undefined => {
    const name = textAt(old, offset);
    if (name === loader) return undefined;
    const place = placeOf.get(name);
    if (place === undefined) throw new SyntaxError(`Cannot assemble: no part for library ${name}`);
    return place;
  };

  const needed = dynamic.filter((entry) => entry.tag === DT.NEEDED).flatMap((entry) => {
    const value = newPlace(entry.value);
    return value === undefined ? [] : [{ at: entry.valueAt, value }];
  });

  const versions: { at: number; value: number }[] = [];
  let at = fileOffset(deno, onlyEntry(dynamic, DT.VERNEED).value);
  for (let left = onlyEntry(dynamic, DT.VERNEEDNUM).value; left > 0; left--) {
    const value = newPlace(view.getUint32(at + 4, true));
    if (value !== undefined) versions.push({ at: at + 4, value });
    at += view.getUint32(at + 12, true);
  }
  return { strings: Uint8Array.from(strings, (c) => c.charCodeAt(0)), needed, versions };
}

/** What to overwrite in Deno's own bytes, sorted by offset. The shape does not depend on the values. */
function plannedPatches(
  deno: Elf,
  names: NewNames,
  stringsAddress: number,
  forKernel: readonly Segment[],
  entry = 0,
): readonly Patch[] {
  const dynamic = readDynamic(deno);
  const u64 = (value: number) => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
  const table = new Uint8Array(deno.segments.length * PHDR_SIZE);
  table.set(encodeSegments(forKernel));
  const strtab = onlyEntry(dynamic, DT.STRTAB).valueAt;
  const strsz = onlyEntry(dynamic, DT.STRSZ).valueAt;
  return [
    { offset: 24, bytes: u64(entry) },
    // No section headers: strip and patchelf then leave the file alone.
    { offset: 40, bytes: u64(0) },
    { offset: 60, bytes: new Uint8Array(4) },
    { offset: deno.phoff, bytes: table },
    ...names.needed.map(({ at, value }) => ({ offset: at, bytes: u64(value) })),
    { offset: strtab, bytes: u64(stringsAddress) },
    { offset: strsz, bytes: u64(names.strings.length) },
    ...names.versions.map(({ at, value }) => ({
      offset: at,
      bytes: new Uint8Array(Uint32Array.of(value).buffer),
    })),
  ].toSorted((a, b) => a.offset - b.offset);
}

/** The address ranges between consecutive PT_LOADs that no segment covers. */
function holesBetween(segments: readonly Segment[]): { from: number; to: number }[] {
  const loads = segments.filter((segment) => segment.type === PT.LOAD);
  return loads.slice(1).flatMap((next, index) => {
    const before = loads[index];
    const from = before ? before.vaddr + before.memsz : next.vaddr;
    return from < next.vaddr ? [{ from, to: next.vaddr }] : [];
  });
}
