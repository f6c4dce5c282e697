/**
 * What Syft's JSON schema 16.0.0 demands of the parts a merged document has: the published file is on no npm package, so
 * its rules are written here. Unlike it, a key it does not know is refused, too: a reader of Syft's would lose it.
 *
 * @see schema/json/schema-16.0.0.json of anchore/syft
 */
const text = { type: "string" };

function record(required: Record<string, unknown>, optional: Record<string, unknown> = {}) {
  return {
    type: "object",
    required: Object.keys(required),
    properties: { ...required, ...optional },
    additionalProperties: false,
  };
}

function list(items: unknown) {
  return { type: "array", items };
}

const location = record({ path: text, accessPath: text }, {
  layerID: text,
  annotations: { type: "object", additionalProperties: text },
});

const artifact = record({
  id: text,
  name: text,
  version: text,
  type: text,
  foundBy: text,
  locations: list(location),
  licenses: list(record({
    value: text,
    spdxExpression: text,
    type: text,
    urls: list(text),
    locations: list(location),
  })),
  language: text,
  cpes: list(record({ cpe: text }, { source: text })),
  purl: text,
}, { metadataType: text, metadata: true });

/** The schema. */
export const SYFT_SCHEMA = record({
  artifacts: list(artifact),
  artifactRelationships: list(
    record({ parent: text, child: text, type: text }, { metadata: true }),
  ),
  source: record({ id: text, name: text, version: text, type: text, metadata: true }),
  distro: record({}, {
    prettyName: text,
    name: text,
    id: text,
    idLike: list(text),
    version: text,
    versionID: text,
    versionCodename: text,
  }),
  descriptor: record({ name: text, version: text }, { configuration: true }),
  schema: record({ version: text, url: text }),
});
