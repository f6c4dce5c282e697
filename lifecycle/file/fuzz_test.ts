/** Damaged documents: whatever is wrong with them, the answer is one line of ours. */
import assert from "node:assert/strict";
import fc from "../../registry/oci/property_testing.ts";
import { buildpackCapabilities } from "../api.ts";
import { FileError } from "../error.ts";
import { parseAnalyzedToml } from "./analyzed_toml.ts";
import { parseBuildLabel } from "./build_metadata_label.ts";
import { parseBuildPlan } from "./build_plan.ts";
import { parseBuildpackToml } from "./buildpack_toml.ts";
import { parseLaunchToml } from "./launch_toml.ts";
import { parseLayerToml } from "./layer_toml.ts";
import { parseLifecycleLabel } from "./lifecycle_metadata.ts";
import { parseOrderToml } from "./order_toml.ts";
import { parseProjectToml } from "./project_toml.ts";
import { parseSystemToml } from "./system_toml.ts";

const can = buildpackCapabilities("0.10", "x");

/** A document, and who reads it. */
const DOCUMENTS: readonly [string, (source: string) => unknown][] = [
  [
    `api = "0.10"\n[buildpack]\nid = "a/b"\nkeywords = ["a"]\n[[targets]]\nos = "linux"\n` +
    `[[targets.distros]]\nname = "x"\n[metadata]\nd = 2024-01-02T03:04:05.123+02:00\n` +
    `e = 2024-01-02\nf = 03:04:05\nx = { a = 1, b = [1, 2, { c = 3 }] }\ns = """\nx\n"""\n`,
    (source) => parseBuildpackToml(source, "f"),
  ],
  [
    `[[order]]\n[[order.group]]\nid = "a"\noptional = true\n[[order-extensions]]\n`,
    (source) => parseOrderToml(source, "f"),
  ],
  [`[[system.pre.buildpacks]]\nid = "a"\n`, (source) => parseSystemToml(source, "f")],
  [
    `[[processes]]\ntype = "web"\ncommand = ["a"]\nargs = ["b"]\n[[labels]]\nkey = "k"\n` +
    `[[slices]]\npaths = ["a"]\n[[bom]]\nname = "x"\n`,
    (source) => parseLaunchToml(source, "f", "x", can),
  ],
  [
    `[[requires]]\nname = "a"\n[requires.metadata]\nv = 1\n[[or]]\n[[or.provides]]\nname = "b"\n`,
    (source) => parseBuildPlan(source, "f"),
  ],
  [`[types]\nlaunch = true\n[metadata]\na = 1.0\n`, (source) => parseLayerToml(source, "f")],
  [
    `[run-image.target]\nos = "l"\n[metadata]\napp = [{ sha = "a" }]\n[[metadata.buildpacks]]\n` +
    `key = "a"\n[metadata.buildpacks.layers.l]\nsha = "x"\n`,
    (source) => parseAnalyzedToml(source, "f"),
  ],
  [
    `[_]\nschema-version = "0.2"\n[io.buildpacks]\nbuilder = "b"\n[[io.buildpacks.group]]\nid = "a"\n`,
    (source) => parseProjectToml(source, "f"),
  ],
  [
    '{"app":[{"sha":"a"}],"buildpacks":[{"key":"a","layers":{"l":{"sha":"x","data":{"a":1.0},' +
    '"dates":["/a"]}},"store":{"metadata":{}}}],"runImage":{"topLayer":"t","mirrors":["m"]}}',
    (source) => parseLifecycleLabel(source, "f"),
  ],
  [
    '{"processes":[{"type":"a","command":["x"],"args":null}],"launcher":{"source":{"git":{}}}}',
    (source) => parseBuildLabel(source, "f"),
  ],
];

const damage = fc.record({
  at: fc.nat(400),
  cut: fc.nat(6),
  put: fc.oneof(
    fc.string({ unit: "binary", maxLength: 3 }),
    fc.constantFrom(
      ...'\n|[|]|[[|]]|=|"|\'|"""|{|}|.|,|#|-1|nan|1e999|9999999999999999999999|2024-02-30'.split(
        "|",
      ),
      ..."99:99:99|23:59:60|0000-00-00|true|\\u0000|\\uD800|__proto__|null|0x1|\0|\r".split("|"),
      "[".repeat(2000),
    ),
  ),
});

Deno.test("a damaged document is read, or refused in one line", () => {
  const seeds = fc.constantFrom(...DOCUMENTS);
  fc.assert(
    fc.property(seeds, fc.array(damage, { maxLength: 4 }), ([source, read], all) => {
      let text = source;
      for (const { at, cut, put } of all) {
        const where = at % (text.length + 1);
        text = text.slice(0, where) + put + text.slice(where + cut);
      }
      try {
        read(text);
      } catch (error) {
        assert.ok(error instanceof FileError, String(error));
        assert.ok(error.message.startsWith("Cannot "), error.message);
        assert.ok(!error.message.includes("\n"), error.message);
      }
    }),
    { numRuns: 3000 },
  );
});
