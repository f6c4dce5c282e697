/** The SPDX project's own validator on what we merge: stricter than its JSON schema, which no npm package carries. */
import { deepEqual } from "node:assert/strict";
import { mergeBom } from "../../lifecycle/bom/merge.ts";
import type { BomDocument, BomFormat } from "../../lifecycle/bom/document.ts";

const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? ""}/.cache`;
const TOOLS = `${Deno.env.get("WHERRY_TOOLS") ?? `${cache}/wherry-build`}/spdx-tools-0.8.5`;
const HAVE = await Deno.stat(`${TOOLS}/spdx_tools`).then(() => true, () => false);

const CHECK = `
import sys
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
for fault in validate_full_spdx_document(parse_file(sys.argv[1])):
    print(fault.validation_message)
`;

function document(format: BomFormat, json: unknown): BomDocument {
  const bytes = new TextEncoder().encode(JSON.stringify(json));
  return { path: `sbom.${format}`, buildpack: "samples/java", layer: "jre", format, bytes };
}

const name = "merged SPDX has no fault for the tools of the SPDX project";
Deno.test({
  name: HAVE ? name : `${name} (skipped: no spdx-tools, scripts/test.sh brings them)`,
  ignore: !HAVE,
  async fn() {
    const cyclone = document("cyclonedx", {
      components: [
        {
          type: "library",
          group: "@x",
          name: "a b",
          version: "1",
          purl: "pkg:npm/%40x/a%20b@1",
          cpe: "cpe:2.3:a:fasterxml:jackson:2.14.1:*:*:*:*:*:*:*",
          licenses: [{ license: { name: "House & co" } }, { expression: "MIT OR GPL-2.0-only" }],
          hashes: [{ alg: "SHA-256", content: "ab".repeat(32) }],
        },
        { type: "operating-system", name: "ubuntu", version: "24.04" },
        { type: "library", name: "none", licenses: [{ license: { id: "BSD-3-Clause" } }] },
      ],
    });
    const syft = document("syft", {
      artifacts: [{ name: "bash", version: "5.2", type: "deb", licenses: ["GPL-3.0-or-later"] }],
    });
    const merged = mergeBom("spdx", [cyclone, syft], {
      name: "registry.test/team/app:1",
      digest: `sha256:${"a".repeat(64)}`,
      created: "1980-01-01T00:00:01Z",
      tool: "0.1.0",
    });
    const file = await Deno.makeTempFile({ suffix: ".spdx.json" });
    try {
      await Deno.writeTextFile(file, JSON.stringify(merged));
      const { code, stdout, stderr } = await new Deno.Command("python3", {
        args: ["-c", CHECK, file],
        env: { PYTHONPATH: TOOLS },
      }).output();
      const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      deepEqual([code, said], [0, ""]);
    } finally {
      await Deno.remove(file);
    }
  },
});
