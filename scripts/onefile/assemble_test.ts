import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { assemble, type AssembleInput } from "./assemble.ts";
import {
  alignUp,
  DT,
  encodeSegments,
  fileOffset,
  onlyEntry,
  PHDR_SIZE,
  PT,
  readDynamic,
  readElf,
  readU64,
  textAt,
  viewOf,
} from "./elf.ts";
import { PINS } from "./pins.ts";

// Deno's own program is the one input worth testing with: its layout is what the assembler depends on.
const deno = await Deno.readFile(Deno.execPath());
const pins = PINS[Deno.build.arch === "aarch64" ? "arm64" : "amd64"];
const denoElf = readElf(deno, "deno");

function input(bytes: Uint8Array = deno): AssembleInput {
  const content = (name: string) => new TextEncoder().encode(`contents of ${name}`);
  return {
    pins,
    deno: bytes,
    stub: new Uint8Array(64).fill(0x90),
    parts: [
      { name: pins.loader, kind: "loader", fd: 0, bytes: content(pins.loader) },
      ...pins.libraries.map((name, index) => ({
        name,
        kind: "library" as const,
        fd: 100 + index,
        bytes: content(name),
      })),
      { name: "assets", kind: "data", fd: 0, bytes: content("assets") },
    ],
    entryScript: (start) => new TextEncoder().encode(`// assets at ${start}`),
    entryFd: 120,
    args: ["wherry", "run"],
    settings: ["A=b"],
  };
}

const made = assemble(input());
const elf = readElf(made, "the executable");
const last = elf.segments.filter((segment) => segment.type === PT.LOAD).at(-1);
assert(last);
const config = made.indexOf(0x77, last.offset + 64); // "wherry onefile 1" follows the stub

/** Deno with `edit` applied, for layouts that must be refused. */
function edited(edit: (bytes: Uint8Array, view: DataView) => void): Uint8Array {
  const bytes = deno.slice();
  edit(bytes, viewOf(bytes));
  return bytes;
}

Deno.test("4.1 the kernel sees no PT_INTERP and the new PT_LOAD last, in as many headers as before", () => {
  const types = elf.segments.map((segment) => segment.type);
  assert.equal(types.length, denoElf.segments.length);
  assert.deepEqual(types, [
    PT.PHDR,
    PT.LOAD,
    PT.LOAD,
    PT.LOAD,
    PT.LOAD,
    PT.LOAD,
    PT.TLS,
    PT.DYNAMIC,
    PT.GNU_STACK,
    PT.NOTE,
  ]);
  assert.equal(last.flags, 5);
  assert.equal(elf.entry, last.vaddr);
  const addresses = elf.segments.filter((each) => each.type === PT.LOAD).map((each) => each.vaddr);
  assert.deepEqual(addresses, addresses.toSorted((a, b) => a - b));
});

Deno.test("4.1 the new segment is whole pages at a whole page, in the file and in memory", () => {
  for (const value of [last.offset, last.vaddr, last.filesz, last.memsz]) {
    assert.equal(value % pins.alignment, 0);
  }
  assert.equal(last.filesz, last.memsz);
});

Deno.test("4.2 the loader's table has PT_INTERP, and PT_PHDR with the table's own address", () => {
  const view = viewOf(made);
  assert.equal(textAt(made, config).slice(0, 16), "wherry onefile 1");
  const [self, entry, phdr, phnum] = [16, 24, 32, 40].map((at) => readU64(view, config + at));
  assert.equal(self, last.vaddr + config - last.offset);
  assert.equal(entry, denoElf.entry);
  assert.equal(phnum, denoElf.segments.length + 1);
  const at = (phdr ?? 0) - last.vaddr + last.offset;
  const table = made.slice(at, at + (phnum ?? 0) * PHDR_SIZE);
  assert.equal(viewOf(table).getUint32(0, true), PT.PHDR);
  assert.equal(readU64(viewOf(table), 16), phdr);
  const interp = denoElf.segments.filter((segment) => segment.type === PT.INTERP);
  assert.deepEqual(table.slice(PHDR_SIZE, 2 * PHDR_SIZE), encodeSegments(interp));
});

