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
 * The text that chunks are compiled as, together: an array of their functions.
 *
 * @param {readonly Uint8Array[]} chunks
 * @param {TextDecoder} decoder For latin1: chunks are ASCII, one byte per character in V8, nothing to decode.
 * @returns {string}
 */
export const textOf = (chunks, decoder) =>
  `[${chunks.map((bytes) => decoder.decode(bytes)).join(",\n")}]`;

/**
 * A chunk is compiled together with all it imports: V8 is asked once, not forty times.
 *
 * @param {(name: string) => Uint8Array<ArrayBuffer> | undefined} read Returns the bytes of a part, or undefined when there is none.
 * @param {Readonly<Record<string, readonly string[]>>} needs The chunks that each chunk imports itself.
 * @param {Readonly<Record<string, string>>} ahead Of chunks that were compiled ahead the names of all that were compiled
 *   together, in order. The first of them is reason enough to load what takes them.
 * @returns {{(name: string): any, load(name: string): Promise<any>, later(name: string): Promise<any>, taken: string[]}}
 *   `require`; how to load a module of Node's without the rest: what `load` brought once, `require` has; `import` of a chunk;
 *   and what was compiled ahead and used.
 */
export function makeRequire(read, needs, ahead = {}) {
  const functions = new Map();
  const modules = new Map();
  const builtins = new Map();
  const decoder = new TextDecoder("latin1");
  const [large] = Object.keys(ahead);
  let Script;

  const gather = (name, names) => {
    if (functions.has(name) || names.has(name)) return names;
    names.add(name);
    for (const need of needs[name] ?? []) gather(need, names);
    return names;
  };

  const takeAhead = (text, filename) => {
    const script = new Script(text, { filename, cachedData: read(`${filename}.ahead`) });
    // Otherwise V8 has compiled the text, as without.
    if (!script.cachedDataRejected) require.taken.push(filename);
    return script.runInThisContext();
  };

  const compile = (name) => {
    const names = [...gather(name, new Set())];
    const chunks = names.map((each) => {
      const bytes = read(each);
      if (bytes !== undefined) return bytes;
      throw new Error(`Cannot load ${each}: this file was built without it`);
    });
    const text = textOf(chunks, decoder);
    const made = Script !== undefined && ahead[name] === names.join(" ")
      ? takeAhead(text, name)
      : (0, eval)(`${text}\n//# sourceURL=${name}`);
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

  require.taken = [];

  // `node:vm` takes 25 ms to load, and then what was compiled ahead, which wins thrice that for a build.
  require.later = async (name) => {
    if (name.slice(2) === large) Script ??= (await import("node:vm")).Script;
    return require(name);
  };

  require.load = async (name) => {
    const found = await import(name);
    builtins.set(name, found);
    return found;
  };
  return require;
}
