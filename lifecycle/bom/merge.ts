/** One bill of materials for a whole image, in each format, always the same bytes for the same image. */
import type { Image } from "../../registry/image.ts";
import { digestOf, hexOf } from "../../registry/oci/digest.ts";
import type { BomDocument, BomFormat } from "./document.ts";
import { isExpression, spdxId } from "./license.ts";
import { type BomPackage, mergePackages, parseBom, parsePurl } from "./package.ts";

/** What a merged document is about. */
export interface BomSubject {
  /** The image as it was asked for. */
  readonly name: string;
  /** Its manifest's digest. */
  readonly digest: string;
  /** When it was created, RFC 3339; a fixed date when empty. */
  readonly created: string;
  /** Version of wherry. */
  readonly tool: string;
}

/** Describes `image` for {@linkcode mergeBom}. A path of this machine has no meaning for whoever reads the document. */
export function bomSubject(image: Image, place: string, tool: string): BomSubject {
  const name = /^(oci|oci-archive|docker-archive):/.test(place) ? "image" : place;
  return { name, digest: image.raw.digest, created: image.config.created ?? "", tool };
}

/**
 * All documents as one. Each package once, with the buildpack and layer it came from.
 *
 * @param onBroken Told of a document that cannot be read; it is left out.
 */
export function mergeBom(
  format: BomFormat,
  documents: readonly BomDocument[],
  subject: BomSubject,
  onBroken?: (error: SyntaxError) => void,
): unknown {
  const packages = mergePackages(documents, onBroken);
  switch (format) {
    case "cyclonedx":
      return cycloneDx(packages, subject, edgesOf(documents, packages));
    case "spdx":
      return spdx(packages, subject);
    case "syft":
      return syft(packages, subject);
    default:
      return format satisfies never;
  }
}

