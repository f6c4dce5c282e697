/**
 * PAX extended header records: `<length> <key>=<value>\n`, the length counting itself.
 *
 * @see POSIX.1-2017, pax, "pax Extended Header"
 */
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Larger headers are refused when reading: they are only ever an attack on memory. */
export const MAX_PAX_BYTES = 1024 * 1024;

/** Encodes records sorted by the bytes of their keys, as Go does. */
export function formatPax(records: ReadonlyMap<string, string>): Uint8Array {
  const parts = [...records].sort(([a], [b]) => a < b ? -1 : 1).map(([key, value]) => {
    const rest = isBytes(key) ? latin(` ${key}=${value}\n`) : encoder.encode(` ${key}=${value}\n`);
    let length = rest.byteLength + String(rest.byteLength).length;
    // The digits of the length are part of the length: one more digit may be needed.
    if (String(length).length + rest.byteLength !== length) {
      length = rest.byteLength + String(length).length;
    }
    return { digits: encoder.encode(String(length)), rest };
  });
  const all = new Uint8Array(
    parts.reduce((sum, { digits, rest }) => sum + digits.byteLength + rest.byteLength, 0),
  );
  let at = 0;
  for (const { digits, rest } of parts) {
    all.set(digits, at);
    all.set(rest, at + digits.byteLength);
    at += digits.byteLength + rest.byteLength;
  }
  return all;
}

/** Records that say what an entry is: readers disagree when one comes twice or for all entries. */
export const DECISIVE: ReadonlySet<string> = new Set(["path", "linkpath", "size", "uid", "gid"]);

/**
 * Reads records.
 *
 * @throws {SyntaxError} When they are malformed, not UTF-8, or name an entry twice.
 */
export function parsePax(bytes: Uint8Array): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.byteLength;) {
    const space = bytes.indexOf(0x20, at);
    const digits = space < 0 || space - at > 7 ? "" : ascii(bytes.subarray(at, space));
    const length = /^[1-9][0-9]*$/.test(digits) ? Number(digits) : 0;
    const end = at + length;
    if (length < digits.length + 4 || end > bytes.byteLength || bytes[end - 1] !== 0x0a) {
      throw new SyntaxError(`its PAX records have a malformed length at byte ${at}`);
    }
    const equals = bytes.indexOf(0x3d, space);
    if (equals <= space + 1 || equals >= end) {
      throw new SyntaxError(`its PAX records have no key=value at byte ${at}`);
    }
    const key = utf8(bytes.subarray(space + 1, equals));
    const value = isBytes(key)
      ? ascii(bytes.subarray(equals + 1, end - 1))
      : utf8(bytes.subarray(equals + 1, end - 1));
    if (DECISIVE.has(key)) {
      if (records.has(key)) {
        throw new SyntaxError(`its PAX records have two of ${key}`);
      }
      if (value.includes("\0")) {
        throw new SyntaxError(`its PAX record ${key} has a NUL`);
      }
    }
    records.set(key, value);
    at = end;
  }
  return records;
}

/** Attributes are bytes, not text: one character a byte keeps them whole. */
function isBytes(key: string): boolean {
  return key.startsWith("SCHILY.xattr.") || key.startsWith("LIBARCHIVE.");
}

function latin(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

function ascii(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function utf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new SyntaxError("its PAX records are not UTF-8", { cause });
  }
}
