import assert from "node:assert/strict";
import { runNamesFor } from "../../lifecycle/phase/analyze_run_image.ts";
import { sameName } from "./run_names.ts";

Deno.test("RG-2 names are compared spelled out: the tag counts, the digest does not", () => {
  const images = [
    { image: "registry.example/other", mirrors: [] },
    { image: "docker.io/run:1", mirrors: ["mirror.example/library/run:1"] },
  ];
  const digest = `sha256:${"a".repeat(64)}`;
  const rows: [string, number][] = [
    ["run:1", 1],
    ["index.docker.io/library/run:1", 1],
    [`run:1@${digest}`, 1],
    [`mirror.example/library/run:1@${digest}`, 1],
    ["registry.example/other:latest", 0],
    // Nobody's: the first stands in (EX-4).
    ["run:2", 0],
    ["run", 0],
    ["mirror.example/run:1", 0],
  ];
  for (const [name, at] of rows) {
    assert.equal(runNamesFor(images, name, { normalize: sameName }), images[at], name);
  }
});
