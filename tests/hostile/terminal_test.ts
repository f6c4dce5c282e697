/** Images whose every text is written for a terminal that obeys. */
import { equal, ok } from "node:assert/strict";
import { createServer } from "../../registry/server/server.ts";
import { serve } from "../../registry/server/serve.ts";
import { makeImage, pushImage } from "../../registry/image.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { ESCAPES, userOf } from "./registry_testing.ts";

// deno-lint-ignore no-control-regex
const OBEYED = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]/;

const LABELS = {
  "io.buildpacks.lifecycle.metadata": JSON.stringify({
    app: [{ sha: ESCAPES }],
    buildpacks: [{ key: ESCAPES, version: ESCAPES, layers: { [ESCAPES]: { sha: ESCAPES } } }],
    runImage: { topLayer: ESCAPES, reference: ESCAPES, image: ESCAPES, mirrors: [ESCAPES] },
    stack: { runImage: { image: ESCAPES, mirrors: [ESCAPES] } },
  }),
  "io.buildpacks.build.metadata": JSON.stringify({
    processes: [{ type: ESCAPES, command: [ESCAPES], args: [ESCAPES], "working-dir": ESCAPES }],
    buildpacks: [{ id: ESCAPES, version: ESCAPES, homepage: ESCAPES }],
    launcher: { version: ESCAPES, source: { git: { repository: ESCAPES, commit: ESCAPES } } },
  }),
  "io.buildpacks.stack.id": ESCAPES,
  "io.buildpacks.rebasable": ESCAPES,
  [ESCAPES]: ESCAPES,
};

Deno.test("N-11 what an image says of itself reaches the terminal without what a terminal obeys", async () => {
  const registry = memoryRegistry();
  const image = makeImage({
    os: "linux",
    architecture: "amd64",
    variant: ESCAPES,
    created: ESCAPES,
    author: ESCAPES,
    config: { Labels: LABELS, Env: [ESCAPES], Cmd: [ESCAPES], User: ESCAPES, WorkingDir: ESCAPES },
    rootfs: { type: "layers", diff_ids: [] },
    history: [{ created_by: ESCAPES, empty_layer: true }],
  }, []);
  await pushImage(image, registry, "app", { tags: ["1"] });
  await using server = await serve(createServer(registry), {
    listen: { hostname: "127.0.0.1", port: 0 },
  });
  const { port } = server.address as { readonly port: number };
  const name = `127.0.0.1:${port}/app:1`;
  await using user = await userOf(name);
  for (
    const args of [
      ["inspect", name],
      ["pull", name, "--verbose"],
      ["inspect", name],
      ["ls"],
      ["copy", name, `oci:${user.home}/layout:x`, "--verbose"],
    ] as const
  ) {
    const { code, said } = await user.run(...args);
    equal(code, 0, said);
    if (args[0] === "inspect") ok(said.includes("title"), "the texts are shown");
    ok(!OBEYED.test(said), `${args}: ${JSON.stringify(said)}`);
    ok(!/^forged:/m.test(said), `${args}: ${said}`);
  }
});
