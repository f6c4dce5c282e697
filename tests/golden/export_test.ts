/**
 * The documents of one whole export, byte for byte: config, labels, and the diffID of each layer. Never the
 * compressed bytes, which are zlib's. `UPDATE_GOLDEN=1` writes the files anew; the diff is the review.
 */
import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { exportImage } from "../../lifecycle/phase/export.ts";
import { parseConfig } from "../../registry/oci/config.ts";
import {
  exportInput,
  memoryStore,
  SAMPLE_BUILD,
  sampleBuild,
  writeTree,
} from "../../lifecycle/phase/export_testing.ts";
import { tempDir } from "../../registry/temp_testing.ts";

const FOLDER = new URL(".", import.meta.url).pathname;

async function golden(name: string, seen: string): Promise<void> {
  const path = `${FOLDER}${name}`;
  if (Deno.env.get("UPDATE_GOLDEN")) await Deno.writeTextFile(path, seen);
  assert.equal(seen, await Deno.readTextFile(path), name);
}

Deno.test("13.5 13.6 RPT config, labels and report of an export are the ones in the files", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  await writeTree(dir.path, {
    "layers/sbom/launch/samples_java/jre/sbom.cdx.json": "{}",
    "layers/samples_java/odd <&>.toml":
      '[types]\nlaunch = true\nbuild = true\n[metadata]\nz = 1.0\na = "<&>\\u2028"\nwhen = 1979-05-27T07:32:00Z\n' +
      "[metadata.nested]\nb = [1, 2]\nB = true\n",
    "layers/samples_java/odd <&>/file": "x",
  });
  const process = SAMPLE_BUILD.processes[0]!;
  const build = {
    ...SAMPLE_BUILD,
    processes: [
      { ...process, type: "task", args: undefined, direct: false, workingDir: "/tmp" },
      { ...process, execEnv: ["production"] },
    ],
    slices: [{ paths: ["lib"] }],
  };
  const { image, layers, report } = await exportImage(
    exportInput(dir.path, memoryStore(), memoryRegistry(), {
      build,
      execEnv: "test",
      project: {
        source: {
          type: "git",
          version: { commit: "abc" },
          metadata: { refs: ["main"], branch: "x" },
        },
      },
      ownSboms: [{ of: "launcher", file: "sbom.spdx.json", bytes: new TextEncoder().encode("{}") }],
    }),
    quietContext(),
  );
  const labels = image.config.config.Labels ?? {};
  await golden(
    "export_labels.txt",
    Object.entries(labels).map(([key, value]) => `${key}=${value}\n`).join(""),
  );
  const read = parseConfig(image.rawConfig);
  const { Labels: _, ...config } = read.config;
  await golden("export_config.json", JSON.stringify({ ...read, config }, null, 2) + "\n");
  await golden("export_layers.txt", layers.map(({ id, diffId }) => `${diffId} ${id}\n`).join(""));
  const { formatReportToml } = await import("../../lifecycle/file/report_toml.ts");
  const stable = { ...report, image: { ...report.image, digest: "sha256:…", manifestSize: 1 } };
  await golden("export_report.toml", formatReportToml(stable));
});
