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

const HELLO = ["--path", `${EXAMPLES}/hello`, "-b", `${EXAMPLES}/buildpacks/hello`];

Deno.test("version, help, ls, inspect, a bill of materials and a whole rebuild go without Deno's Node layer", async () => {
  await using scene = await makeScene();
  const image = await scene.ok(["build", "hello", ...HELLO, "--run-image", "scratch"]);
  assert.match(image, /^hello/);
  const parts = `${scene.dir}/parts`;
  const line = await tool("env", [`WHERRY_UNPACK=${parts}`, WHERRY]);
  const entry = `${parts}/entry.js`;
  await Deno.writeTextFile(entry, WATCH + await Deno.readTextFile(entry));

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
  const again = await run("build", "hello", ...HELLO, "--run-image", "scratch", "-o", "json");
  assert.match(again, /"how": "reused"/);

  await Deno.writeTextFile(entry, `${WATCH}process.pid;\n`);
  await assert.rejects(run("version"), /NODE LAYER/, "the watch sees what it is there for");
});
