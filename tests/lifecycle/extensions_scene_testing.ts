/** A builder-like directory with image extensions and buildpacks, phases in this process, our own server. */
import { runPhase } from "../../cli/lifecycle/run_lifecycle.ts";
import type { PhaseName } from "../../cli/lifecycle/inputs_table.ts";
import { connectRegistry } from "../../registry/client/client.ts";
import { type Image, readImage } from "../../registry/image.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { createServer } from "../../registry/server/server.ts";
import { serve } from "../../registry/server/serve.ts";
import { pushRunImage } from "../oracle/run_image.ts";

/** What a phase ended with. */
export interface Ended {
  /** Exit code. */
  readonly code: number;
  /** All it said. */
  readonly text: string;
}

/** A scene. */
export interface Scene extends AsyncDisposable {
  /** Of the registry, with `run:base` in it. */
  readonly host: string;
  /** The directory of all. */
  readonly root: string;
  /** Runs a phase. */
  phase(
    name: PhaseName,
    words?: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Promise<Ended>;
  /** Writes a file below the root; a script when it lies in `bin`. */
  put(path: string, text: string): Promise<void>;
  /** Reads a file below the root. */
  read(path: string): Promise<string>;
  /** Reads an image of the registry. */
  image(name: string, tag?: string): Promise<Image | undefined>;
}

/**
 * A scene with the buildpack `bp@1`, which does what `build` says, and the extensions `extensions`: files below the
 * directory of each.
 */
export async function extensionScene(
  extensions: Readonly<Record<string, Readonly<Record<string, string>>>>,
  options: { readonly platformApi?: string; readonly build?: string; readonly detect?: string } =
    {},
): Promise<Scene> {
  const { platformApi = "0.13" } = options;
  const stack = new AsyncDisposableStack();
  const listening = stack.use(
    await serve(createServer(memoryRegistry()), { listen: { hostname: "127.0.0.1", port: 0 } }),
  );
  const { address } = listening;
  if (!("port" in address)) throw new Error("want a port");
  const host = `127.0.0.1:${address.port}`;
  await pushRunImage(host);
  const root = await Deno.makeTempDir({ prefix: "wherry-extensions-" });
  stack.defer(() => Deno.remove(root, { recursive: true }));
  const put = async (path: string, text: string) => {
    const whole = `${root}/${path}`;
    await Deno.mkdir(whole.slice(0, whole.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(whole, path.includes("/bin/") ? `#!/bin/sh\n${text}\n` : text);
    await Deno.chmod(whole, path.includes("/bin/") ? 0o755 : 0o644);
  };
  await Deno.mkdir(`${root}/layers`);
  await Deno.mkdir(`${root}/platform/env`, { recursive: true });
  await put("app/file", "app");
  await put("launcher", "launcher");
  await put("bps/bp/1/buildpack.toml", 'api = "0.10"\n[buildpack]\nid = "bp"\nversion = "1"\n');
  await put("bps/bp/1/bin/detect", options.detect ?? "exit 0");
  await put("bps/bp/1/bin/build", options.build ?? "exit 0");
  let order = '[[order]]\n[[order.group]]\nid = "bp"\nversion = "1"\n';
  if (Object.keys(extensions).length > 0) order += "[[order-extensions]]\n";
  for (const [id, files] of Object.entries(extensions)) {
    order += `[[order-extensions.group]]\nid = "${id}"\nversion = "1"\n`;
    const toml = `api = "0.10"\n[extension]\nid = "${id}"\nversion = "1"\n`;
    for (const [path, text] of Object.entries({ "extension.toml": toml, ...files })) {
      await put(`exts/${id.replaceAll("/", "_")}/1/${path}`, text);
    }
  }
  await put("order.toml", order);
  const run = `image = "${host}/run:base"\nmirrors = ["mirror.example/run:base"]\n`;
  await put("run.toml", `[[images]]\n${run}`);
  await put("stack.toml", `[run-image]\n${run}`);
  return {
    host,
    root,
    put,
    read: (path) => Deno.readTextFile(`${root}/${path}`),
    async phase(name, words = [], env = {}) {
      let text = "";
      const sink = {
        write: (chunk: string | Uint8Array) => {
          text += typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk);
        },
        isTerminal: false,
        columns: () => 80,
      };
      const all: Record<string, string | undefined> = {
        PATH: "/usr/bin:/bin",
        CNB_PLATFORM_API: platformApi,
        CNB_NO_COLOR: "1",
        CNB_USER_ID: "1000",
        CNB_GROUP_ID: "1000",
        CNB_LAYERS_DIR: `${root}/layers`,
        CNB_APP_DIR: `${root}/app`,
        CNB_PLATFORM_DIR: `${root}/platform`,
        CNB_BUILDPACKS_DIR: `${root}/bps`,
        CNB_EXTENSIONS_DIR: `${root}/exts`,
        CNB_BUILD_CONFIG_DIR: `${root}/build-config`,
        CNB_ORDER_PATH: `${root}/order.toml`,
        CNB_RUN_PATH: `${root}/run.toml`,
        CNB_STACK_PATH: `${root}/stack.toml`,
        ...env,
      };
      const code = await runPhase(
        {
          args: [],
          env: Object.fromEntries(
            Object.entries(all).filter((pair): pair is [string, string] => pair[1] !== ""),
          ),
          cwd: "/",
          user: { uid: 1000, gid: 1000 },
          stdout: sink,
          stderr: sink,
          signal: new AbortController().signal,
        },
        name,
        words,
      );
      return { code, text };
    },
    async image(name, tag = "latest") {
      await using registry = connectRegistry(host);
      return await readImage(registry, name, tag, { os: "linux", architecture: "amd64" });
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
