import assert from "node:assert/strict";
import { LifecycleError } from "../error.ts";
import { refuseNames, refuseTakenNames } from "./export_names.ts";

Deno.test("M-13 an app cannot take a name of its run image, however it is spelled", () => {
  const names = { image: "docker.io/library/run", mirrors: ["mirror.example/run:1"] };
  const digest = `sha256:${"1".repeat(64)}`;
  for (
    const [output, run] of [
      ["registry.example/run:1", "registry.example/run:1"],
      ["registry.example/run:1", `registry.example/run:1@${digest}`],
      ["registry.example/run", "registry.example/run:latest"],
      ["run", ""],
      ["index.docker.io/library/run:latest", ""],
      ["mirror.example/run:1", ""],
    ] as const
  ) {
    assert.throws(
      () => refuseTakenNames([{ name: "other.example/app" }, { name: output }], run, names),
      (error) => error instanceof LifecycleError && error.exitCode === 3,
      output,
    );
  }
  refuseTakenNames([{ name: "registry.example/run:2" }], "registry.example/run:1", names);
  refuseTakenNames([{ name: "oci:dir" }], "", undefined);
});

Deno.test("M-13 nor one of its builder, nor of its cache", () => {
  assert.throws(
    () => refuseNames(["other", "index.docker.io/library/b:latest"], ["", "b"], "builder"),
    /^LifecycleError: Cannot name the app image "index.docker.io\/library\/b:latest": that is its builder, which it would replace$/,
  );
  refuseNames(["b:2", "oci:b"], ["b", ""], "cache image");
});
