// The script Deno runs in dist/wherry, from a memory file. `scripts/onefile/entry.ts` puts the places in.
//
// It must stay tiny: Deno parses it with its TypeScript compiler on every start. The program itself is the
// bundle, compiled from V8's code cache. Both are read from the executable, which is /proc/self/exe.
const places = "@PLACES@";
const hidden = "WHERRY__HIDDEN_";
const stubbed = Deno.env.get("WHERRY__ARGV0");
// Without the stub (the parts were unpacked and run by hand) the parts are in WHERRY_FILE and beside us.
const exe = stubbed === undefined ? Deno.env.get("WHERRY_FILE") : "/proc/self/exe";
const here = Deno.mainModule.slice(7, Deno.mainModule.lastIndexOf("/"));

// Variables that would have steered the loader, Deno or Node were hidden by the stub. Those that mean something
// to other programs are put back for children; those that Deno reads late are only kept in `environment`.
const environment = Deno.env.toObject();
for (const name of Object.keys(environment)) {
  if (name.startsWith(hidden)) {
    const original = name.slice(hidden.length);
    environment[original] = environment[name];
    Deno.env.delete(name);
    if (!/^(DENO|OTEL|NODE_CHANNEL)_/.test(original)) Deno.env.set(original, environment[name]);
    delete environment[name];
  }
}
for (const name of ["DENO_DIR", "DENO_NO_UPDATE_CHECK", "WHERRY__ARGV0", "WHERRY_FILE"]) {
  if (environment[name] === Deno.env.get(name)) delete environment[name];
  Deno.env.delete(name);
}

const read = (name) => {
  const [offset, size] = places[name];
  const bytes = new Uint8Array(size);
  const file = Deno.openSync(exe);
  file.seekSync(offset, 0);
  for (let at = 0; at < size;) at += file.readSync(bytes.subarray(at)) ?? size;
  file.close();
  return bytes;
};

const builtin = (name) => {
  const found = process.getBuiltinModule(name);
  if (found === undefined) throw new Error(`Cannot load ${name}: it is not built into Deno`);
  return found;
};

globalThis.__wherry = {
  exe,
  argv0: stubbed ?? "wherry",
  environment,
  assets: places,
  helper: stubbed === undefined ? here + "/helper" : "/proc/self/fd/@HELPER@",
  // A worker has no import.meta of its own to find its code by: one line that reads it from the executable.
  workerUrl(name) {
    const [offset, size] = places[name + "_worker.js"];
    return "data:text/javascript," + encodeURIComponent(
      `const s=new Uint8Array(${size}),f=Deno.openSync(${
        JSON.stringify(exe)
      });f.seekSync(${offset},0);` +
        `for(let a=0;a<${size};)a+=f.readSync(s.subarray(a))??${size};f.close();` +
        `(0,eval)(new TextDecoder("latin1").decode(s))(process.getBuiltinModule)`,
    );
  },
};

const { Script } = builtin("node:vm");
const { Buffer } = builtin("node:buffer");
// The bundle is ASCII: one byte per character in V8, no decoding.
const source = read("bundle.js");
new Script(Buffer.from(source.buffer).latin1Slice(), {
  filename: "wherry.js",
  cachedData: places["bundle.cache"] && Buffer.from(read("bundle.cache").buffer),
}).runInThisContext()(builtin);
