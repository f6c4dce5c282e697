// How the program's chunks find each other: CommonJS over runs of bytes. Part of the entry script and of the
// script that makes code caches, so that both compile the very same text in the same way.

/**
 * @param {(name: string) => Uint8Array<ArrayBuffer> | undefined} read Returns the bytes of a part, or undefined when there is none.
 * @param {(name: string, script: unknown) => void} [onScript] Told of every compiled `vm.Script`, whose chunks then
 * never go without one.
 * @returns {{ require: (name: string) => any, rejected: string[] }} `require`, and the names of chunks whose code cache V8 did not take.
 */
export function makeRequire(read, onScript) {
  const rejected = [];
  const chunks = new Map();
  let vm;
  let nodeIsLoaded = false;

  const builtin = (name) => {
    nodeIsLoaded = true;
    const found = process.getBuiltinModule(name);
    if (found === undefined) throw new Error(`Cannot load ${name}: it is not built into Deno`);
    return found;
  };

  // Deno's Node layer costs more to load than a small chunk costs to compile, so that `wherry version` goes
  // without it; once it is there, V8's code cache is cheaper.
  const compile = (name) => {
    const bytes = read(name);
    if (bytes === undefined) throw new Error(`Cannot load ${name}: this file was built without it`);
    if (!nodeIsLoaded && !onScript && bytes.length <= 131072) {
      return (0, eval)(new TextDecoder("latin1").decode(bytes) + "\n//# sourceURL=" + name);
    }
    vm ??= builtin("node:vm");
    const { Buffer } = builtin("node:buffer");
    const cache = read(name + ".cache");
    // Chunks are ASCII: one byte per character in V8, nothing to decode.
    const script = new vm.Script(Buffer.from(bytes.buffer).latin1Slice(), {
      filename: name,
      cachedData: cache && Buffer.from(cache.buffer),
    });
    if (script.cachedDataRejected) rejected.push(name);
    onScript?.(name, script);
    return script.runInThisContext();
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
  return { require, rejected };
}
