/** Bills of materials: read in three formats, put together, valid by the schemas their makers publish. */
import { Ajv } from "ajv";
import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import fc from "../../registry/oci/property_testing.ts";
import { mergeBom } from "./merge.ts";
import { type BomDocument, type BomFormat, formatOfFile } from "./document.ts";
import { isExpression, spdxId } from "./license.ts";
import { mergePackages, packagesOf } from "./package.ts";
import { cycloneValidator } from "./cyclone_schema_testing.ts";
import { SYFT_SCHEMA } from "./syft_schema_testing.ts";

const SUBJECT = {
  name: "registry.test/team/app:1",
  digest: `sha256:${"a".repeat(64)}`,
  created: "1980-01-01T00:00:01Z",
  tool: "0.1.0",
};

function document(
  format: BomFormat,
  json: unknown,
  buildpack = "samples/java",
  layer = "jre",
): BomDocument {
  return {
    path: `layers/sbom/launch/${buildpack.replace("/", "_")}/${layer}/sbom.${format}`,
    buildpack,
    layer,
    format,
    bytes: new TextEncoder().encode(JSON.stringify(json)),
  };
}

const PURL = "pkg:maven/com.fasterxml.jackson.core/jackson-core@2.14.1";
const CYCLONE = document("cyclonedx", {
  bomFormat: "CycloneDX",
  specVersion: "1.4",
  components: [
    {
      "bom-ref": "one",
      type: "library",
      group: "com.fasterxml.jackson.core",
      name: "jackson-core",
      version: "2.14.1",
      purl: PURL,
      licenses: [{ license: { id: "Apache-2.0" } }, { license: { name: "House licence" } }],
      hashes: [{ alg: "SHA-256", content: "AB".repeat(32) }, { alg: "SHA-256", content: "zz" }],
      components: [{ "bom-ref": "two", type: "library", name: "inner", version: "1" }],
    },
    { type: "file", name: "/etc/passwd" },
    { "bom-ref": "three", type: "operating-system", name: "ubuntu", version: "24.04" },
    {
      "bom-ref": "four",
      type: "library",
      name: "left-pad",
      version: "1.0.0",
      purl: "pkg:npm/left-pad@1.0.0",
      licenses: [{ expression: "MIT OR Apache-2.0" }],
    },
  ],
  dependencies: [{ ref: "one", dependsOn: ["four", "two", "one"] }, { ref: "four" }],
});
const SPDX = document(
  "spdx",
  {
    spdxVersion: "SPDX-2.2",
    packages: [{
      name: "jackson-core",
      versionInfo: "2.14.1",
      licenseDeclared: "NOASSERTION",
      licenseConcluded: "NONE",
      checksums: [{ algorithm: "SHA1", checksumValue: "c".repeat(40) }],
      externalRefs: [
        { referenceType: "purl", referenceLocator: PURL },
        {
          referenceType: "cpe23Type",
          referenceLocator: "cpe:2.3:a:fasterxml:jackson:2.14.1:*:*:*:*:*:*:*",
        },
      ],
    }, { name: "plain", versionInfo: "3", licenseDeclared: "GPL-3.0-or-later" }],
  },
  "samples/java",
  "jre",
);
const SYFT = document(
  "syft",
  {
    artifacts: [
      {
        name: "openssl",
        version: "3.0.2-0ubuntu1",
        type: "deb",
        licenses: ["Apache-2.0"],
        cpes: [],
      },
      {
        name: "django",
        version: "4.2",
        type: "python",
        purl: "pkg:pypi/django@4.2",
        licenses: [{ value: "BSD-3-Clause" }],
      },
    ],
  },
  "samples/python",
  "",
);

Deno.test("SB-1 the end of a name says the format", () => {
  equal(formatOfFile("sbom.cdx.json"), "cyclonedx");
  equal(formatOfFile("launcher.sbom.spdx.json"), "spdx");
  equal(formatOfFile("sbom.syft.json"), "syft");
  equal(formatOfFile("sbom.json"), undefined);
});

Deno.test("packages are read from CycloneDX (nested, without files), SPDX and Syft", () => {
  deepEqual(packagesOf(CYCLONE).map(({ name, version, type }) => [name, version, type]), [
    ["com.fasterxml.jackson.core/jackson-core", "2.14.1", "maven"],
    ["inner", "1", ""],
    ["ubuntu", "24.04", "operating-system"],
    ["left-pad", "1.0.0", "npm"],
  ]);
  deepEqual(packagesOf(CYCLONE)[0]!.hashes, [{ algorithm: "SHA256", value: "ab".repeat(32) }]);
  deepEqual(packagesOf(SPDX).map(({ name, licenses }) => [name, licenses]), [
    ["com.fasterxml.jackson.core/jackson-core", []],
    ["plain", ["GPL-3.0-or-later"]],
  ]);
  deepEqual(packagesOf(SYFT).map(({ name, type, licenses }) => [name, type, licenses]), [
    ["openssl", "deb", ["Apache-2.0"]],
    ["django", "pypi", ["BSD-3-Clause"]],
  ]);
});

Deno.test("the epoch of an RPM is part of its version, though its package URL has it apart", () => {
  const purl = "pkg:rpm/fedora/curl@7.76.1-26.el9?epoch=1";
  const components = [{ type: "library", name: "curl", version: "1:7.76.1-26.el9", purl }];
  const [curl] = packagesOf(document("cyclonedx", { components }));
  equal(curl!.version, "1:7.76.1-26.el9");
});

