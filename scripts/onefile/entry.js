// The script Deno runs in dist/wherry, from a memory file. `scripts/onefile/entry.ts` puts the places in.
//
// It must stay tiny: Deno parses it with its TypeScript compiler on every start. The program itself is the
// bundle. Both are read from the executable, which is /proc/self/exe.
import { makeRequire } from "./loader.js";

const hidden = "WHERRY__HIDDEN_";
const stubbed = Deno.env.get("WHERRY__ARGV0");
// Without the stub (WHERRY_UNPACK wrote the parts, and someone runs them by hand) the parts are files beside us.
const here = stubbed === undefined
  ? decodeURIComponent(new URL(".", Deno.mainModule).pathname)
  : undefined;
const file = here === undefined ? "/proc/self/exe" : here + "assets";
const opened = Deno.openSync(file);
const readAt = (offset, size) => {
  const bytes = new Uint8Array(size);
  opened.seekSync(offset, 0);
  for (let at = 0; at < size;) at += opened.readSync(bytes.subarray(at)) ?? size;
  return bytes;
};
// Where the part "assets" starts in the executable, and where in it the index stands.
const start = here === undefined ? +"@START@" : 0;
const index = JSON.parse(new TextDecoder().decode(readAt(start + +"@INDEX@", +"@INDEX_SIZE@")));
const { places, needs, ahead } = index;
for (const place of Object.values(places)) place[0] += start;

// What the stub set goes; then variables that would have steered the loader, Deno or Node, and were hidden by the stub,
// come back for children. Those that Deno reads late are only kept in `environment`.
const environment = Deno.env.toObject();
const settings = ["DENO_DIR", "DENO_LOG", "DENO_NO_UPDATE_CHECK"];
if (here === undefined) settings.push("HOME", "WHERRY__ARGV0");
for (const name of settings) {
  delete environment[name];
  Deno.env.delete(name);
}
for (const [name, value] of Object.entries(environment)) {
  if (!name.startsWith(hidden)) continue;
  const original = name.slice(hidden.length);
  delete environment[name];
  environment[original] = value;
  Deno.env.delete(name);
  if (!/^(DENO|OTEL|NODE_CHANNEL)_/.test(original)) Deno.env.set(original, value);
}

const read = (name) => places[name] === undefined ? undefined : readAt(...places[name]);

const require = makeRequire(read, needs, ahead);

const hash = here === undefined ? "/proc/self/fd/@HASH@" : here + "hash.so";

globalThis.__wherry = {
  file,
  argv0: stubbed ?? "wherry",
  environment,
  assets: places,
  helper: here === undefined ? "/proc/self/fd/@HELPER@" : here + "helper",
  hash,
  taken: require.taken,
  // A worker has no import.meta of its own to find its code by: one line that reads it from the executable. Of what is here it
  // has the library that hashes.
  workerUrl(name) {
    const [offset, size] = places[name + "_worker.js"];
    return "data:text/javascript," + encodeURIComponent(
      `const s=new Uint8Array(${size}),f=Deno.openSync(${
        JSON.stringify(file)
      });f.seekSync(${offset},0);` +
        `for(let a=0;a<${size};)a+=f.readSync(s.subarray(a))??${size};f.close();` +
        `globalThis.__wherry={hash:${JSON.stringify(hash)}};` +
        `const r=n=>process.getBuiltinModule(n);r.load=async n=>r(n);` +
        `(0,eval)(new TextDecoder("latin1").decode(s))(r,{},{},process)`,
    );
  },
};

require("./main.js");
