import { UsageError } from "../exit.ts";

const UNITS = ["B", "KB", "MB", "GB", "TB"] as const;

/** Bytes for people, in powers of 1000 as registries show them: `4.2 MB`. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

const FACTORS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

/**
 * Reads `4GiB`, `700MB`, `1000000` as bytes.
 *
 * @param flag For the message.
 * @throws {UsageError} For anything else, and for nothing.
 */
export function parseSize(text: string, flag: string): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * (FACTORS[unit.toLowerCase()] ?? NaN));
  if (number !== "" && Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new UsageError(
    `Cannot use ${flag} ${JSON.stringify(text)}: want a size such as 4GiB or 700MB`,
  );
}
