import assert from "node:assert/strict";
import fc from "../oci/property_testing.ts";
import { coversScopes, mergeScopes, parseScopes, repositoryScope, resourceOf } from "./scope.ts";

Deno.test("C-AUTH-06, C-AUTH-07 scopes merge to one for each resource, in order", () => {
  assert.equal(repositoryScope("a", "push", "pull"), "repository:a:pull,push");
  assert.deepEqual(
    mergeScopes(["repository:a:push", "repository:b:pull"], [
      "repository:a:pull",
      "repository:b:pull",
    ]),
    ["repository:a:pull,push", "repository:b:pull"],
  );
  assert.deepEqual(parseScopes("repository:h:5000/a:pull  registry:catalog:* junk"), [
    "repository:h:5000/a:pull",
    "registry:catalog:*",
  ]);
  assert.equal(resourceOf("repository:h:5000/a:pull"), "repository:h:5000/a");
  assert(coversScopes(["repository:a:pull,push"], ["repository:a:pull"]));
  assert(!coversScopes(["repository:a:pull"], ["repository:a:pull,push"]));
  assert(!coversScopes(["repository:a:pull"], ["repository:ab:pull"]));
});

Deno.test("C-AUTH-06 property: a merge covers both", () => {
  const scope = fc.tuple(
    fc.constantFrom("a", "b", "c"),
    fc.subarray(["pull", "push", "delete"], { minLength: 1 }),
  )
    .map(([name, actions]) => repositoryScope(name, ...actions));
  fc.assert(fc.property(fc.array(scope), fc.array(scope), (a, b) => {
    const merged = mergeScopes(a, b);
    assert(coversScopes(merged, a) && coversScopes(merged, b));
    assert.equal(new Set(merged.map(resourceOf)).size, merged.length);
  }));
});
