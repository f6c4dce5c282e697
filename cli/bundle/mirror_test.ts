/** A bundle among the endpoints of a mirror: images by their own names, with nobody to ask. */
import { deepEqual, equal, match } from "node:assert/strict";
import { makeImage, pushImage } from "../../registry/image.ts";
import { filesLayer } from "../../registry/layer/fixed_layers.ts";
import { writeLayer } from "../../registry/layer/write_layer.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { bytesSource } from "../../registry/source.ts";
import { serve } from "../../registry/server/serve.ts";
import { createServer } from "../../registry/server/server.ts";
import { makeShell } from "../shell_testing.ts";

Deno.test("C-MIRROR endpoints = [bundle:FILE]: read by name, offline too; away, the next place is asked", async () => {
  await using shell = await makeShell();
  const registry = memoryRegistry();
  const requests: string[] = [];
  const server = createServer(registry, {
    onRequest: ({ method, path }) => requests.push(`${method} ${path}`),
  });
  const listening = await serve(server, { listen: { hostname: "127.0.0.1", port: 0 } });
  await using _ = { [Symbol.asyncDispose]: () => listening.shutdown() };
  const host = listening.url.replace("http://", "");
  const chunks: Uint8Array[] = [];
  const files = new Map([["/file", new TextEncoder().encode("text")]]);
  const { diffId, descriptor } = await writeLayer(
    filesLayer(files, { owner: { uid: 0, gid: 0 } }),
    { write: (chunk) => Promise.resolve(void chunks.push(chunk.slice())) },
  );
  const bytes = new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
  const image = makeImage(
    {
      os: "linux",
      architecture: "amd64",
      config: {},
      rootfs: { type: "layers", diff_ids: [] },
    },
    [{ diffId, descriptor, blob: () => Promise.resolve(bytesSource(bytes)) }],
  );
  await pushImage(image, registry, "team/run", { tags: ["1"] });
  await shell.ok("bundle", "create", "out.tar", "--run-image", `${host}/team/run:1`);
  const mirrors = ["config", "registry-mirrors"] as const;
  await shell.ok(...mirrors, "add", host, "--mirror", "bundle:out.tar");
  equal(
    await shell.ok(...mirrors, "explain", `${host}/team/run:1`),
    `bundle:${shell.dir}/out.tar\n${host}/team/run:1\n`,
  );

  requests.length = 0;
  for (const [at, flags] of [[], ["--offline"]].entries()) {
    const out = await shell.ok("copy", `${host}/team/run:1`, `oci:copy${at}`, ...flags);
    match(out, new RegExp(`${image.raw.digest}\n$`));
  }
  deepEqual(requests, [], "the registry itself is not asked for what the bundle has");
  // What the bundle has not, the place itself may have.
  await pushImage(image, registry, "team/other", { tags: ["1"] });
  await shell.ok("copy", `${host}/team/other:1`, "oci:other");
  equal(requests.length > 0, true);

  await shell.ok(...mirrors, "add", "gone.test", "--mirror", "bundle:out.tar", "--no-fallback");
  const absent = await shell.wherry("inspect", "gone.test/absent:1");
  equal(
    absent.err,
    `ERROR: Cannot find gone.test/absent:1: the store has none, bundle:${shell.dir}/out.tar has none\n`,
  );

  // A medium that was taken out: said once, and the next place is asked; offline there is none.
  await Deno.rename(`${shell.dir}/out.tar`, `${shell.dir}/away.tar`);
  const away = await shell.wherry("copy", `${host}/team/run:1`, "oci:away");
  equal(away.code, 0, away.err);
  match(away.err, /Mirror bundle:\S+out.tar does not serve: .*out.tar/);
  const offline = await shell.wherry("copy", `${host}/team/run:1`, "oci:off", "--offline");
  equal(offline.code !== 0, true);
  match(offline.err, /ERROR: .*(offline|--offline)/);
});
