/**
 * Files by descriptor. The C library does it, in a tenth of the time that Node's functions take for a call and without the
 * 30 ms of loading them. What fails there is done once more by Node's: it has the words for what is wrong.
 */
import * as fs from "node:fs";
import { type DescriptorCalls, type DescriptorLibrary, openDescriptorLibrary } from "./libc.ts";

const arm = Deno.build.arch === "aarch64";

/** Flags of {@linkcode openFile}, as Node's `constants`. */
export const OPEN = {
  readOnly: 0,
  writeOnly: 0o1,
  create: 0o100,
  exclusive: 0o200,
  noBlock: 0o4000,
  directory: arm ? 0o40000 : 0o200000,
  noFollow: arm ? 0o100000 : 0o400000,
} as const;
const CLOSE_ON_EXEC = 0o2000000;

// The executable keeps the library. From source it is closed with the last file: a test that opened it by chance would
// seem to have left something behind.
const keeps = "__wherry" in globalThis;
let library: DescriptorLibrary | undefined;
let files = 0;
const calls = () => library?.symbols;

function hold(): DescriptorCalls | undefined {
  files++;
  library ??= openDescriptorLibrary();
  return calls();
}

function give(): void {
  files--;
  if (files > 0 || keeps) return;
  library?.close();
  library = undefined;
}

const encoder = new TextEncoder();

/**
 * Opens `path` with a sum of {@linkcode OPEN} flags. No child inherits it.
 *
 * @param mode Of a file that is made.
 * @throws With the `code` that Node's `openSync` gives.
 */
export function openFile(path: string, flags: number, mode = 0o666): number {
  const held = hold();
  try {
    const known = path.includes("\0") ? undefined : held;
    const fd = known?.open(encoder.encode(`${path}\0`), flags | CLOSE_ON_EXEC, mode) ?? -1;
    if (fd >= 0) return fd;
    // The usual failure, that nothing is there, needs no words of Node's.
    if (known !== undefined && (flags & OPEN.create) === 0) Deno.lstatSync(path);
    return fs.openSync(path, flags, mode);
  } catch (error) {
    give();
    throw error;
  }
}

/** Closes a descriptor. */
export function closeFile(fd: number): void {
  if (calls()?.close(fd) !== 0) fs.closeSync(fd);
  give();
}

/** Reads into `buffer` from where the last read ended. Returns how many bytes; 0 at the end. */
export function readFile(fd: number, buffer: Uint8Array): number {
  const got = Number(
    calls()?.read(fd, buffer as Uint8Array<ArrayBuffer>, BigInt(buffer.byteLength)) ?? -1,
  );
  return got >= 0 ? got : fs.readSync(fd, buffer);
}

/** Appends all of `bytes`. */
export function writeFile(fd: number, bytes: Uint8Array): void {
  for (let rest = bytes; rest.byteLength > 0;) {
    const put = Number(
      calls()?.write(fd, rest as Uint8Array<ArrayBuffer>, BigInt(rest.byteLength)) ?? -1,
    );
    rest = rest.subarray(put > 0 ? put : fs.writeSync(fd, rest));
  }
}

/** Sets the mode of an open file. */
export function setMode(fd: number, mode: number): void {
  if (calls()?.fchmod(fd, mode) !== 0) fs.fchmodSync(fd, mode);
}
