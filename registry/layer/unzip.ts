import type { Readable } from "node:stream";
import yauzl from "yauzl";
import { ConfinedDirectory, stepsOf } from "./confined.ts";
import type { ExtractResult, UntarOptions } from "./extract.ts";
import { nextTurn, SLICE_MS } from "./turn.ts";

const DEFAULTS = { maxBytes: 64 * 2 ** 30, maxEntries: 4_000_000, maxRatio: 1100 };
/** Below this much content a high ratio hurts nobody: zeros compress well. */
const RATIO_FREE_BYTES = 64 * 1024 * 1024;
const MAX_LINK_BYTES = 4096;
const MADE_ON_UNIX = 3;
const TYPE_BITS = 0o170000;
const SYMLINK = 0o120000;
const DIRECTORY = 0o040000;
const REGULAR = 0o100000;
const ENCRYPTED = 1;

/**
 * Unpacks a zip or jar into the existing directory `dir`: modes and symlinks where the zip has them (it was made on
 * a Unix), else 0644 and 0755. Confined to `dir`: names that leave it are refused ("zip slip", X-01), links are not
 * followed, bombs are limited, encrypted entries refused.
 *
 * @throws {TypeError} For an entry that cannot be made below `dir`.
 * @throws {SyntaxError} When the file is no zip, or a damaged one.
 * @throws {RangeError} When a limit is passed.
 */
export async function unzipTo(
  dir: string,
  file: string,
  options: UntarOptions = {},
): Promise<ExtractResult> {
  const zip = await open(file);
  try {
    using target = new ConfinedDirectory(dir);
    const result = await unpack(zip, file, target, options);
    target.finish();
    return result;
  } finally {
    zip.close();
  }
}

async function unpack(
  zip: yauzl.ZipFile,
  file: string,
  target: ConfinedDirectory,
  options: UntarOptions,
): Promise<ExtractResult> {
  const limits = { ...DEFAULTS, ...options.limits };
  const { maxBytes = Infinity, maxEntries = Infinity, maxRatio = Infinity } = limits;
  let entries = 0;
  let bytes = 0;
  let deadline = performance.now() + SLICE_MS;
  for await (const entry of entriesOf(zip, file)) {
    options.signal?.throwIfAborted();
    if (performance.now() > deadline) {
      await nextTurn();
      deadline = performance.now() + SLICE_MS;
    }
    const name = entry.fileName;
    const { uncompressedSize: size, compressedSize } = entry;
    bytes += size; // the reader sees to it that no more come than were announced
    if (++entries > maxEntries || bytes > maxBytes) {
      throw new RangeError(
        `Cannot unzip ${file}: it has more than ${maxEntries} entries or ${maxBytes} bytes`,
      );
    }
    if (size > RATIO_FREE_BYTES && size > compressedSize * maxRatio) {
      throw new RangeError(
        `Cannot unzip ${name} of ${file}: ${compressedSize} bytes would become ${size}`,
      );
    }
    if ((entry.generalPurposeBitFlag & ENCRYPTED) !== 0) {
      throw new TypeError(`Cannot unzip ${name} of ${file}: it is encrypted`);
    }
    const mode = modeOf(entry);
    const steps = stepsOf(name);
    const type = mode & TYPE_BITS;
    if (name.endsWith("/") || type === DIRECTORY) {
      target.makeDirectory(steps, mode & 0o1777);
    } else if (type === SYMLINK) {
      if (size > MAX_LINK_BYTES) {
        throw new TypeError(`Cannot unzip ${name} of ${file}: it links to ${size} bytes`);
      }
      target.makeSymlink(steps, await linkText(zip, entry, file));
    } else if (type === REGULAR || type === 0) {
      const out = target.makeFile(steps, mode & (options.keepSetuid ? 0o7777 : 0o1777));
      try {
        for await (const chunk of await content(zip, entry, file)) {
          options.signal?.throwIfAborted();
          out.write(chunk as Uint8Array);
        }
        out.end();
      } finally {
        out.close();
      }
    } else {
      throw new TypeError(`Cannot unzip ${name} of ${file}: it is a device or pipe`);
    }
  }
  return { entries, bytes };
}

/** The Unix mode with its type bits; a default for zips made elsewhere and by writers that leave it 0. */
function modeOf(entry: yauzl.Entry): number {
  const mode = entry.externalFileAttributes >>> 16;
  if (entry.versionMadeBy >>> 8 === MADE_ON_UNIX && mode !== 0) return mode;
  return entry.fileName.endsWith("/") ? DIRECTORY | 0o755 : REGULAR | 0o644;
}

async function linkText(zip: yauzl.ZipFile, entry: yauzl.Entry, file: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await content(zip, entry, file)) chunks.push(chunk as Uint8Array);
  const bytes = new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new TypeError(`Cannot unzip ${entry.fileName} of ${file}: its target is not UTF-8`, {
      cause,
    });
  }
}

function open(file: string): Promise<yauzl.ZipFile> {
  return new Promise((resolve, reject) => {
    yauzl.open(file, { lazyEntries: true, autoClose: false }, (error, zip) => {
      if (error) reject(damaged(file, error));
      else resolve(zip);
    });
  });
}

/** The reader calls back once an entry; this asks for the next one when the last was dealt with. */
async function* entriesOf(zip: yauzl.ZipFile, file: string): AsyncGenerator<yauzl.Entry> {
  let settle = Promise.withResolvers<yauzl.Entry | undefined>();
  zip.on("entry", (entry: yauzl.Entry) => settle.resolve(entry));
  zip.on("end", () => settle.resolve(undefined));
  zip.on("error", (error: Error) => settle.reject(damaged(file, error)));
  while (true) {
    zip.readEntry();
    const entry = await settle.promise;
    if (entry === undefined) return;
    settle = Promise.withResolvers();
    yield entry;
  }
}

function content(
  zip: yauzl.ZipFile,
  entry: yauzl.Entry,
  file: string,
): Promise<AsyncIterable<unknown>> {
  return new Promise((resolve, reject) => {
    zip.openReadStream(entry, (error, stream) => {
      if (error) reject(damaged(file, error));
      else resolve(checked(stream, file));
    });
  });
}

async function* checked(stream: Readable, file: string): AsyncGenerator<unknown> {
  try {
    yield* stream;
  } catch (cause) {
    throw damaged(file, cause as Error);
  }
}

function damaged(file: string, cause: Error): Error {
  const { code } = cause as { code?: unknown };
  const fromSystem = typeof code === "string" && /^E[A-Z]+$/.test(code);
  if (fromSystem) return cause;
  return new SyntaxError(`Cannot unzip ${file}: ${cause.message}`, { cause });
}
