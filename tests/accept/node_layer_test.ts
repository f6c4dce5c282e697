/** Deno's Node layer takes longer to load than Deno takes to start: commands that do little go without. */
import assert from "node:assert/strict";
import { EXAMPLES, makeScene, tool, WHERRY } from "./wherry_testing.ts";

/** Says so when the layer is loaded, with where. */
const WATCH = `
const real = Object.getOwnPropertyDescriptor(globalThis, "process");
Object.defineProperty(globalThis, "process", {
  configurable: true,
  get() {
    Object.defineProperty(globalThis, "process", real);
    Deno.stderr.writeSync(new TextEncoder().encode("NODE LAYER " + new Error().stack + "\\n"));
    return globalThis.process;
  },
});
`;

/** Says in the end which chunks were compiled ahead, and V8 took them. */
const TOLD = `;
globalThis.addEventListener("unload", () => {
  for (const name of __wherry.taken) Deno.stdout.writeSync(new TextEncoder().encode(name + " taken\\n"));
});
`;

const HELLO = ["--path", `${EXAMPLES}/hello`, "-b", `${EXAMPLES}/buildpacks/hello`];

Deno.test("version, help, ls, inspect, a bill of materials and a whole rebuild go without Deno's Node layer", async () => {
  await using scene = await makeScene();
  const image = await scene.ok(["build", "hello", ...HELLO, "--run-image", "scratch"]);
  assert.match(image, /^hello/);
  const parts = `${scene.dir}/parts`;
  const line = await tool("env", [`WHERRY_UNPACK=${parts}`, WHERRY]);
  const entry = `${parts}/entry.js`;
  const plain = await Deno.readTextFile(entry);
  // What a build has compiled ahead is taken through `node:vm`, which brings no layer in the executable (light_vm_test.ts), but
  // does in the Deno that is unpacked. All else has to go without.
  const vm = /import\("node:vm"\)/;
  assert.match(plain, vm);
  await Deno.writeTextFile(entry, WATCH + plain.replace(vm, "({})"));

  const run = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await new Deno.Command("sh", {
      args: ["-c", `exec ${line.trim()} "$@"`, "sh", ...args],
      env: { HOME: scene.home, WHERRY_STORE: scene.store },
      cwd: scene.dir,
    }).output();
    const said = new TextDecoder().decode(stderr);
    assert.equal(code, 0, said);
    assert.doesNotMatch(said, /NODE LAYER/, `${args.join(" ")}: ${said}`);
    return new TextDecoder().decode(stdout);
  };
  await run("version");
  await run("--help");
  assert.match(await run("ls"), /hello/);
  await run("inspect", "store:hello");
  await run("sbom", "show", "store:hello");
  const build = ["build", "hello", ...HELLO, "--run-image", "scratch", "-o", "json"];
  assert.match(await run(...build), /"how": "reused"/);

  if (Deno.build.arch === "x86_64") {
    await Deno.writeTextFile(entry, plain + TOLD);
    const taken = new Set((await run(...build)).match(/[a-z_]+(?=-[A-Z0-9]{8}\.js taken)/g));
    assert.deepEqual(taken, new Set(["build_app", "store", "open_builder"]));
  }

  await Deno.writeTextFile(entry, `${WATCH}process.pid;\n`);
  await assert.rejects(run("version"), /NODE LAYER/, "the watch sees what it is there for");
});
