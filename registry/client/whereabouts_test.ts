import { equal } from "node:assert/strict";
import { digestOf } from "../oci/digest.ts";
import { Whereabouts } from "./whereabouts.ts";

const digest = digestOf(new Uint8Array([1]));
const other = digestOf(new Uint8Array([2]));

Deno.test("C-MNT-05 who holds a blob: one, several, the latest seen first, and nobody any more", () => {
  const now = 0;
  const known = new Whereabouts(() => now);
  equal(known.elsewhere("a", digest), undefined);
  known.add("a", digest);
  known.add("a", digest);
  equal(known.has("a", digest), true);
  equal(known.has("b", digest), false);
  equal(known.has("a", other), false);
  equal(known.elsewhere("a", digest), undefined, "not elsewhere");
  equal(known.elsewhere("b", digest), "a");
  known.add("b", digest);
  known.add("c", digest);
  equal(known.elsewhere("c", digest), "b", "the latest of the others");
  known.add("a", digest);
  equal(known.elsewhere("c", digest), "a", "seen again");
  known.remove("a", digest);
  equal(known.has("a", digest), false);
  known.add("b", other);
  known.forget("b");
  equal(known.has("b", digest), false);
  equal(known.has("b", other), false);
  equal(known.elsewhere("b", digest), "c");
  known.add("c", other);
  known.remove("a", other);
  equal(known.has("c", other), true, "another's");
  known.remove("c", other);
  equal(known.elsewhere("a", other), undefined);
});

Deno.test("C-MNT-05 facts end after a while", () => {
  let now = 0;
  const known = new Whereabouts(() => now);
  known.add("a", digest);
  known.add("a", other);
  known.add("b", other);
  now = 10 * 60 * 1000;
  equal(known.has("a", digest), false);
  equal(known.elsewhere("b", digest), undefined);
  equal(known.elsewhere("b", other), undefined);
});
