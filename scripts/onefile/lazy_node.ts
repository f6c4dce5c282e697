/** What the bundle has for `node:` modules: nothing is loaded before it is used. */
import type { Plugin } from "esbuild";

/**
 * Of Deno's Node layer even the smallest module takes twice as long to load as Deno takes to start, and every module that is
 * imported adds to it. So each import becomes a stand-in that asks for the module when it is first called, constructed or
 * looked at. `node:path` is so small that we have our own, which never asks.
 */
export const lazyNode: Plugin = {
  name: "lazy-node",
  setup(build) {
    build.onResolve({ filter: /^node:/ }, ({ path, kind }) => {
      if (kind !== "import-statement") return null;
      if (path === "node:path") {
        return { path: decodeURIComponent(new URL("./light_path.ts", import.meta.url).pathname) };
      }
      return { path, namespace: "lazy-node", sideEffects: false };
    });
    // It asks at its start whether the terminal has colours, which brings Node's streams; we tell it ourselves each time.
    build.onLoad({ filter: /\/picocolors\/picocolors\.js$/ }, async ({ path }) => ({
      contents: `const process = {};${await Deno.readTextFile(path)}`,
      loader: "js",
    }));
    build.onLoad({ filter: /.*/, namespace: "lazy-node" }, async ({ path }) => ({
      contents: standIn(path, await import(path)),
      loader: "js",
    }));
  },
};

/** The text of a module with the exports of the built-in one called `name`. */
function standIn(name: string, module: Readonly<Record<string, unknown>>): string {
  const lines = [
    `let found; const real = () => found ??= require(${JSON.stringify(name)});`,
    // Everything a function, a class or an object can be asked.
    `const later = (get) => new Proxy(function () {}, {
      apply: (_, self, args) => Reflect.apply(get(), self, args),
      construct: (_, args, target) => Reflect.construct(get(), args, target),
      get: (_, key) => get()[key],
      set: (_, key, value) => Reflect.set(get(), key, value),
      has: (_, key) => key in get(),
    });`,
    "export default /* @__PURE__ */ later(real);",
  ];
  for (const [key, value] of Object.entries(module)) {
    if (!/^[A-Za-z]\w*$/.test(key) || key === "default") continue;
    // A plain function costs less to call than a proxy, and these are called for every file of a layer.
    const plain = typeof value === "function" && /^[a-z]/.test(key) &&
      Object.getOwnPropertySymbols(value).length === 0;
    lines.push(
      plain
        ? `export const ${key} = (...args) => real().${key}(...args);`
        : `export const ${key} = /* @__PURE__ */ later(() => real().${key});`,
    );
  }
  return lines.join("\n");
}
