/**
 * Phases in this process, against our own server. The process pretends to be user 1000; buildpacks run as whoever runs
 * the tests.
 */
import { ok, strictEqual } from "node:assert/strict";
import type { PhaseName } from "../../cli/lifecycle/inputs_table.ts";
import { runPhase } from "../../cli/lifecycle/run_lifecycle.ts";
import { connectRegistry } from "../../registry/client/client.ts";
import { type Image, readImage } from "../../registry/image.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { serve } from "../../registry/server/serve.ts";
import { createServer } from "../../registry/server/server.ts";
import { pushRunImage } from "../oracle/run_image.ts";

/** A registry, a buildpack and an app, and phases that run in this process. */
export interface Scene extends AsyncDisposable {
  readonly host: string;
  readonly root: string;
  /** Runs a phase; its exit code and all it said. */
  phase(
    name: PhaseName,
    words: readonly string[],
    env?: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<{ readonly code: number; readonly text: string }>;
  image(name: string): Promise<Image | undefined>;
}

const SERVER = { listen: { hostname: "127.0.0.1", port: 0 } };

/** A new scene; `detect` and `build` are shell. */
export async function scene(
  platformApi: string,
  detect = "exit 0",
  build = "exit 0",
): Promise<Scene> {
  const stack = new AsyncDisposableStack();
  const listening = stack.use(await serve(createServer(memoryRegistry()), SERVER));
  const { address } = listening;
  ok("port" in address);
  const host = `127.0.0.1:${address.port}`;
  const registry = stack.use(connectRegistry(host));
  await pushRunImage(host);
  const root = await Deno.makeTempDir({ prefix: "wherry-phases-" });
  stack.defer(() => Deno.remove(root, { recursive: true }));
  for (const name of ["layers", "app", "platform/env", "cache", "bps/some_bp/1/bin"]) {
    await Deno.mkdir(`${root}/${name}`, { recursive: true });
  }
  const bp = `${root}/bps/some_bp/1`;
  const toml = 'api = "0.7"\n[buildpack]\nid = "some/bp"\nversion = "1"\n[[stacks]]\nid = "*"\n';
  await Deno.writeTextFile(`${bp}/buildpack.toml`, toml);
  await Deno.writeTextFile(`${bp}/bin/detect`, `#!/bin/sh\n${detect}\n`, { mode: 0o755 });
  await Deno.writeTextFile(`${bp}/bin/build`, `#!/bin/sh\n${build}\n`, { mode: 0o755 });
  const order = '[[order]]\n[[order.group]]\nid = "some/bp"\nversion = "1"\n';
  await Deno.writeTextFile(`${root}/order.toml`, order);
  const run = `image = "${host}/run:base"\nmirrors = ["mirror.example/run:base"]\n`;
  await Deno.writeTextFile(`${root}/run.toml`, `[[images]]\n${run}`);
  await Deno.writeTextFile(`${root}/stack.toml`, `[run-image]\n${run}`);
  await Deno.writeTextFile(`${root}/app/file`, "app");
  await Deno.writeTextFile(`${root}/launcher`, "launcher");
  return {
    host,
    root,
    async phase(name, words, env = {}, signal = new AbortController().signal) {
      let text = "";
      const sink = {
        write: (chunk: string | Uint8Array) => {
          text += typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk);
        },
        isTerminal: false,
        columns: () => 80,
      };
      const code = await runPhase(
        {
          args: [],
          env: {
            PATH: "/usr/bin:/bin",
            CNB_PLATFORM_API: platformApi,
            CNB_NO_COLOR: "1",
            CNB_USER_ID: "1000",
            CNB_GROUP_ID: "1000",
            CNB_LAYERS_DIR: `${root}/layers`,
            CNB_APP_DIR: `${root}/app`,
            CNB_PLATFORM_DIR: `${root}/platform`,
            CNB_BUILDPACKS_DIR: `${root}/bps`,
            CNB_BUILD_CONFIG_DIR: `${root}/build-config`,
            CNB_ORDER_PATH: `${root}/order.toml`,
            CNB_RUN_PATH: `${root}/run.toml`,
            CNB_STACK_PATH: `${root}/stack.toml`,
            ...env,
          },
          cwd: "/",
          user: { uid: 1000, gid: 1000 },
          stdout: sink,
          stderr: sink,
          signal,
        },
        name,
        words,
      );
      return { code, text };
    },
    async image(name) {
      return await readImage(registry, name, "latest", { os: "linux", architecture: "amd64" });
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** The five phases; what they said. */
export async function buildAll(at: Scene, more: readonly string[] = []): Promise<string> {
  const { host, root } = at;
  const launcher = `-launcher=${root}/launcher`;
  let said = "";
  const steps: [PhaseName, readonly string[]][] = [
    ["analyze", [`${host}/app`]],
    ["detect", []],
    ["restore", [`-cache-dir=${root}/cache`]],
    ["build", []],
    ["export", [`-cache-dir=${root}/cache`, launcher, ...more, `${host}/app`]],
  ];
  for (const [name, words] of steps) {
    const { code, text } = await at.phase(name, words);
    strictEqual(code, 0, `${name}: ${text}`);
    said += text;
  }
  return said;
}

/** Adds a buildpack to `at`, or replaces one; `detect` and `build` are shell, left out there is no such file. */
export async function addBuildpack(
  { root }: Scene,
  id: string,
  more: {
    readonly version?: string;
    readonly api?: string;
    /** Keys of `[buildpack]`, then other tables. Default: any target. */
    readonly toml?: string;
    readonly detect?: string | undefined;
    readonly build?: string | undefined;
  } = {},
): Promise<void> {
  const { version = "1", api = "0.10", toml = '[[targets]]\nos = "linux"\n' } = more;
  const dir = `${root}/bps/${id.replaceAll("/", "_")}/${version}`;
  await Deno.mkdir(`${dir}/bin`, { recursive: true });
  const head = `api = "${api}"\n[buildpack]\nid = "${id}"\nversion = "${version}"\n`;
  await Deno.writeTextFile(`${dir}/buildpack.toml`, head + toml);
  const scripts = { detect: "exit 0", build: "exit 0", ...more };
  for (const name of ["detect", "build"] as const) {
    const script = scripts[name];
    if (script === undefined) continue;
    await Deno.writeTextFile(`${dir}/bin/${name}`, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
}

/** Writes `order.toml`: each group is words `id@version`, with a trailing `?` when optional. */
export async function setOrder({ root }: Scene, ...groups: readonly string[]): Promise<void> {
  const text = groups.map((group) =>
    "[[order]]\n" + group.split(" ").map((word) => {
      const [id, version = "1"] = word.replace("?", "").split("@");
      const optional = word.endsWith("?") ? "optional = true\n" : "";
      return `[[order.group]]\nid = "${id}"\nversion = "${version}"\n${optional}`;
    }).join("")
  );
  await Deno.writeTextFile(`${root}/order.toml`, text.join(""));
}
