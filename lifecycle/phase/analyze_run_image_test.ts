import assert from "node:assert/strict";
import { LifecycleError } from "../error.ts";
import { resolveRunImage, runNamesFor } from "./analyze_run_image.ts";

const names = { image: "hub.example/run", mirrors: ["near.example/run", "far.example/run"] };
const registryOf = (name: string) => name.split("/")[0]!;

/** Resolves with only `readable` names readable; tells what was asked. */
async function resolve(output: string | undefined, readable: readonly string[]) {
  const asked: string[] = [];
  const chosen = await resolveRunImage(names, output, {
    registryOf,
    readable: (name) => {
      asked.push(name);
      return Promise.resolve(readable.includes(name));
    },
  });
  return { chosen, asked };
}

Deno.test("AN-2 a readable mirror on the output's registry wins", async () => {
  assert.deepEqual(await resolve("near.example", ["hub.example/run", "near.example/run"]), {
    chosen: "near.example/run",
    asked: ["near.example/run"],
  });
});

Deno.test("AN-2 else the first readable of all, in order, none asked twice", async () => {
  assert.deepEqual(await resolve("near.example", ["far.example/run"]), {
    chosen: "far.example/run",
    asked: ["near.example/run", "hub.example/run", "far.example/run"],
  });
  assert.deepEqual(await resolve(undefined, ["hub.example/run"]), {
    chosen: "hub.example/run",
    asked: ["hub.example/run"],
  });
});

Deno.test("AN-2 none readable ends with 3 and names all", async () => {
  await assert.rejects(
    resolve("near.example", []),
    (error) =>
      error instanceof LifecycleError && error.exitCode === 3 &&
      error.message ===
        "failed to find accessible run image: tried near.example/run, hub.example/run, far.example/run",
  );
});

Deno.test("VAL-5 no names at all ends with 3", async () => {
  const none = { image: "", mirrors: [] };
  await assert.rejects(
    resolveRunImage(none, undefined, { registryOf, readable: () => Promise.resolve(true) }),
    (error) => error instanceof LifecycleError && error.exitCode === 3,
  );
});

Deno.test("EX-4 the entry of run.toml that holds the run image is the one for the label", () => {
  const other = { image: "hub.example/other", mirrors: [] };
  const images = [other, names];
  const digest = "@sha256:" + "a".repeat(64);
  assert.equal(runNamesFor(images, "far.example/run"), names);
  assert.equal(runNamesFor(images, "hub.example/run" + digest), names);
  assert.equal(runNamesFor(images, "unknown.example/x"), other);
  assert.deepEqual(runNamesFor(images, "unknown.example/x", { extended: true }), {
    image: "unknown.example/x",
    mirrors: [],
  });
  assert.equal(runNamesFor([], "unknown.example/x"), undefined);
  const normalize = (name: string) => name.replace(/^docker\.io\//, "index.docker.io/");
  const hub = { image: "docker.io/a/b:1", mirrors: [] };
  assert.equal(runNamesFor([other, hub], "index.docker.io/a/b:1", { normalize }), hub);
});
