/** The deprecated bill of materials in a label, before platform API 0.9 (LB-3). */
import { type ImageConfig, labelOf } from "../../registry/oci/config.ts";
import { z } from "zod";
import { Label } from "../phase/export_labels.ts";
import type { BomPackage } from "./package.ts";

const text = z.string().nullish().catch(null).transform((value) => value ?? "");
const schema = z.object({
  bom: z.array(z.object({
    name: text,
    version: text,
    metadata: z.object({
      version: text,
      purl: text,
      PURL: text,
      cpe: text,
      licenses: z.array(
        z.union([z.string(), z.object({ type: text }).transform((one) => one.type)]),
      )
        .nullish().catch(null),
    }).nullish().catch(null),
    buildpack: z.object({ id: text }).nullish().catch(null),
  })).nullish().catch(null),
});

/** Its packages; none for images of today. */
export function readLegacyBom(config: ImageConfig): readonly BomPackage[] {
  let json: unknown;
  try {
    json = JSON.parse(labelOf(config, Label.build) ?? "{}");
  } catch {
    return [];
  }
  const parsed = schema.safeParse(json);
  return (parsed.success ? parsed.data.bom ?? [] : []).map((one): BomPackage => ({
    name: one.name,
    version: one.metadata?.version || one.version,
    type: "",
    purl: one.metadata?.purl || one.metadata?.PURL || "",
    licenses: (one.metadata?.licenses ?? []).filter((license) => license !== ""),
    cpes: [one.metadata?.cpe ?? ""].filter((cpe) => cpe !== ""),
    hashes: [],
    buildpack: one.buildpack?.id ?? "",
    layer: "",
  }));
}
