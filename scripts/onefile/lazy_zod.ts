/** What the bundle has for `zod`: schemas are made when a document is first read with them. */
import type { Plugin } from "esbuild";
import * as zod from "zod";

/** The chunk that holds zod itself. */
export const ZOD_CHUNK = "zod";

const IMPORT = /^import { z } from "zod";$/m;

/**
 * zod is a third of what a command that talks to a registry would load, and what it would check is read without it when
 * it is as usual. So `z.object(...)` gives a stand-in that remembers the call. What `light_zod.js` knows, it judges; the first
 * value that it does not take loads zod and makes the schema.
 *
 * Of zod comes what is used: `import { z }` is a name for an object with all of it, its messages in fifty languages too,
 * which esbuild takes whole. As a namespace it takes a quarter.
 */
export function lazyZod(): { readonly plugin: Plugin; readonly source: () => string | undefined } {
  const names = new Set<string>();
  const plugin: Plugin = {
    name: "lazy-zod",
    setup(build) {
      const root = build.initialOptions.absWorkingDir ?? "";
      build.onLoad({ filter: /\.ts$/, namespace: "file" }, async ({ path }) => {
        if (!path.startsWith(root) || path.includes("/node_modules/")) return null;
        const text = await Deno.readTextFile(path);
        if (!IMPORT.test(text)) return { contents: text, loader: "ts" };
        for (const [, name = ""] of text.matchAll(/\bz\.([a-z]\w*)/g)) names.add(name);
        return { contents: text.replace(IMPORT, 'import * as z from "zod";'), loader: "ts" };
      });
      build.onResolve({ filter: /^zod$/ }, () => ({ path: "zod", namespace: "lazy-zod" }));
      build.onResolve(
        { filter: new RegExp(`^\\./${ZOD_CHUNK}\\.js$`) },
        ({ path, importer }) => importer === "zod" ? { path, external: true } : null,
      );
      build.onLoad({ filter: /.*/, namespace: "lazy-zod" }, () => ({
        contents: standIn(zod),
        loader: "js",
      }));
    },
  };
  return {
    plugin,
    source: () => {
      // `z.core` and the like stand for types alone.
      const used = [...names].filter((name) => isMaker(zod, name)).sort();
      return used.length === 0 ? undefined : `export { ${used.join(", ")} } from "zod";`;
    },
  };
}

/** Judges what is as usual; see there. */
const LIGHT = Deno.readTextFileSync(new URL("light_zod.js", import.meta.url))
  .replaceAll(/^export /gm, "");

function isMaker(zod: Readonly<Record<string, unknown>>, name: string): boolean {
  return typeof zod[name] === "function";
}

/** Methods of a schema that give another one. What is not here makes the schema. */
const CHAINED = [
  ...["optional", "nullable", "nullish", "default", "prefault", "catch", "readonly", "array"],
  ...["transform", "refine", "superRefine", "check", "pipe", "or", "and", "describe", "meta"],
  ...["min", "max", "length", "nonempty", "regex", "startsWith", "endsWith", "int", "positive"],
  ...["nonnegative", "trim", "strict", "loose", "passthrough", "catchall", "extend", "partial"],
];

/** The text of a module with the functions of `zod`, each giving a stand-in for what it would give. */
export function standIn(zod: Readonly<Record<string, unknown>>): string {
  const others = Object.keys(zod).filter((name) =>
    /^[a-z]/.test(name) && isMaker(zod, name) && name !== "lazy"
  );
  return `
let found;
const zod = () => found ??= require("./${ZOD_CHUNK}.js");
const chained = new Set(${JSON.stringify(CHAINED)});
const makers = new WeakMap();
${LIGHT}
const real = (value) => {
  if (typeof value === "function") return makers.get(value)?.() ?? value;
  if (Array.isArray(value)) return value.map(real);
  if (value === null || typeof value !== "object" || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, real(one)]));
};
const defer = (make) => {
  let made;
  const get = () => made ??= make();
  const later = new Proxy(function () {}, {
    get(_, key) {
      if (chained.has(key)) {
        return (...args) => {
          const next = defer(() => get()[key](...args.map(real)));
          noteChained(next, later, key, args);
          return next;
        };
      }
      if (key !== "safeParse" && key !== "parse") return get()[key];
      return (value, ...more) => {
        const data = more.length > 0 ? REFUSED : take(later, value);
        if (data === REFUSED) return get()[key](value, ...more);
        return key === "parse" ? data : { success: true, data };
      };
    },
    has: (_, key) => key in get(),
  });
  makers.set(later, get);
  return later;
};
export const NEVER = Object.freeze({ status: "aborted" });
const make = (name, args, made) => {
  const schema = defer(made);
  noteMade(schema, name, args);
  return schema;
};
export const lazy = (getter) => make("lazy", [getter], () => zod().lazy(() => real(getter())));
${
    others.map((name) =>
      `const z_${name} = (...args) => make("${name}", args, () => zod().${name}(...args.map(real)));`
    ).join("\n")
  }
export { ${others.map((name) => `z_${name} as ${name}`).join(", ")} };
`;
}
