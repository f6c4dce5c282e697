// deno-lint-ignore-file no-console
/**
 * A first build of large layers, a rebuild of the same, and one with a single file changed, against `tar` with
 * `crane append`, which does the least any tool could: pack, compress, push. The registry counts the bytes.
 */
import { join } from "node:path";
import { createServer } from "../../registry/server/server.ts";
import { serve } from "../../registry/server/serve.ts";
import { openStore } from "../../registry/store/store.ts";
import { CRANE, goTool } from "../go_tool.ts";
import { peakOf } from "./peak.ts";

const LAYERS = 10;

/** Runs it with `mib` MiB of layers on the executable `wherry`; prints counts before milliseconds. */
export async function benchBuild(
  options: { readonly mib: number; readonly wherry: string },
): Promise<void> {
  const { mib, wherry } = options;
  const root = await Deno.makeTempDir({ prefix: "wherry-bench-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => await Deno.remove(root, { recursive: true }));
  const store = stack.use(await openStore(join(root, "registry")));
  let received = 0;
  let requests = 0;
  const server = createServer(store, {
    locate: (digest) => store.locate(digest),
    onRequest: (entry) => {
      requests++;
      received += entry.kind === "putManifest" ? 0 : entry.bytesIn;
    },
  });
  const listening = stack.use(await serve(server, { listen: { hostname: "127.0.0.1", port: 0 } }));
  const host = listening.url.replace("http://", "");
  await makeInputs(root, mib);
  const counted = async (name: string, act: () => Promise<{ peakKib: number }>) => {
    received = requests = 0;
    const start = performance.now();
    const { peakKib } = await act();
    const ms = performance.now() - start;
    const moved = (received / 2 ** 20).toFixed(1);
    console.log(
      `${name.padEnd(34)} ${String(requests).padStart(4)} requests ${moved.padStart(8)} MiB sent ${
        (peakKib / 1024).toFixed(0).padStart(5)
      } MiB peak ${(ms / 1000).toFixed(2).padStart(7)} s`,
    );
    return ms;
  };
  const build = (name: string) =>
    peakOf(wherry, [
      ...["build", `${host}/${name}`, "--publish", "--quiet", "--store", join(root, "store")],
      ...["--path", join(root, "app"), "--buildpack", join(root, "bp"), "--run-image", "scratch"],
    ]);
  console.log(`\n${mib} MiB in ${LAYERS} layers, registry on loopback, durable (fsync)`);
  const first = await counted("wherry build, first", () => build("app"));
  const again = await counted("wherry build, nothing changed", () => build("app"));
  await Deno.writeTextFile(join(root, "app", "file.txt"), "changed\n");
  await counted("wherry build, one app file changed", () => build("app"));
  const crane = await goTool(CRANE);
  if ("why" in crane) {
    console.log(`skipped: crane: ${crane.why}`);
    return;
  }
  const peer = await counted("tar + crane append", async () => {
    const tars: string[] = [];
    for (let layer = 0; layer < LAYERS; layer++) {
      const tar = join(root, `layer-${layer}.tar`);
      await peakOf("tar", ["cf", tar, "-C", join(root, "bp", "data"), `${layer}`]);
      tars.push("-f", tar);
    }
    return await peakOf(crane.file, [
      "append",
      ...tars,
      "-t",
      `${host}/crane:latest`,
      "--insecure",
    ]);
  });
  console.log(
    `ratio: first build ${(peer / first).toFixed(2)} times as fast as tar + crane append`,
  );
  console.log(
    `ratio: rebuild of the same ${(first / again).toFixed(1)} times as fast as the first build`,
  );
}

/** An app, and a buildpack whose layers are half text and half noise, the same on every machine. */
async function makeInputs(root: string, mib: number): Promise<void> {
  await Deno.mkdir(join(root, "app"));
  await Deno.writeTextFile(join(root, "app", "file.txt"), "app\n");
  await Deno.mkdir(join(root, "bp", "bin"), { recursive: true });
  await Deno.writeTextFile(
    join(root, "bp", "buildpack.toml"),
    'api = "0.10"\n[buildpack]\nid = "bench/layers"\nversion = "1"\n[[targets]]\nos = "linux"\n',
  );
  const script = async (name: string, text: string) => {
    await Deno.writeTextFile(join(root, "bp", "bin", name), `#!/bin/sh\nset -e\n${text}`);
    await Deno.chmod(join(root, "bp", "bin", name), 0o755);
  };
  await script("detect", "exit 0\n");
  await script(
    "build",
    'for dir in "$CNB_BUILDPACK_DIR"/data/*; do\n' +
      '  name=layer-${dir##*/}\n  cp -r "$dir" "$CNB_LAYERS_DIR/$name"\n' +
      '  printf "[types]\\nlaunch = true\\n" >"$CNB_LAYERS_DIR/$name.toml"\ndone\n',
  );
  let state = 1;
  const next = () => (state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0) >>> 0;
  const words = Array.from({ length: 2000 }, () => next().toString(36));
  const perLayer = Math.max(2, Math.round(mib / LAYERS));
  for (let layer = 0; layer < LAYERS; layer++) {
    const dir = join(root, "bp", "data", `${layer}`);
    await Deno.mkdir(dir, { recursive: true });
    for (let piece = 0; piece < perLayer; piece++) {
      const bytes = new Uint8Array(2 ** 20);
      if (piece % 2 === 0) {
        const view = new Uint32Array(bytes.buffer);
        for (let at = 0; at < view.length; at++) view[at] = next();
      } else {
        const encoder = new TextEncoder();
        for (let at = 0; at < bytes.length;) {
          at +=
            encoder.encodeInto(`${words[next() % words.length]} `, bytes.subarray(at)).written || 1;
        }
      }
      await Deno.writeFile(join(dir, `${piece}`), bytes);
    }
  }
}
