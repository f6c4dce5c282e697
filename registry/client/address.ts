/**
 * How near an address is. A registry may send us elsewhere: to a token server, to storage. It may not send us
 * nearer than it is itself, into the caller's network or machine (C-AUTH-12, N-04).
 */

/** 0 the internet, 1 a private network, 2 this machine, 3 an address no service is published at. */
export type Nearness = 0 | 1 | 2 | 3;

/** The nearness of an IP address, or `undefined` when `text` is not one. Decides by bits, not by spelling. */
export function nearnessOf(text: string): Nearness | undefined {
  const four = parseV4(text);
  if (four !== undefined) return nearnessOfV4(four);
  const six = parseV6(text);
  return six === undefined ? undefined : nearnessOfV6(six);
}

/** Whether the name can only mean this machine (C-CONN-01). */
export function isLoopbackName(hostname: string): boolean {
  const name = hostname.toLowerCase();
  return name === "localhost" || name.endsWith(".localhost") || nearnessOf(name) === 2;
}

/** Whether `address` lies in `range` (`10.0.0.0/8`, `fd00::/8`); `false` when either is malformed. */
export function inRange(address: string, range: string): boolean {
  const [base, length] = range.split("/");
  const parse = (text: string) => parseV4(text) ?? parseV6(text);
  const a = parse(address);
  const b = parse(base ?? "");
  const bits = Number(length);
  if (!a || !b || a.length !== b.length || !/^\d{1,3}$/.test(length ?? "") || bits > a.length * 8) {
    return false;
  }
  return a.every((byte, at) => {
    const kept = Math.min(8, Math.max(0, bits - at * 8));
    const mask = (0xff00 >> kept) & 0xff;
    return (byte & mask) === (b[at]! & mask);
  });
}

function nearnessOfV4(bytes: readonly number[]): Nearness {
  const [a = 0, b = 0] = bytes;
  if (a === 127) return 2;
  if (a === 0 || a >= 224 || (a === 169 && b === 254)) return 3;
  const shared = a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168) ||
    (a === 100 && b >= 64 && b < 128);
  return shared ? 1 : 0;
}

function nearnessOfV6(bytes: readonly number[]): Nearness {
  const head = bytes.slice(0, 12);
  const zero = head.every((byte) => byte === 0);
  const mapped = head.slice(0, 10).every((byte) => byte === 0) && head[10] === 255 &&
    head[11] === 255;
  const nat64 = [0, 0x64, 0xff, 0x9b].every((byte, at) => bytes[at] === byte);
  if (mapped || nat64) return nearnessOfV4(bytes.slice(12));
  if (zero && bytes.slice(12, 15).every((byte) => byte === 0)) return bytes[15] === 1 ? 2 : 3;
  if (zero) return nearnessOfV4(bytes.slice(12));
  const [a = 0, b = 0] = bytes;
  if (a === 0xff || (a === 0xfe && (b & 0xc0) === 0x80)) return 3;
  return (a & 0xfe) === 0xfc || (a === 0xfe && (b & 0xc0) === 0xc0) ? 1 : 0;
}

/** All spellings the system's own parser takes: `127.1`, `0x7f000001`, `2130706433`. */
function parseV4(text: string): readonly number[] | undefined {
  const parts = text.split(".");
  if (parts.length > 4 || !parts.every((part) => /^(0x[0-9a-f]{0,8}|\d{1,10})$/i.test(part))) {
    return undefined;
  }
  const numbers = parts.map((part) =>
    /^0x/i.test(part)
      ? Number.parseInt(part.slice(2) || "0", 16)
      : Number.parseInt(part, /^0\d/.test(part) ? 8 : 10)
  );
  const last = numbers.pop() ?? Number.NaN;
  const room = 4 - numbers.length;
  if (Number.isNaN(last) || last >= 256 ** room || numbers.some((part) => !(part < 256))) {
    return undefined;
  }
  const tail = Array.from(
    { length: room },
    (_, at) => Math.floor(last / 256 ** (room - 1 - at)) % 256,
  );
  return [...numbers, ...tail];
}

function parseV6(text: string): readonly number[] | undefined {
  if (!text.includes(":") || !/^[0-9a-f:.]{2,45}$/i.test(text)) return undefined;
  let whole = text;
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted) {
    const four = parseV4(dotted[2]!);
    if (!four) return undefined;
    const word = (at: number) => (four[at]! * 256 + four[at + 1]!).toString(16);
    whole = `${dotted[1]}${word(0)}:${word(2)}`;
  }
  const halves = whole.split("::");
  if (halves.length > 2) return undefined;
  const words = (half: string | undefined) => half ? half.split(":") : [];
  const left = words(halves[0]);
  const right = words(halves[1]);
  const gap = 8 - left.length - right.length;
  if (halves.length === 2 ? gap < 1 : gap !== 0) return undefined;
  const all = [...left, ...Array<string>(gap).fill("0"), ...right];
  if (!all.every((word) => /^[0-9a-f]{1,4}$/i.test(word))) return undefined;
  return all.flatMap((word) => {
    const value = Number.parseInt(word, 16);
    return [value >> 8, value & 0xff];
  });
}
