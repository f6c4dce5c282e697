// How the program's chunks find each other: CommonJS over runs of bytes. Part of the entry script.

/**
 * What chunks have for `process`. Libraries ask it for variables when they are loaded, and the real one brings all of
 * Deno's Node layer, twice the time of a bare start.
 */
const process = new Proxy({
  env: new Proxy({}, {
    get: (_, name) => typeof name === "string" ? Deno.env.get(name) : undefined,
    has: (_, name) => typeof name === "string" && Deno.env.has(name),
  }),
  platform: "linux",
}, {
  get(own, key) {
    if (key in own) return own[key];
    const value = globalThis.process[key];
    // A method that got us for `this` would keep its state here.
    return typeof value === "function" ? value.bind(globalThis.process) : value;
  },
});

/** Makes the exports of a chunk, live as those of a module. */
function publish(target, all) {
  for (const name of Object.keys(all)) {
    Object.defineProperty(target, name, { get: all[name], enumerable: true });
  }
}

const same = (exports) => exports;

/**
 * A chunk is compiled together with all it imports: V8 is asked once, not forty times.
 *
 * @param {(name: string) => Uint8Array<ArrayBuffer> | undefined} read Returns the bytes of a part, or undefined when there is none.
 * @param {Readonly<Record<string, readonly string[]>>} needs The chunks that each chunk imports itself.
 * @returns {{(name: string): any, load(name: string): Promise<any>}} `require`, and how to load a module of Node's without
 *   the rest: what `load` brought once, `require` has.
 */
export function makeRequire(read, needs) {
  const functions = new Map();
  const modules = new Map();
  const builtins = new Map();
  const decoder = new TextDecoder("latin1"); // chunks are ASCII: one byte per character in V8, nothing to decode

  const gather = (name, names) => {
    if (functions.has(name) || names.has(name)) return names;
    names.add(name);
    for (const need of needs[name] ?? []) gather(need, names);
    return names;
  };

  const compile = (name) => {
    const names = [...gather(name, new Set())];
    const texts = names.map((each) => {
      const bytes = read(each);
      if (bytes === undefined) {
        throw new Error(`Cannot load ${each}: this file was built without it`);
      }
      return decoder.decode(bytes);
    });
    const made = (0, eval)(`[${texts.join(",\n")}]\n//# sourceURL=${name}`);
    names.forEach((each, at) => functions.set(each, made[at]));
  };

  const builtin = (name) => {
    const found = builtins.get(name) ?? globalThis.process.getBuiltinModule(name);
    if (found === undefined) throw new Error(`Cannot load ${name}: it is not built into Deno`);
    return found;
  };

  const require = (name) => {
    if (!name.startsWith("./")) return builtin(name);
    const key = name.slice(2);
    let module = modules.get(key);
    if (module === undefined) {
      if (!functions.has(key)) compile(key);
      module = { exports: {} };
      modules.set(key, module);
      functions.get(key)(require, module, module.exports, process, publish, same, same);
    }
    return module.exports;
  };

  require.load = async (name) => {
    const found = await import(name);
    builtins.set(name, found);
    return found;
  };
  return require;
}
