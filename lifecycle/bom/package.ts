/** What bills of materials say of packages, whatever format they are in. */
import { PackageURL } from "packageurl-js";
import { harmless } from "../../registry/client/refusal.ts";
import { z } from "zod";
import type { BomDocument } from "./document.ts";

/** A checksum, the algorithm as SPDX spells it: `SHA256`. */
export interface BomHash {
  /** `SHA1`, `SHA256`, ... */
  readonly algorithm: string;
  /** Lower-case hex. */
  readonly value: string;
}

/** One package of an image. */
export interface BomPackage {
  /** With its namespace in front where the format keeps it apart: `com.fasterxml.jackson.core/jackson-core`. */
  readonly name: string;
  /** Empty when none is said. */
  readonly version: string;
  /** Type of its package URL (`maven`, `npm`, `deb`), else the format's own word; empty when unknown. */
  readonly type: string;
  /** Package URL; empty without one. */
  readonly purl: string;
  /** Licences, as written: ids, expressions, names. */
  readonly licenses: readonly string[];
  /** CPEs. */
  readonly cpes: readonly string[];
  /** Checksums. */
  readonly hashes: readonly BomHash[];
  /** Which buildpack says so. */
  readonly buildpack: string;
  /** In which of its layers the package is; empty for all of its work. */
  readonly layer: string;
}

/**
 * The packages of one document.
 *
 * @throws {SyntaxError} When it is not JSON or has another shape than its name says.
 */
export function packagesOf(document: BomDocument): readonly BomPackage[] {
  const json = parseBom(document);
  const read = { cyclonedx: readCycloneDx, spdx: readSpdx, syft: readSyft }[document.format];
  const { buildpack, layer } = document;
  return read(json).map((one) => ({ ...one, buildpack, layer }));
}

/** The JSON of a document. */
export function parseBom({ bytes, path: name }: BomDocument): Record<string, unknown> {
  const path = harmless(name); // a buildpack chose it
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new SyntaxError(`Cannot read ${path}: it is not JSON`, { cause });
  }
  if (typeof json === "object" && json !== null && !Array.isArray(json)) {
    return json as Record<string, unknown>;
  }
  throw new SyntaxError(`Cannot read ${path}: want a JSON object`);
}

/**
 * The packages of all documents, each once: formats and layers say the same in several ways. What one document knows
 * of a package and another does not is put together; the first that names it owns it. Sorted by name and version.
 *
 * @param onBroken Told of a document that cannot be read; without it that is an error.
 */
export function mergePackages(
  documents: readonly BomDocument[],
  onBroken?: (error: SyntaxError) => void,
): readonly BomPackage[] {
  const found = new Map<string, BomPackage>();
  for (const document of documents) {
    let packages: readonly BomPackage[];
    try {
      packages = packagesOf(document);
    } catch (error) {
      if (!(error instanceof SyntaxError) || onBroken === undefined) throw error;
      onBroken(error);
      continue;
    }
    for (const one of packages) {
      const key = keyOf(one);
      const before = found.get(key);
      found.set(key, before === undefined ? one : joined(before, one));
    }
  }
  const order = (one: BomPackage) => `${one.name}\0${one.version}\0${one.purl}\0${one.buildpack}`;
  return [...found.values()].sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

function keyOf({ buildpack, layer, name, version, type }: BomPackage): string {
  return [buildpack, layer, type, name.toLowerCase(), version].join("\0");
}

function joined(a: BomPackage, b: BomPackage): BomPackage {
  const both = <T>(x: readonly T[], y: readonly T[]) => {
    const seen = new Set(x.map((one) => JSON.stringify(one)));
    return [...x, ...y.filter((one) => !seen.has(JSON.stringify(one)))];
  };
  return {
    ...a,
    purl: a.purl || b.purl,
    // Two formats often spell one licence in two ways: the first that said any is believed.
    licenses: a.licenses.length > 0 ? a.licenses : b.licenses,
    cpes: both(a.cpes, b.cpes),
    hashes: both(a.hashes, b.hashes),
  };
}

type Found = Omit<BomPackage, "buildpack" | "layer">;

const text = z.string().nullish().catch(null).transform((value) => value ?? "");
const list = <T extends z.ZodType>(schema: T) =>
  z.array(schema.nullable().catch(null)).nullish().catch(null).transform((all) =>
    (all ?? []).filter((one) => one !== null) as z.output<T>[]
  );

/** Name, version and type from the package URL where there is a valid one: formats cut names in different ways. */
function made(
  purl: string,
  said: { name: string; version: string; type: string },
  rest: Pick<Found, "licenses" | "cpes" | "hashes">,
): Found {
  const parsed = parsePurl(purl);
  const common = {
    ...rest,
    licenses: [...new Set(rest.licenses.filter((one) => one !== "" && !NOTHING.has(one)))],
    cpes: [...new Set(rest.cpes.filter((one) => one !== ""))],
  };
  if (parsed === undefined) return { ...said, purl: "", ...common };
  const name = [parsed.namespace, parsed.name].filter(Boolean).join("/");
  return {
    name,
    version: parsed.version || said.version,
    type: parsed.type,
    purl,
    ...common,
  };
}

const NOTHING: ReadonlySet<string> = new Set(["NOASSERTION", "NONE"]);

/** The parts of a package URL that say what it is; `undefined` for what is none. */
export function parsePurl(
  purl: string,
): { type: string; namespace: string; name: string; version: string } | undefined {
  if (!purl.startsWith("pkg:")) return undefined;
  try {
    const { type, namespace, name, version, qualifiers } = PackageURL.fromString(purl);
    // RPM's epoch stands apart from the version, and counts before it.
    const epoch = type === "rpm" ? qualifiers?.["epoch"] ?? "" : "";
    return {
      type: type ?? "",
      namespace: namespace ?? "",
      name: name ?? "",
      version: epoch !== "" && version ? `${epoch}:${version}` : version ?? "",
    };
  } catch {
    return undefined;
  }
}

const cycloneComponent = z.object({
  type: text,
  name: text,
  group: text,
  version: text,
  purl: text,
  cpe: text,
  licenses: list(z.object({
    license: z.object({ id: text, name: text }).nullish().catch(null),
    expression: text,
  })),
  hashes: list(z.object({ alg: text, content: text })),
});

/** Components may hold components. */
function readCycloneDx(json: Record<string, unknown>): readonly Found[] {
  const found: Found[] = [];
  const waiting: unknown[] = [...arrayOf(json["components"])].reverse();
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next !== "object" || next === null) continue;
    waiting.push(...[...arrayOf((next as Record<string, unknown>)["components"])].reverse());
    const one = cycloneComponent.parse(next);
    if (one.name === "" || one.type === "file") continue;
    found.push(made(one.purl, {
      name: [one.group, one.name].filter(Boolean).join("/"),
      version: one.version,
      type: one.type === "operating-system" ? "operating-system" : "",
    }, {
      licenses: one.licenses.map(({ license, expression }) =>
        license?.id || license?.name || expression
      ),
      cpes: [one.cpe],
      hashes: hashes(one.hashes.map(({ alg, content }) => [alg.replace("-", ""), content])),
    }));
  }
  return found;
}

