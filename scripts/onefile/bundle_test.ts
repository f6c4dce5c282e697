import assert from "node:assert/strict";
import process from "node:process";
import { stop } from "esbuild";
import { bundle } from "./bundle.ts";
import { makeRequire } from "./loader.js";

type Chunk = Uint8Array<ArrayBuffer>;

/** A throw-away checkout with these files. */
async function inTree<T>(
  files: Record<string, string>,
  use: (root: string) => Promise<T>,
): Promise<T> {
  const root = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.mkdir(`${root}/${name}`.replace(/\/[^/]*$/, ""), { recursive: true });
      await Deno.writeTextFile(`${root}/${name}`, text);
    }
    return await use(root);
  } finally {
    await Deno.remove(root, { recursive: true });
    await stop();
  }
}

/** Runs the program of `chunks`; it leaves what it has to say in `globalThis.said`. */
async function runChunks(chunks: ReadonlyMap<string, Chunk>): Promise<unknown> {
  const scope = globalThis as unknown as { said?: Promise<unknown> };
  // The loader takes the whole buffer of what it is given.
  makeRequire((name: string) => chunks.get(name)?.slice())("./main.js");
  const said = await scope.said;
  delete scope.said;
  return said;
}

const quiet = { sanitizeOps: false, sanitizeResources: false }; // esbuild keeps its service process

Deno.test({
  name: "what is imported on demand is a chunk of its own and runs on demand, once",
  ...quiet,
  fn: () =>
    inTree({
      "main.ts": `import { count } from "./shared.ts";
        globalThis.said = (async () => {
          const before = count();
          const { later, Kind } = await import("./later.ts");
          await import("./later.ts");
          return [before, later(), count(), Kind.name, new Kind() instanceof Error];
        })();`,
      "later.ts": `import { count } from "./shared.ts";
        import { basename } from "node:path";
        export class Kind extends Error {}
        export const later = () => basename("/a/é" + count());`,
      "shared.ts": `let n = 0; export const count = () => n++;`,
    }, async (root) => {
      const { chunks, records } = await bundle("main", "main.ts", root);
      assert(chunks.has("main.js") && chunks.size >= 2, [...chunks.keys()].join());
      assert.deepEqual(records, []);
      assert(!new TextDecoder().decode(chunks.get("main.js")).includes("basename"));
      assert.deepEqual(await runChunks(chunks), [0, "é1", 2, "Kind", true]);
    }),
});

Deno.test({
  name: "the same files in another folder give the same chunks",
  ...quiet,
  fn: async () => {
    const files = {
      "main.ts": `import("./a.ts"); import("./b.ts")`,
      "a.ts": `export * from "./c.ts"`,
      "b.ts": `export * from "./c.ts"`,
      "c.ts": "export const c = 1",
    };
    const first = await inTree(files, (root) => bundle("main", "main.ts", root));
    const second = await inTree(files, (root) => bundle("main", "main.ts", root));
    assert.deepEqual(first, second);
  },
});

Deno.test({
  name: "import.meta outside the files that know both worlds is refused, in a comment it is not",
  ...quiet,
  fn: async () => {
    await assert.rejects(
      inTree(
        { "main.ts": `export const here = import.meta.url;` },
        (root) => bundle("main", "main.ts", root),
      ),
      /Cannot bundle main.ts: import.meta says nothing in the executable/,
    );
    await inTree(
      { "main.ts": `// import.meta\nexport const x = 1;` },
      (root) => bundle("main", "main.ts", root),
    );
  },
});

Deno.test({
  name: "a module that is not there is named with file and line",
  ...quiet,
  fn: () =>
    assert.rejects(
      inTree({ "main.ts": `\nimport("./gone.ts");` }, (root) => bundle("main", "main.ts", root)),
      /Cannot bundle main.ts: main.ts:2: Could not resolve ".\/gone.ts"/,
    ),
});

Deno.test({
  name: "a module of Node's is loaded when it is used, not when it is imported",
  ...quiet,
  fn: () =>
    inTree({
      "main.ts": `import { createHash, Hash } from "node:crypto";
        import { basename } from "node:path";
        import zlib, { constants } from "node:zlib";
        import { Readable } from "node:stream";
        globalThis.said = Promise.resolve({
          path: basename("/a/b"),
          hash: () => createHash("sha256").update("x").digest("hex").slice(0, 4),
          rest: () => [zlib.gzipSync("x")[0], constants.Z_BEST_SPEED,
            new Readable() instanceof Readable, "prototype" in Readable, typeof Hash],
        });`,
    }, async (root) => {
      const { chunks } = await bundle("main", "main.ts", root);
      const { getBuiltinModule } = process;
      const asked: string[] = [];
      process.getBuiltinModule = ((name: string) => {
        asked.push(name);
        return getBuiltinModule(name);
      }) as typeof getBuiltinModule;
      try {
        const said = await runChunks(chunks) as {
          readonly path: string;
          readonly hash: () => string;
          readonly rest: () => unknown;
        };
        assert.equal(said.path, "b");
        assert.deepEqual(asked, []);
        assert.equal(said.hash(), "2d71");
        assert.deepEqual(asked, ["node:crypto"]);
        assert.deepEqual(said.rest(), [0x1f, 1, true, true, "function"]);
      } finally {
        process.getBuiltinModule = getBuiltinModule;
      }
    }),
});

Deno.test({
  name: "the program's chunks are small: V8 reads all of one that is needed, each time",
  ...quiet,
  fn: async () => {
    const root = decodeURIComponent(new URL("../..", import.meta.url).pathname);
    try {
      const { chunks } = await bundle("main", "cli/main.ts", root);
      for (const [name, bytes] of chunks) {
        assert(bytes.length < 200_000, `${name}: ${bytes.length}`);
      }
    } finally {
      await stop();
    }
  },
});
