import assert from "node:assert/strict";
import { join } from "node:path";
import { isPassable } from "./passable.ts";

Deno.test("a directory is passable when everybody may enter it and all above it", () => {
  const root = Deno.makeTempDirSync({ prefix: "wherry-passable-" });
  try {
    Deno.mkdirSync(join(root, "a/b"), { recursive: true });
    Deno.chmodSync(root, 0o711);
    Deno.chmodSync(join(root, "a"), 0o755);
    Deno.chmodSync(join(root, "a/b"), 0o755);
    assert.equal(isPassable(join(root, "a/b")), true);
    assert.equal(isPassable(join(root, "a/b/not/there/yet")), true);
    Deno.chmodSync(root, 0o700);
    assert.equal(isPassable(join(root, "a/b")), false);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});
