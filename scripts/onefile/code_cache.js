// Run by `code_cache.ts` under the very Deno the executable carries: compiles the bundle, runs it as a user would
// with each command line of Deno.args[2], and writes V8's code cache with the functions that were compiled.
const [bundlePath, cachePath, warmUps] = Deno.args;
const { Script } = process.getBuiltinModule("node:vm");
const source = process.getBuiltinModule("node:buffer").Buffer.from(Deno.readFileSync(bundlePath))
  .latin1Slice();
const script = new Script(source, { filename: "wherry.js" });
const main = script.runInThisContext();

let ended = () => {};
Deno.exit = (code) => {
  ended(code);
  return new Promise(() => {});
};
const write = { value: (bytes) => bytes.length };
Object.defineProperty(Deno.stdout, "writeSync", write);
for (const args of JSON.parse(warmUps)) {
  Object.defineProperty(Deno, "args", { value: args, configurable: true });
  const code = await new Promise((resolve) => {
    ended = resolve;
    main((name) => process.getBuiltinModule(name));
  });
  if (code !== 0) throw new Error(`Cannot warm up with ${args.join(" ")}: exit code ${code}`);
}
const cache = script.createCachedData();
const check = new Script(source, { filename: "wherry.js", cachedData: cache });
if (check.cachedDataRejected !== false) throw new Error("Cannot use the code cache: V8 rejects it");
Deno.writeFileSync(cachePath, cache);
