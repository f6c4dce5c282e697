/** Inputs that fuzzing found; each was read in a wrong way once. */
import assert from "node:assert/strict";
import { FileError } from "../error.ts";
import { parseProjectToml } from "./project_toml.ts";

Deno.test("PRJ-4 a schema-version that is no text is refused like any other that is not known", () => {
  for (const value of ["{}", "{ a = 1 }", "[]", "[[{ a = 1 }]]", "true", "2024-01-01", "inf"]) {
    assert.throws(
      () => parseProjectToml(`[_]\nschema-version = ${value}\n`, "project.toml"),
      (error) =>
        error instanceof FileError && /schema-version is .*want one of/.test(error.message),
      value,
    );
  }
  assert.throws(() => parseProjectToml("[_]\nschema-version.9 = 1\n", "project.toml"), FileError);
  const long = `[_]\nschema-version = "${"9".repeat(10_000)}"\n`;
  assert.throws(
    () => parseProjectToml(long, "project.toml"),
    (error) => error instanceof FileError && error.message.length < 300,
  );
});
