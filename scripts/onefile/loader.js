// How the program's chunks find each other: CommonJS over runs of bytes. Part of the entry script.

/**
 * @param {(name: string) => Uint8Array<ArrayBuffer> | undefined} read Returns the bytes of a part, or undefined when there is none.
 * @returns {(name: string) => any} `require`.
 */
export function makeRequire(read) {
  const chunks = new Map();

  const builtin = (name) => {
    const found = process.getBuiltinModule(name);
    if (found === undefined) throw new Error(`Cannot load ${name}: it is not built into Deno`);
    return found;
  };

  const compile = (name) => {
    const bytes = read(name);
    if (bytes === undefined) throw new Error(`Cannot load ${name}: this file was built without it`);
    // Chunks are ASCII: one byte per character in V8, nothing to decode.
    return (0, eval)(new TextDecoder("latin1").decode(bytes) + "\n//# sourceURL=" + name);
  };

  const require = (name) => {
    if (!name.startsWith("./")) return builtin(name);
    const key = name.slice(2);
    let module = chunks.get(key);
    if (module === undefined) {
      const run = compile(key);
      module = { exports: {} };
      chunks.set(key, module);
      run(require, module, module.exports);
    }
    return module.exports;
  };
  return require;
}
