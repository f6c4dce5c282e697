import assert from "node:assert/strict";
import process from "node:process";
import { stop } from "esbuild";
import { groupsOf } from "./ahead.ts";
import { type Bundle, bundle } from "./bundle.ts";
import { makeRequire } from "./loader.js";

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

/** Runs the program of a bundle; it leaves what it has to say in `globalThis.said`. */
async function runChunks({ chunks, needs }: Pick<Bundle, "chunks" | "needs">): Promise<unknown> {
  const scope = globalThis as unknown as { said?: Promise<unknown> };
  makeRequire((name: string) => chunks.get(name)?.slice(), Object.fromEntries(needs))("./main.js");
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
      const { chunks, needs, records } = await bundle("main", "main.ts", root);
      assert(chunks.has("main.js") && chunks.size >= 2, [...chunks.keys()].join());
      assert.deepEqual(records, []);
      assert(!new TextDecoder().decode(chunks.get("main.js")).includes("basename"));
      assert.deepEqual(await runChunks({ chunks, needs }), [0, "é1", 2, "Kind", true]);
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
      const made = await bundle("main", "main.ts", root);
      const { getBuiltinModule } = process;
      const asked: string[] = [];
      process.getBuiltinModule = ((name: string) => {
        asked.push(name);
        return getBuiltinModule(name);
      }) as typeof getBuiltinModule;
      try {
        const said = await runChunks(made) as {
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
  name: "a chunk is compiled at once with all that it imports, each of them once",
  ...quiet,
  fn: () =>
    inTree({
      "main.ts": `import { a } from "./a.ts";
        globalThis.said = (async () => [a, await (await import("./b.ts")).b(), await import("./c.ts")])();`,
      "a.ts": `export let a = 0; export const more = () => ++a;`,
      "b.ts": `import { more } from "./a.ts"; import { shared } from "./shared.ts";
        export const b = async () => [more(), shared, (await import("./c.ts")).c];`,
      "c.ts":
        `import { a } from "./a.ts"; import { shared } from "./shared.ts"; export const c = a + shared;`,
      "shared.ts": `export const shared = 40;`,
    }, async (root) => {
      const { chunks, needs } = await bundle("main", "main.ts", root);
      assert.deepEqual(
        [...needs.keys()].map((name) => name.replace(/-[^-]*$/, "")),
        ["b", "c", "main.js"],
      );
      const read: string[] = [];
      const counted = new Map([...chunks].map(([name, bytes]) => [name, bytes]));
      counted.get = (name) => {
        read.push(name);
        return chunks.get(name);
      };
      const said = await runChunks({ chunks: counted, needs });
      assert.deepEqual(said, [0, [1, 40, 41], { c: 41 }]);
      assert.deepEqual(read.toSorted(), [...chunks.keys()].toSorted());
    }),
});

Deno.test({
  name: "a library that asks process for variables does not load Node's layer",
  ...quiet,
  fn: () =>
    inTree({
      "main.ts": `globalThis.said = [typeof process, process.env.HOME, process.env.NO_SUCH,
        "HOME" in process.env, process.platform, process.getuid(),
        process.once("wherry", () => {}).listenerCount("wherry")];`,
    }, async (root) => {
      const made = await bundle("main", "main.ts", root);
      const home = Deno.env.get("HOME");
      assert.deepEqual(await runChunks(made), [
        "object",
        home,
        undefined,
        home !== undefined,
        "linux",
        Deno.uid(),
        1,
      ]);
      assert.equal(process.listenerCount("wherry"), 1, "on the real one");
      process.removeAllListeners("wherry");
    }),
});

Deno.test({
  name:
    "a module of Node's that is imported on demand is loaded alone, and is there for all from then on",
  ...quiet,
  fn: () =>
    inTree({
      "main.ts": `import { DatabaseSync } from "node:sqlite";
        globalThis.said = (async () => {
          await import("node:sqlite");
          return new DatabaseSync(":memory:").prepare("select 7 as n").get().n;
        })();`,
    }, async (root) => {
      const made = await bundle("main", "main.ts", root);
      const { getBuiltinModule } = process;
      process.getBuiltinModule = () => {
        throw new Error("asked for all of it");
      };
      try {
        assert.equal(await runChunks(made), 7);
      } finally {
        process.getBuiltinModule = getBuiltinModule;
      }
    }),
});

Deno.test({
  name:
    "the program's chunks are small, and a command loads little more than it uses: V8 reads all of it, each time",
  ...quiet,
  fn: async () => {
    const root = decodeURIComponent(new URL("../..", import.meta.url).pathname);
    try {
      const { chunks, needs, modules } = await bundle("main", "cli/main.ts", root);
      const ahead = groupsOf({ modules, needs });
      assert.equal(
        ahead.size,
        4,
        `a build no longer loads what ahead.ts says: ${[...ahead.keys()]}`,
      );
      for (const [name, bytes] of chunks) {
        assert(bytes.length < 200_000, `${name}: ${bytes.length}`);
      }
      const weigh = (name: string, seen = new Set<string>()): number => {
        if (seen.has(name)) return 0;
        seen.add(name);
        const below = (needs.get(name) ?? []).map((need) => weigh(need, seen));
        return below.reduce((sum, bytes) => sum + bytes, chunks.get(name)!.length);
      };
      // A little above what they were when this was written. One import too many brings whole libraries.
      for (const [module, most] of Object.entries(MOST_BYTES)) {
        const names = [...chunks.keys()].filter((each) => each.replace(/-[^-]*$/, "") === module);
        assert(names.length > 0, module);
        for (const name of names) {
          assert(weigh(name) <= most, `${name} with all it imports: ${weigh(name)} bytes`);
        }
      }
    } finally {
      await stop();
    }
  },
});

/** Bytes, by chunks that commands import on demand. */
const MOST_BYTES = {
  "main.js": 20_000,
  run: 85_000,
  list_images: 180_000,
  inspect_image: 300_000,
  detector: 200_000,
  restorer: 265_000,
  exporter: 440_000,
  build_app: 610_000,
  rebase: 250_000,
};
