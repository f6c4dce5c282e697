import { harmless } from "./refusal.ts";

/** What a registry wants people to know (C-MISC-01), a line each. */
export function noticesOf(host: string, headers: Headers): readonly string[] {
  const warnings = headers.get("warning")?.matchAll(/299 - "((?:[^"\\]|\\.)*)"/g) ?? [];
  const lines = Array.from(
    warnings,
    ([, text]) => `${host}: ${harmless(text!.replace(/\\(.)/g, "$1"))}`,
  );
  const limit = limitOf(headers);
  return limit === undefined ? lines : [...lines, `${host} allows ${limit}`];
}

/** Docker Hub tells how many pulls are left, `76;w=21600`: people hear of it while some are. */
function limitOf(headers: Headers): string | undefined {
  const [limit, left] = ["ratelimit-limit", "ratelimit-remaining"].map((name) =>
    /^(\d{1,9})(?:;w=(\d{1,9}))?$/.exec(headers.get(name)?.trim() ?? "")
  );
  if (!limit || !left || Number(left[1]) * 10 > Number(limit[1])) return undefined;
  const hours = left[2] === undefined ? "" : ` in ${Math.ceil(Number(left[2]) / 3600)} h`;
  return `${limit[1]} pulls${hours}, and few are left; log in for more`;
}
