import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { lightVm } from "./light_vm.ts";

const deno = await Deno.readFile(Deno.execPath());

Deno.test("node:vm compiles, runs and takes what was compiled, without the Node layer", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const changed = deno.slice();
    for (const { offset, bytes } of lightVm(deno)) changed.set(bytes, offset);
    assert.equal(changed.length, deno.length);
    await Deno.writeFile(`${dir}/deno`, changed, { mode: 0o755 });
    await Deno.writeTextFile(
      `${dir}/main.js`,
      `const own = Object.getOwnPropertyDescriptor(globalThis, "process");
      let asked = false;
      Object.defineProperty(globalThis, "process", {
        configurable: true,
        get() {
          asked = true;
          Object.defineProperty(globalThis, "process", own);
          return globalThis.process;
        },
      });
      const { Script } = await import("node:vm");
      const text = "(a) => a + 1";
      const cachedData = new Script(text, { filename: "x" }).createCachedData();
      const again = new Script(text, { filename: "x", cachedData });
      const refused = new Script(text + " // other", { filename: "x", cachedData: new Uint8Array(64) });
      console.log(JSON.stringify([
        again.runInThisContext()(1), again.cachedDataRejected,
        refused.runInThisContext()(2), refused.cachedDataRejected, asked,
      ]));`,
    );
    const { stdout, stderr } = await new Deno.Command(`${dir}/deno`, {
      args: ["run", "-A", "--no-config", "--no-code-cache", `${dir}/main.js`],
    }).output();
    assert.equal(new TextDecoder().decode(stderr), "");
    assert.equal(new TextDecoder().decode(stdout), "[2,false,3,true,false]\n");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("another node:vm than the known one is refused", () => {
  const other = deno.slice();
  const at = Buffer.from(other.buffer).indexOf(
    "e.createLazyLoader(`node:process`)();const{Buffer:n}",
  );
  other[at] = 0x66;
  assert.throws(() => lightVm(other), /Cannot change deno's node:vm: "e.createLazyLoader/);
  assert.throws(() => lightVm(new Uint8Array(100)), /Cannot change deno's node:vm: "ext:deno_node/);
});