/** RFC 4122's form of a digest, version 5's bits set. */
function uuidOf(text: string): string {
  const hex = hexOf(digestOf(new TextEncoder().encode(text)));
  const variant = ((parseInt(hex[16]!, 16) & 3) | 8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `5${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-");
}

function timeOf({ created }: BomSubject): string {
  const time = Date.parse(created);
  const date = Number.isNaN(time) ? new Date(315_532_801_000) : new Date(time);
  return `${date.toISOString().slice(0, 19)}Z`;
}

/** The same id for the same package in every document of the same image. */
function refOf(one: BomPackage): string {
  const key = [one.buildpack, one.layer, one.type, one.name, one.version, one.purl].join("\0");
  return hexOf(digestOf(new TextEncoder().encode(key))).slice(0, 16);
}

const CYCLONE_HASHES: Readonly<Record<string, string>> = {
  MD5: "MD5",
  SHA1: "SHA-1",
  SHA256: "SHA-256",
  SHA384: "SHA-384",
  SHA512: "SHA-512",
};

function cycloneDx(
  packages: readonly BomPackage[],
  subject: BomSubject,
  edges: ReadonlyMap<string, readonly string[]>,
): unknown {
  const root = `pkg:oci/${ociName(subject.name)}@${encodeURIComponent(subject.digest)}`;
  return {
    $schema: "http://cyclonedx.org/schema/bom-1.5.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    serialNumber: `urn:uuid:${uuidOf(`cyclonedx ${subject.digest}`)}`,
    version: 1,
    metadata: {
      timestamp: timeOf(subject),
      tools: { components: [{ type: "application", name: "wherry", version: subject.tool }] },
      component: {
        "bom-ref": root,
        type: "container",
        name: subject.name,
        version: subject.digest,
        purl: root,
      },
    },
    components: packages.map((one) => {
      const parsed = parsePurl(one.purl);
      return {
        "bom-ref": refOf(one),
        type: one.type === "operating-system" ? "operating-system" : "library",
        ...(parsed?.namespace && isGrouped(parsed.type)
          ? { group: parsed.namespace, name: parsed.name }
          : { name: one.name }),
        version: one.version,
        ...(one.hashes.length === 0 ? {} : {
          hashes: one.hashes.map(({ algorithm, value }) => ({
            alg: CYCLONE_HASHES[algorithm],
            content: value,
          })),
        }),
        ...(one.licenses.length === 0 ? {} : { licenses: cycloneLicenses(one.licenses) }),
        ...(one.cpes[0] === undefined ? {} : { cpe: one.cpes[0] }),
        ...(one.purl === "" ? {} : { purl: one.purl }),
        properties: [
          { name: "io.buildpacks:buildpack", value: one.buildpack },
          ...(one.layer === "" ? [] : [{ name: "io.buildpacks:layer", value: one.layer }]),
        ],
      };
    }),
    dependencies: [
      { ref: root, dependsOn: packages.map(refOf) },
      ...[...edges].map(([ref, dependsOn]) => ({ ref, dependsOn })),
    ],
  };
}

/** Where a namespace is a part of its own to users of the format. */
function isGrouped(type: string): boolean {
  return type === "maven" || type === "npm" || type === "composer";
}

/** One expression, or licences one by one: the schema wants one or the other. */
function cycloneLicenses(licenses: readonly string[]): unknown {
  const [only] = licenses;
  if (licenses.length === 1 && spdxId(only!) === undefined && isExpression(only!)) {
    return [{ expression: only }];
  }
  return licenses.map((license) => {
    const id = spdxId(license);
    return { license: id === undefined ? { name: license } : { id } };
  });
}

/** The last part of an image's name, as package URLs of images have it. */
function ociName(name: string): string {
  const last = name.replace(/@.*$/, "").split("/").at(-1) ?? "image";
  return encodeURIComponent(last.replace(/:[^:]*$/, "").toLowerCase() || "image");
}

/** Who needs whom, as far as CycloneDX documents say it of packages that are in `packages`. */
function edgesOf(
  documents: readonly BomDocument[],
  packages: readonly BomPackage[],
): ReadonlyMap<string, readonly string[]> {
  const key = (buildpack: string, layer: string, purl: string) =>
    [buildpack, layer, purl].join("\0");
  const known = new Map(
    packages.map((one) => [key(one.buildpack, one.layer, one.purl), refOf(one)]),
  );
  const edges = new Map<string, Set<string>>();
  for (const document of documents) {
    if (document.format !== "cyclonedx") continue;
    let json: Record<string, unknown>;
    try {
      json = parseBom(document);
    } catch {
      continue; // told of already
    }
    const refs = new Map<unknown, string>();
    for (const one of objectsIn(json["components"])) {
      const purl = one["purl"];
      if (typeof purl !== "string" || purl === "") continue;
      const ref = known.get(key(document.buildpack, document.layer, purl));
      if (ref !== undefined) refs.set(one["bom-ref"], ref);
    }
    for (const { ref, dependsOn } of objectsIn(json["dependencies"])) {
      const from = refs.get(ref);
      if (from === undefined || !Array.isArray(dependsOn)) continue;
      const to = dependsOn.map((one) => refs.get(one)).filter((one) => one !== undefined);
      if (to.length === 0) continue;
      const all = edges.get(from) ?? new Set<string>();
      for (const one of to) if (one !== from) all.add(one);
      edges.set(from, all);
    }
  }
  return new Map(
    [...edges].filter(([, all]) => all.size > 0).map(([from, all]) =>
      [from, [...all].sort()] as const
    )
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function objectsIn(value: unknown): readonly Record<string, unknown>[] {
  return Array.isArray(value)
    ? value.filter((one) => typeof one === "object" && one !== null && !Array.isArray(one))
    : [];
}

/** SPDX 2.3. */
function spdx(packages: readonly BomPackage[], subject: BomSubject): unknown {
  const extracted = new Map<string, string>();
  const root = "SPDXRef-Image";
  const nothing = "NOASSERTION";
  const listed = packages.map((one) => ({
    name: one.name,
    SPDXID: `SPDXRef-Package-${refOf(one)}`,
    ...(one.version === "" ? {} : { versionInfo: one.version }),
    downloadLocation: nothing,
    filesAnalyzed: false,
    ...(one.hashes.length === 0 ? {} : {
      checksums: one.hashes.map(({ algorithm, value }) => ({ algorithm, checksumValue: value })),
    }),
    sourceInfo: `by buildpack ${one.buildpack}${one.layer === "" ? "" : `, layer ${one.layer}`}`,
    licenseConcluded: nothing,
    licenseDeclared: declared(one.licenses, extracted),
    copyrightText: nothing,
    externalRefs: [
      ...(one.purl === "" ? [] : [{
        referenceCategory: "PACKAGE-MANAGER",
        referenceType: "purl",
        referenceLocator: one.purl,
      }]),
      ...one.cpes.filter((cpe) => /^cpe:2\.3:[aho*-](:[^:\s]+){10}$/.test(cpe)).map((cpe) => ({
        referenceCategory: "SECURITY",
        referenceType: "cpe23Type",
        referenceLocator: cpe,
      })),
    ],
  }));
  return {
    spdxVersion: "SPDX-2.3",
    dataLicense: "CC0-1.0",
    SPDXID: "SPDXRef-DOCUMENT",
    name: subject.name,
    documentNamespace: `https://spdx.org/spdxdocs/${ociName(subject.name)}-${
      uuidOf(`spdx ${subject.digest}`)
    }`,
    creationInfo: { created: timeOf(subject), creators: [`Tool: wherry-${subject.tool}`] },
    packages: [{
      name: subject.name,
      SPDXID: root,
      versionInfo: subject.digest,
      downloadLocation: nothing,
      filesAnalyzed: false,
      checksums: [{ algorithm: "SHA256", checksumValue: subject.digest.replace(/^sha256:/, "") }]
        .filter(({ checksumValue }) => /^[0-9a-f]{64}$/.test(checksumValue)),
      licenseConcluded: nothing,
      licenseDeclared: nothing,
      copyrightText: nothing,
      primaryPackagePurpose: "CONTAINER",
    }, ...listed],
    ...(extracted.size === 0 ? {} : {
      hasExtractedLicensingInfos: [...extracted].map(([licenseId, name]) => ({
        licenseId,
        name,
        extractedText: name,
      })),
    }),
    relationships: [
      {
        spdxElementId: "SPDXRef-DOCUMENT",
        relationshipType: "DESCRIBES",
        relatedSpdxElement: root,
      },
      ...listed.map(({ SPDXID }) => ({
        spdxElementId: root,
        relationshipType: "CONTAINS",
        relatedSpdxElement: SPDXID,
      })),
    ],
  };
}

/** An expression; a licence that is on no list is named by a reference of the document's own. */
function declared(licenses: readonly string[], extracted: Map<string, string>): string {
  if (licenses.length === 0) return "NOASSERTION";
  const parts = licenses.map((license) => {
    const id = spdxId(license);
    if (id !== undefined) return id;
    // References of another document mean nothing in this one.
    if (isExpression(license) && !/LicenseRef-/.test(license)) {
      return licenses.length > 1 && / (AND|OR) /.test(license) ? `(${license})` : license;
    }
    const hex = hexOf(digestOf(new TextEncoder().encode(license))).slice(0, 12);
    extracted.set(`LicenseRef-${hex}`, license);
    return `LicenseRef-${hex}`;
  });
  return parts.join(" AND ");
}

/** Words of Syft for types of package URLs. */
const SYFT_TYPES: Readonly<Record<string, string>> = {
  maven: "java-archive",
  pypi: "python",
  golang: "go-module",
  cargo: "rust-crate",
  gem: "gem",
  npm: "npm",
  deb: "deb",
  rpm: "rpm",
  apk: "apk",
  composer: "php-composer",
  nuget: "dotnet",
};

function syft(packages: readonly BomPackage[], subject: BomSubject): unknown {
  return {
    artifacts: packages.map((one) => ({
      id: refOf(one),
      name: parsePurl(one.purl)?.name ?? one.name,
      version: one.version,
      type: SYFT_TYPES[one.type] ?? (one.type || "UnknownPackage"),
      foundBy: `buildpack ${one.buildpack}${one.layer === "" ? "" : `, layer ${one.layer}`}`,
      locations: [],
      licenses: one.licenses.map((value) => ({
        value,
        spdxExpression: isExpression(value) ? value : "",
        type: "declared",
        urls: [],
        locations: [],
      })),
      language: "",
      cpes: one.cpes.map((cpe) => ({ cpe })),
      purl: one.purl,
    })),
    artifactRelationships: [],
    source: {
      id: hexOf(digestOf(new TextEncoder().encode(subject.digest))),
      name: subject.name,
      version: subject.digest,
      type: "image",
      metadata: { userInput: subject.name, manifestDigest: subject.digest },
    },
    distro: {},
    descriptor: { name: "wherry", version: subject.tool },
    schema: {
      version: "16.0.0",
      url: "https://raw.githubusercontent.com/anchore/syft/main/schema/json/schema-16.0.0.json",
    },
  };
}