const spdxPackage = z.object({
  name: text,
  versionInfo: text,
  licenseConcluded: text,
  licenseDeclared: text,
  externalRefs: list(z.object({ referenceType: text, referenceLocator: text })),
  checksums: list(z.object({ algorithm: text, checksumValue: text })),
});

function readSpdx(json: Record<string, unknown>): readonly Found[] {
  return arrayOf(json["packages"]).flatMap((value) => {
    const parsed = spdxPackage.safeParse(value);
    if (!parsed.success || parsed.data.name === "") return [];
    const one = parsed.data;
    const refs = (type: RegExp) =>
      one.externalRefs.filter(({ referenceType }) => type.test(referenceType))
        .map(({ referenceLocator }) => referenceLocator);
    const declared = [one.licenseDeclared, one.licenseConcluded].find((said) =>
      said !== "" && !NOTHING.has(said)
    );
    return [made(refs(/^purl$/)[0] ?? "", {
      name: one.name,
      version: one.versionInfo,
      type: "",
    }, {
      licenses: declared === undefined ? [] : [declared],
      cpes: refs(/^cpe2[23]Type$/),
      hashes: hashes(one.checksums.map(({ algorithm, checksumValue }) => [
        algorithm,
        checksumValue,
      ])),
    })];
  });
}

const syftArtifact = z.object({
  name: text,
  version: text,
  type: text,
  purl: text,
  licenses: list(z.union([
    z.string(),
    z.object({ value: text, spdxExpression: text }).transform((one) =>
      one.spdxExpression || one.value
    ),
  ])),
  cpes: list(z.union([z.string(), z.object({ cpe: text }).transform(({ cpe }) => cpe)])),
});

function readSyft(json: Record<string, unknown>): readonly Found[] {
  return arrayOf(json["artifacts"] ?? json["Artifacts"]).flatMap((value) => {
    const parsed = syftArtifact.safeParse(lowerKeys(value));
    if (!parsed.success || parsed.data.name === "") return [];
    const one = parsed.data;
    return [
      made(one.purl, one, { licenses: one.licenses, cpes: one.cpes, hashes: [] }),
    ];
  });
}

/** Early versions of libcnb write Syft's keys in capitals. */
function lowerKeys(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const lower = (key: string) =>
    /^[A-Z]+s?$/.test(key) ? key.toLowerCase() : key.charAt(0).toLowerCase() + key.slice(1);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [lower(key), one]));
}

function hashes(pairs: readonly (readonly [string, string])[]): readonly BomHash[] {
  return pairs.map(([algorithm, value]) => ({
    algorithm: algorithm.toUpperCase().replace("-", ""),
    value: value.toLowerCase(),
  })).filter(({ algorithm, value }) =>
    /^[0-9a-f]+$/.test(value) && LENGTHS[algorithm] === value.length
  );
}

/** Hex digits of the algorithms that both CycloneDX and SPDX know. */
const LENGTHS: Readonly<Record<string, number>> = {
  MD5: 32,
  SHA1: 40,
  SHA256: 64,
  SHA384: 96,
  SHA512: 128,
};

function arrayOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
