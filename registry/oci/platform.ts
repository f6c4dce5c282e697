import type { Descriptor, Platform } from "./descriptor.ts";

/** `linux/amd64`, `linux/arm64/v8`; `any` when nothing is said. */
export function formatPlatform(platform: Platform | undefined): string {
  if (platform === undefined || platform.os === "") return "any";
  const { os, architecture, variant } = platform;
  return [os, architecture, ...(variant ? [variant] : [])].join("/");
}

/**
 * Reads `os/arch[/variant]`.
 *
 * @throws {TypeError} When it has another shape.
 */
export function parsePlatform(text: string): Platform {
  const [os, architecture, variant, ...more] = text.split("/");
  if (!os || !architecture || more.length > 0 || !/^[\w.\-/]+$/.test(text)) {
    throw new TypeError(
      `Cannot read platform ${JSON.stringify(text)}: want os/arch or os/arch/variant`,
    );
  }
  return { os, architecture, ...(variant ? { variant } : {}) };
}

/** Variants that run on a machine of the first one, best first (C-GET-07). */
const VARIANTS: Readonly<Record<string, readonly string[]>> = {
  "arm64": ["v8", ""],
  "arm64/v8": ["v8", ""],
  "arm": ["v7", "v6", "v5", ""],
  "arm/v8": ["v8", "v7", "v6", "v5", ""],
  "arm/v7": ["v7", "v6", "v5", ""],
  "arm/v6": ["v6", "v5", ""],
  "amd64": ["", "v1"],
  "amd64/v2": ["v2", "", "v1"],
  "amd64/v3": ["v3", "v2", "", "v1"],
  "amd64/v4": ["v4", "v3", "v2", "", "v1"],
};

/** Whether the machine has the features that are wanted and, on Windows, the build: `10.0.17763` is all its revisions. */
function runsOn(platform: Platform, wanted: Platform): boolean {
  const has = wanted["os.features"] ?? [];
  if (!(platform["os.features"] ?? []).every((feature) => has.includes(feature))) return false;
  const version = wanted["os.version"];
  if (!version || !platform["os.version"]) return true;
  return `${platform["os.version"]}.`.startsWith(`${version.split(".").slice(0, 3).join(".")}.`);
}

/** The entry of an index for `wanted`: the best variant, the first of equals; attestations never match. */
export function choosePlatform(
  entries: readonly Descriptor[],
  wanted: Platform,
): Descriptor | undefined {
  const variant = wanted.variant ?? "";
  const key = variant === "" ? wanted.architecture : `${wanted.architecture}/${variant}`;
  const fit = entries.filter(({ platform }) =>
    platform?.os === wanted.os && platform.architecture === wanted.architecture &&
    runsOn(platform, wanted)
  );
  for (const candidate of VARIANTS[key] ?? [variant, ""]) {
    const found = fit.find(({ platform }) => (platform?.variant ?? "") === candidate);
    if (found) return found;
  }
  // An index of one image that says nothing of platforms can only mean that one.
  const plain = entries.filter(({ platform }) => platform === undefined || platform.os === "");
  return entries.length === 1 && plain.length === 1 ? plain[0] : undefined;
}
