import assert from "node:assert/strict";
import { PINS } from "./pins.ts";
import { compileStub } from "./stub.ts";

for (const arch of ["amd64", "arm64"] as const) {
  Deno.test(`the stub for ${arch} is small, position-independent and the same each time`, async () => {
    const stub = await compileStub(arch);
    assert(stub.length > 1000 && stub.length < PINS[arch].alignment * 4, String(stub.length));
    assert.equal(stub.length % 16, 0);
    assert.deepEqual(await compileStub(arch), stub);
  });
}