Deno.test("a package that several formats name is one, with what each of them knows", () => {
  const [first] = mergePackages([CYCLONE, SPDX]).filter(({ purl }) => purl === PURL);
  equal(mergePackages([CYCLONE, SPDX]).length, 5);
  deepEqual(first!.licenses, ["Apache-2.0", "House licence"]);
  deepEqual(first!.hashes.map(({ algorithm }) => algorithm), ["SHA256", "SHA1"]);
  equal(first!.cpes.length, 1);
});

Deno.test("a document that is damaged is named, and leaves the others", () => {
  const damaged = { ...SPDX, bytes: new TextEncoder().encode("{") };
  throws(
    () => mergePackages([damaged]),
    /^SyntaxError: Cannot read layers\/sbom\/.*: it is not JSON$/,
  );
  const said: string[] = [];
  const packages = mergePackages([damaged, SYFT], ({ message }) => said.push(message));
  equal(packages.length, 2);
  equal(said.length, 1);
});

Deno.test("licences: ids whatever their case, expressions, names", () => {
  equal(spdxId("apache-2.0"), "Apache-2.0");
  equal(spdxId("House licence"), undefined);
  equal(isExpression("MIT OR (Apache-2.0 AND BSD-3-Clause)"), true);
  equal(isExpression("House licence"), false);
  equal(isExpression("(".repeat(100_000)), false);
});

Deno.test("merged CycloneDX is valid by the official schema, names its buildpacks and keeps dependencies", async () => {
  const valid = await cycloneValidator();
  const merged = mergeBom("cyclonedx", [CYCLONE, SPDX, SYFT], SUBJECT);
  valid(merged);
  const text = JSON.stringify(merged);
  equal(JSON.stringify(mergeBom("cyclonedx", [CYCLONE, SPDX, SYFT], SUBJECT)), text);
  match(text, /"name":"io.buildpacks:buildpack","value":"samples\/python"/);
  match(text, /"licenses":\[\{"expression":"MIT OR Apache-2.0"\}\]/);
  const { dependencies, components } = JSON.parse(text);
  const ref = (name: string) =>
    components.find((one: { name: string }) => one.name === name)["bom-ref"];
  equal(dependencies.length, 2);
  deepEqual(dependencies[1], { ref: ref("jackson-core"), dependsOn: [ref("left-pad")] });
  valid(mergeBom("cyclonedx", [], SUBJECT));
});

const syftValid = new Ajv({ strict: false }).compile(SYFT_SCHEMA);
function validSyft(value: unknown) {
  const plain = JSON.parse(JSON.stringify(value));
  ok(syftValid(plain), JSON.stringify(syftValid.errors?.slice(0, 3)));
}

Deno.test("a merged document is valid whatever the documents say, in each format", async () => {
  const valid = await cycloneValidator();
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom("MIT", "GPL-2.0", "x OR y", PURL, "NOASSERTION"),
  );
  const any = fc.oneof(word, fc.constant(null), fc.integer(), fc.array(word), fc.object());
  const component = fc.record({
    type: any,
    name: any,
    version: any,
    purl: any,
    cpe: any,
    licenses: fc.oneof(
      any,
      fc.array(fc.record({ license: fc.record({ id: any, name: any }), expression: any })),
    ),
    hashes: fc.oneof(any, fc.array(fc.record({ alg: any, content: any }))),
    components: fc.array(fc.record({ name: any })),
    "bom-ref": any,
  }, { requiredKeys: [] });
  fc.assert(
    fc.property(fc.array(component), fc.array(any), (components, dependencies) => {
      valid(mergeBom("cyclonedx", [document("cyclonedx", { components, dependencies })], SUBJECT));
      const text = JSON.stringify(
        mergeBom("spdx", [document("cyclonedx", { components })], SUBJECT),
      );
      spdxShape(JSON.parse(text));
      validSyft(mergeBom("syft", [document("cyclonedx", { components })], SUBJECT));
    }),
    { numRuns: 200, seed: 7 },
  );
});

/** What SPDX 2.3 demands of the parts we write; the whole schema is not on npm. */
function spdxShape(json: {
  readonly spdxVersion: string;
  readonly documentNamespace: string;
  readonly packages: readonly Record<string, unknown>[];
  readonly relationships: readonly Record<string, string>[];
}): void {
  equal(json.spdxVersion, "SPDX-2.3");
  match(json.documentNamespace, /^https:\/\/[^#\s]+$/);
  const ids = new Set(json.packages.map(({ SPDXID }) => SPDXID));
  equal(ids.size, json.packages.length);
  for (const one of json.packages) {
    match(String(one["SPDXID"]), /^SPDXRef-[A-Za-z0-9.-]+$/);
    ok(one["name"]);
    ok(one["downloadLocation"]);
    const license = String(one["licenseDeclared"]);
    ok(license === "NOASSERTION" || isExpression(license), license);
  }
  for (const { relatedSpdxElement } of json.relationships) ok(ids.has(relatedSpdxElement!));
}

Deno.test("merged SPDX and Syft say the same packages, Syft by its published schema", () => {
  const spdx = JSON.parse(JSON.stringify(mergeBom("spdx", [CYCLONE, SPDX, SYFT], SUBJECT)));
  spdxShape(spdx);
  equal(spdx.packages.length, 8);
  match(JSON.stringify(spdx.hasExtractedLicensingInfos), /House licence/);
  const syft = JSON.parse(JSON.stringify(mergeBom("syft", [CYCLONE, SPDX, SYFT], SUBJECT)));
  validSyft(syft);
  validSyft(mergeBom("syft", [], SUBJECT));
  match(syft.schema.url, new RegExp(`/schema-${syft.schema.version}\\.json$`));
  equal(syft.artifacts.length, 7);
  equal(syft.artifacts.find((one: { name: string }) => one.name === "django").type, "python");
});
