// Run by `code_cache.ts` under the very Deno the executable carries, with a folder that holds the chunks: runs the program
// as a user would with each command line of Deno.args[1], then writes V8's code cache of every chunk that was loaded, with
// the functions that were compiled on the way.
import { makeRequire } from "./loader.js";

const [folder, warmUps] = Deno.args;
const read = (name) => name.endsWith(".cache") ? undefined : Deno.readFileSync(`${folder}/${name}`);
let ended = () => {};
Deno.exit = (code) => {
  ended(code);
  return new Promise(() => {});
};
for (const file of [Deno.stdout, Deno.stderr]) {
  Object.defineProperty(file, "writeSync", { value: (bytes) => bytes.length });
}
const kept = new Map();
for (const args of JSON.parse(warmUps)) {
  Object.defineProperty(Deno, "args", { value: args, configurable: true });
  const code = await new Promise((resolve) => {
    ended = resolve;
    // A second compilation of the same text shares its functions with the first: V8's compilation cache.
    makeRequire(read, (name, script) => kept.set(name, script)).require("./main.js");
  });
  if (code !== 0) throw new Error(`Cannot warm up with ${args.join(" ")}: exit code ${code}`);
}
const { Script } = process.getBuiltinModule("node:vm");
const { Buffer } = process.getBuiltinModule("node:buffer");
for (const [name, script] of kept) {
  const cachedData = script.createCachedData();
  const source = Buffer.from(read(name)).latin1Slice();
  const check = new Script(source, { filename: name, cachedData });
  if (check.cachedDataRejected !== false) {
    throw new Error("Cannot use the code cache: V8 rejects it");
  }
  Deno.writeFileSync(`${folder}/${name}.cache`, cachedData);
}
