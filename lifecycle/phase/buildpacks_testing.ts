/** Buildpacks written as shell in a temporary directory, and inputs to run them with. For tests only. */
import { type BuildpackDescriptor, parseBuildpackToml } from "../file/buildpack_toml.ts";
import { type ExtensionDescriptor, parseExtensionToml } from "../file/extension_toml.ts";
import { plainExecutor } from "../sandbox/plain_testing.ts";
import type { Dir } from "../sandbox/executor.ts";
import { type Context, quietContext } from "../../registry/context.ts";
import type {
  Buildpack,
  BuildpackInput,
  BuildpackStore,
  Extension,
  ExtensionStore,
} from "./detect_types.ts";

/** A place for one test: an app, layers, a platform, buildpacks. */
export class Bench implements AsyncDisposable {
  /** All is below it. */
  readonly base: string;
  /** What was logged, as `level: line`. */
  readonly lines: string[] = [];
  readonly #buildpacks: Buildpack[] = [];
  readonly #extensions: Extension[] = [];

  private constructor(base: string) {
    this.base = base;
  }

  /** Makes the directories. */
  static async make(): Promise<Bench> {
    const base = await Deno.makeTempDir({ prefix: "wherry-bench-" });
    for (const name of ["app", "layers", "platform/env", "config/env", "tmp", "buildpacks"]) {
      await Deno.mkdir(`${base}/${name}`, { recursive: true });
    }
    return new Bench(base);
  }

  /** Removes all. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.base, { recursive: true });
  }

  /** A directory of the bench; buildpacks see it under the same path. */
  dir(name: string): Dir {
    return { inside: `${this.base}/${name}`, outside: `${this.base}/${name}` };
  }

  /** Adds a buildpack. `detect` and `build` are shell; without `detect` there is no such file. */
  async add(
    id: string,
    options: {
      readonly version?: string;
      readonly api?: string;
      readonly detect?: string;
      readonly build?: string;
      /** More of `buildpack.toml`: keys of `[buildpack]` first, then other tables. */
      readonly toml?: string;
    } = {},
  ): Promise<BuildpackDescriptor> {
    const version = options.version ?? "1";
    const name = `buildpacks/${id.replaceAll("/", "_")}/${version}`;
    await Deno.mkdir(`${this.base}/${name}/bin`, { recursive: true });
    const source = `api = "${options.api ?? "0.10"}"\n[buildpack]\nid = "${id}"\n` +
      `version = "${version}"\n${options.toml ?? ""}`;
    await Deno.writeTextFile(`${this.base}/${name}/buildpack.toml`, source);
    for (const program of ["detect", "build"] as const) {
      const script = options[program];
      if (script === undefined) continue;
      const text = `#!/usr/bin/env bash\nset -eu\n${script}\n`;
      await Deno.writeTextFile(`${this.base}/${name}/bin/${program}`, text, { mode: 0o755 });
    }
    const descriptor = parseBuildpackToml(source, `${name}/buildpack.toml`);
    this.#buildpacks.push({ descriptor, dir: this.dir(name) });
    return descriptor;
  }

  /** Adds an image extension. `detect` and `generate` are shell; `files` lie beside `extension.toml`. */
  async addExtension(
    id: string,
    options: {
      readonly version?: string;
      readonly api?: string;
      readonly detect?: string;
      readonly generate?: string;
      readonly files?: Readonly<Record<string, string>>;
      /** More of `extension.toml`: keys of `[extension]` first, then other tables. */
      readonly toml?: string;
    } = {},
  ): Promise<ExtensionDescriptor> {
    const version = options.version ?? "1";
    const name = `extensions/${id.replaceAll("/", "_")}/${version}`;
    await Deno.mkdir(`${this.base}/${name}`, { recursive: true });
    const source = `api = "${options.api ?? "0.10"}"\n[extension]\nid = "${id}"\n` +
      `version = "${version}"\n${options.toml ?? ""}`;
    const { detect, generate } = options;
    const script = (text: string) => `#!/usr/bin/env bash\nset -eu\n${text}\n`;
    const files = {
      "extension.toml": source,
      ...(detect === undefined ? {} : { "bin/detect": script(detect) }),
      ...(generate === undefined ? {} : { "bin/generate": script(generate) }),
      ...options.files,
    };
    for (const [file, text] of Object.entries(files)) {
      const path = `${this.base}/${name}/${file}`;
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(path, text, { mode: 0o755 });
    }
    const descriptor = parseExtensionToml(source, `${name}/extension.toml`);
    this.#extensions.push({ descriptor, dir: this.dir(name) });
    return descriptor;
  }

  /** All extensions that were added. */
  get extensionStore(): ExtensionStore {
    return {
      find: (id, version) =>
        this.#extensions.findLast(({ descriptor }) =>
          descriptor.id === id && (!version || descriptor.version === version)
        ),
    };
  }

  /** All that was added. */
  get store(): BuildpackStore {
    return {
      find: (id, version) =>
        this.#buildpacks.findLast(({ descriptor }) =>
          descriptor.id === id && (!version || descriptor.version === version)
        ),
    };
  }

  /** What detect and build have in common. */
  input(changes: Partial<BuildpackInput> = {}): BuildpackInput {
    return {
      platformApi: "0.15",
      store: this.store,
      extensionStore: this.extensionStore,
      executor: plainExecutor(),
      appDir: this.dir("app"),
      layersDir: this.dir("layers"),
      platformDir: this.dir("platform"),
      buildConfigDir: this.dir("config"),
      tempDir: this.dir("tmp"),
      env: { PATH: "/usr/local/bin:/usr/bin:/bin", SECRET: "never" },
      execEnv: "production",
      target: {
        id: "",
        os: "linux",
        arch: "amd64",
        variant: "",
        distro: { name: "debian", version: "12" },
      },
      ...changes,
    };
  }

  /** A context that remembers what is logged. */
  context(signal?: AbortSignal): Context {
    const keep = (level: string) => (line: string) => void this.lines.push(`${level}: ${line}`);
    return quietContext({
      log: { debug: keep("debug"), info: keep("info"), warn: keep("warn"), error: keep("error") },
      ...(signal ? { signal } : {}),
    });
  }

  /** The text of a file below the bench. */
  read(path: string): Promise<string> {
    return Deno.readTextFile(`${this.base}/${path}`);
  }

  /** Names below a directory of the bench, sorted. */
  names(path: string): string[] {
    return [...Deno.readDirSync(`${this.base}/${path}`)].map(({ name }) => name).sort();
  }
}