Deno.test("4.3 libraries are named by descriptor in DT_NEEDED and in the version needs, the loader is not", () => {
  const dynamic = readDynamic(elf);
  const strings = fileOffset(elf, onlyEntry(dynamic, DT.STRTAB).value);
  const needed = dynamic.filter((entry) => entry.tag === DT.NEEDED)
    .map((entry) => textAt(made, strings + entry.value));
  const wanted = [...pins.libraries.map((_, index) => `/proc/self/fd/${100 + index}`), pins.loader];
  assert.deepEqual(needed, wanted);
  const versions: string[] = [];
  let at = fileOffset(elf, onlyEntry(dynamic, DT.VERNEED).value);
  for (let left = onlyEntry(dynamic, DT.VERNEEDNUM).value; left > 0; left--) {
    versions.push(textAt(made, strings + viewOf(made).getUint32(at + 4, true)));
    at += viewOf(made).getUint32(at + 12, true);
  }
  assert.deepEqual(versions, wanted);
});

Deno.test("4.4 DT_STRTAB points at a longer copy of the string table in the new segment", () => {
  const before = readDynamic(denoElf);
  const after = readDynamic(elf);
  const address = onlyEntry(after, DT.STRTAB).value;
  assert(address > last.vaddr && address < last.vaddr + last.memsz);
  const oldSize = onlyEntry(before, DT.STRSZ).value;
  const oldAt = fileOffset(denoElf, onlyEntry(before, DT.STRTAB).value);
  const newAt = fileOffset(elf, address);
  assert.deepEqual(made.slice(newAt, newAt + oldSize), deno.slice(oldAt, oldAt + oldSize));
  assert(onlyEntry(after, DT.STRSZ).value > oldSize);
});

Deno.test("4.5 there are no section headers", () => {
  assert.equal(readU64(viewOf(made), 40), 0);
  assert.equal(viewOf(made).getUint16(60, true), 0);
});

Deno.test("parts stand page-aligned and whole, and the entry script knows where the assets are", () => {
  const text = new TextDecoder("latin1").decode(
    made.subarray(alignUp(deno.length, pins.alignment)),
  );
  const start = alignUp(deno.length, pins.alignment);
  for (const part of input().parts) {
    const at = start + text.indexOf(new TextDecoder().decode(part.bytes));
    assert(at > start, part.name);
    assert.equal(at % pins.alignment, 0, part.name);
  }
  const assets = start + text.indexOf("contents of assets");
  assert(text.endsWith(`// assets at ${assets}`));
});

Deno.test("the same input gives the same bytes", () => {
  assert(Buffer.compare(made, assemble(input())) === 0);
});

Deno.test("another needed library in Deno is refused", () => {
  const dynamic = readDynamic(denoElf);
  const strings = fileOffset(denoElf, onlyEntry(dynamic, DT.STRTAB).value);
  const first = dynamic.find((entry) => entry.tag === DT.NEEDED);
  const other = edited((bytes) => bytes.set([0x7a], strings + (first?.value ?? 0)));
  assert.throws(
    () => assemble(input(other)),
    /Cannot assemble: deno's list of needed libraries is zib/,
  );
});

Deno.test("another number or order of program headers in Deno is refused", () => {
  const fewer = edited((_, view) => view.setUint16(56, 9, true));
  assert.throws(() => assemble(input(fewer)), /Cannot assemble: deno's program header layout/);
  const other = edited((_, view) => view.setUint32(64 + 9 * PHDR_SIZE, PT.LOAD, true));
  assert.throws(() => assemble(input(other)), /Cannot assemble: deno's program header layout/);
});

Deno.test("another interpreter in Deno is refused", () => {
  const interp = denoElf.segments.find((segment) => segment.type === PT.INTERP);
  const other = edited((bytes) => bytes.set([0x2f, 0x78, 0], interp?.offset));
  assert.throws(() => assemble(input(other)), /Cannot assemble: deno's interpreter is \/x, wanted/);
});

Deno.test("a program for another processor is refused", () => {
  const other = edited((_, view) => view.setUint16(18, 8, true));
  assert.throws(() => assemble(input(other)), /Cannot assemble: deno's machine is 8, wanted/);
});

Deno.test("a file that is no ELF is refused", () => {
  assert.throws(() => assemble(input(new Uint8Array(100))), /Cannot read deno: not a 64-bit/);
});
