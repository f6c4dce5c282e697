/** An app image that names hosts for whoever rebases it to visit. */
import { deepEqual, equal } from "node:assert/strict";
import { quirkServer } from "../../registry/client/quirk_testing.ts";
import { makeImage, pushImage } from "../../registry/image.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { createServer } from "../../registry/server/server.ts";
import { serve } from "../../registry/server/serve.ts";
import { bytesSource } from "../../registry/source.ts";
import { failureOf } from "../../cli/exit.ts";
import { run } from "../../cli/run.ts";
import { tempDir } from "../../registry/temp_testing.ts";

Deno.test("M-10 with a run image given, a rebase visits no host that only the image names", async () => {
  await using evil = quirkServer(() => new Response(null, { status: 404 }));
  const registry = memoryRegistry();
  const layer = (text: string) => {
    const bytes = new TextEncoder().encode(text);
    const digest = digestOf(bytes);
    return {
      diffId: digest,
      descriptor: { mediaType: MediaType.ociLayer, digest, size: bytes.byteLength },
      blob: () => Promise.resolve(bytesSource(bytes)),
    };
  };
  const config = { os: "linux", architecture: "amd64" };
  const rootfs = { type: "layers" as const, diff_ids: [] };
  const [old, base, app] = [layer("old base"), layer("new base"), layer("app")];
  const evilName = `${evil.host}/run`;
  const label = JSON.stringify({
    runImage: {
      topLayer: old.diffId,
      reference: `${evilName}@sha256:${"1".repeat(64)}`,
      image: `${evilName}:1`,
      mirrors: [`${evilName}:2`],
    },
    stack: { runImage: { image: `${evilName}:1`, mirrors: [] } },
  });
  const labels = {
    "io.buildpacks.lifecycle.metadata": label,
    "io.buildpacks.rebasable": "true",
  };
  const made = makeImage({
    ...config,
    config: { Labels: labels, Env: ["CNB_PLATFORM_API=0.14"] },
    rootfs,
  }, [old, app]);
  await pushImage(made, registry, "app", { tags: ["1"] });
  await pushImage(makeImage({ ...config, config: {}, rootfs }, [base]), registry, "run", {
    tags: ["2"],
  });
  await using server = await serve(createServer(registry), {
    listen: { hostname: "127.0.0.1", port: 0 },
  });
  const { port } = server.address as { readonly port: number };
  const host = `127.0.0.1:${port}`;
  await using temp = await tempDir();
  const home = temp.path;
  let said = "";
  const sink = {
    write: (text: string | Uint8Array) =>
      void (said += typeof text === "string" ? text : new TextDecoder().decode(text)),
    isTerminal: false,
    columns: () => 80,
  };
  const rebase = async (runImage: readonly string[]) =>
    await run({
      args: [
        ...["lifecycle", "rebaser", "-force", ...runImage, "-report", `${home}/report.toml`],
        `${host}/app:1`,
      ],
      env: { HOME: home, PATH: "", CNB_PLATFORM_API: "0.14" },
      cwd: home,
      user: { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 },
      stdout: sink,
      stderr: sink,
      signal: new AbortController().signal,
    }).catch((error) => failureOf(error).code);
  const code = await rebase(["-run-image", `${host}/run:2`]);
  deepEqual(evil.calls(), [], said);
  equal(code ?? 0, 0, said);
});
