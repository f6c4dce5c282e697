import assert from "node:assert/strict";
import real from "node:path/posix";
import * as light from "./light_path.ts";

/** Every word of up to `length` letters of `letters`. */
function* words(letters: readonly string[], length: number): Generator<string> {
  yield "";
  if (length === 0) return;
  for (const rest of words(letters, length - 1)) for (const one of letters) yield one + rest;
}

Deno.test("the executable's node:path answers as Node's does", () => {
  const all = new Set(words(["/", ".", "a"], 6));
  for (const path of all) {
    for (const name of ["normalize", "dirname", "basename", "isAbsolute", "resolve"] as const) {
      assert.equal(light[name](path), real[name](path), `${name}(${JSON.stringify(path)})`);
    }
  }
  const some = [...new Set(words(["/", ".", "a", "b/"], 3)), "../../x", "a/b/../../.."];
  for (const one of some) {
    for (const other of some) {
      for (const name of ["join", "resolve", "relative"] as const) {
        const said = `${name}(${JSON.stringify(one)}, ${JSON.stringify(other)})`;
        assert.equal(light[name](one, other), real[name](one, other), said);
      }
    }
  }
  assert.equal(light.join(), real.join());
  assert.equal(light.resolve("a", "/b", "..", "c/"), "/c");
});
