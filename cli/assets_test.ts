import assert from "node:assert/strict";
import {
  buildInputs,
  calledAs,
  helperPath,
  isExecutable,
  launcherBytes,
  notices,
  startEnvironment,
} from "./assets.ts";

// From source; tests/accept/onefile_test.ts asks the same of the executable.

/** The value, or the message of what was thrown. */
function attempt<T>(ask: () => T): T | string {
  try {
    return ask();
  } catch (error) {
    assert(error instanceof Error);
    return error.message;
  }
}

Deno.test("from source, wherry knows that it is not the executable", () => {
  assert.equal(isExecutable(), false);
  assert.equal(calledAs(), "wherry");
  assert.equal(startEnvironment(), undefined);
  assert.deepEqual(buildInputs(), []);
  assert.match(notices(), /runs from source/);
});

Deno.test("from source, the helper is under dist/native or its absence says how to make it", () => {
  const answer = attempt(helperPath);
  assert.match(
    answer,
    /\/dist\/native\/[a-z0-9]+\/helper$|^Cannot start the sandbox helper: .* is missing, make it with: /,
  );
});

for (const arch of ["amd64", "arm64"] as const) {
  Deno.test(`from source, the launcher for ${arch} is an ELF file or its absence says how to make it`, () => {
    const answer = attempt(() => launcherBytes(arch));
    if (typeof answer === "string") {
      assert.match(answer, /^Cannot add the launcher for .* is missing, make it with: /);
    } else {
      assert.deepEqual([...answer.subarray(0, 4)], [0x7f, 0x45, 0x4c, 0x46]);
    }
  });
}
