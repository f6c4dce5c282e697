import assert from "node:assert/strict";
import { stop } from "esbuild";
import { compileAhead } from "./ahead.ts";
import { bundle } from "./bundle.ts";
import { makeRequire } from "./loader.js";

const FILES = {
  "cli/main.ts": `globalThis.said = (async () => (await import("./run.ts")).run())();`,
  "cli/run.ts": `export const run = async () => (await import("./build_app.ts")).build(1);`,
  "cli/build_app.ts": `import { more } from "./more.ts";
    class Sum { #at = 0; add(n: number) { const inner = () => more(this.#at); this.#at += n; return inner(); } }
    export const build = (n: number) => new Sum().add(n);`,
  "cli/more.ts": `export const more = (n: number) => [n + 1, new Error().stack?.includes("more")];`,
};

Deno.test({
  name:
    "what is compiled ahead is the same each time, is taken, and what V8 does not take is compiled anew",
  sanitizeOps: false, // esbuild keeps its service process
  sanitizeResources: false,
  fn: async () => {
    const root = await Deno.makeTempDir();
    try {
      for (const [name, text] of Object.entries(FILES)) {
        await Deno.mkdir(`${root}/cli`, { recursive: true });
        await Deno.writeTextFile(`${root}/${name}`, text);
      }
      const made = await bundle("main", "cli/main.ts", root);
      const deno = await Deno.readFile(Deno.execPath());
      const ahead = await compileAhead(made, deno);
      const [[name, { names, bytes }]] = [...ahead] as [
        [string, { names: string; bytes: Uint8Array }],
      ];
      assert.equal(name, made.modules.get("cli/build_app.ts"));
      assert.deepEqual(await compileAhead(made, deno), ahead);

      const run = async (compiled: Uint8Array) => {
        const scope = globalThis as unknown as { said?: Promise<unknown> };
        const require = makeRequire(
          (each: string) =>
            each === `${name}.ahead` ? compiled.slice() : made.chunks.get(each)?.slice(),
          Object.fromEntries(made.needs),
          { [name]: names },
        );
        require("./main.js");
        const said = await scope.said;
        delete scope.said;
        return [said, require.taken];
      };
      assert.deepEqual(await run(new Uint8Array(64)), [[2, true], []]);
      assert.deepEqual(await run(bytes), [[2, true], [name]]);
    } finally {
      await Deno.remove(root, { recursive: true });
      await stop();
    }
  },
});
