/** The schema that CycloneDX publishes for its bills of materials. */
import { ok } from "node:assert/strict";
import { Ajv } from "ajv";
import addFormats from "ajv-formats";

const SCHEMAS = new URL(
  "../../node_modules/@cyclonedx/cyclonedx-library/res/schema/",
  import.meta.url,
);

/** A schema by its name, such as `bom-1.5`. */
export async function schema(name: string): Promise<Record<string, unknown>> {
  return JSON.parse(await Deno.readTextFile(new URL(`${name}.SNAPSHOT.schema.json`, SCHEMAS)));
}

/** Fails for what is no bill of materials of version 1.5. */
export async function cycloneValidator(): Promise<(value: unknown) => void> {
  // deno-lint-ignore no-explicit-any -- ajv-formats is CommonJS, its types speak of the module
  const formats = addFormats as any;
  const ajv = new Ajv({ strict: false, allErrors: false });
  formats(ajv);
  ajv.addFormat("iri-reference", true);
  ajv.addFormat("idn-email", true);
  ajv.addSchema(
    await schema("jsf-0.82"),
    "http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json",
  );
  ajv.addSchema(await schema("spdx"), "http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json");
  const validate = ajv.compile(await schema("bom-1.5"));
  return (value) => ok(validate(value), JSON.stringify(validate.errors?.slice(0, 3)));
}
