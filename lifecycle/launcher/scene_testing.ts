/** A place to launch in: layers, an application, and the real launcher under any name. */
import { stringify } from "smol-toml";
import { type Arch, compileC, compileVariant } from "../../scripts/compile_c.ts";

/** One entry of `[[processes]]` as our builder writes it. */
export interface ProcessEntry {
  readonly type: string;
  readonly command?: string | readonly string[];
  readonly args?: readonly string[];
  readonly direct?: boolean;
  readonly "buildpack-id"?: string;
  readonly "working-dir"?: string;
  readonly "exec-env"?: readonly string[];
}

/** What metadata.toml says; one buildpack `some/bp` of API 0.10 unless told otherwise. */
export interface MetadataEntries {
  readonly processes?: readonly ProcessEntry[];
  readonly buildpacks?: readonly { readonly id: string; readonly api: string }[];
}

/** One start of the launcher. */
export interface Launch {
  /** Base name of argv[0]; "launcher" when there is none. */
  readonly type?: string;
  readonly args?: readonly string[];
  /** On top of the CNB variables and PATH; undefined takes one of those away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly platform?: string;
  readonly cwd?: string;
  /** Another launcher than the one for this machine. */
  readonly program?: string;
  /** A program that starts the launcher, such as an emulator. */
  readonly via?: readonly string[];
}

/** What came of it; bytes are read as Latin-1 so that none are lost. */
export interface Launched {
  readonly code: number;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly pid: number;
  /** What the probe saw, when it was what started. */
  readonly seen: Seen | undefined;
}

/** What the probe (test_probe.c) saw. */
export interface Seen {
  readonly pid: number;
  readonly cwd: string;
  readonly fds: string;
  readonly argv: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  /** As they came, doubles and all. */
  readonly variables: readonly string[];
}

const latin1 = new TextDecoder("latin1");
/** Latin-1 in the sense of Unicode: TextDecoder's is windows-1252, which moves 0x80 to 0x9f. */
function text(bytes: Uint8Array): string {
  return bytes.some((byte) => byte >= 0x80 && byte < 0xa0)
    ? Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")
    : latin1.decode(bytes);
}

function parseSeen(stdout: string): Seen | undefined {
  const at = stdout.lastIndexOf("\u0001\0");
  if (at < 0) return undefined;
  const items = stdout.slice(at).split("\0").slice(1, -1);
  const of = (kind: string) =>
    items.filter((item) => item.startsWith(kind)).map((item) => item.slice(1));
  const variables = of("e");
  const env = new Map<string, string>();
  for (const variable of variables) {
    const equals = variable.indexOf("=");
    env.set(variable.slice(0, equals), variable.slice(equals + 1));
  }
  return {
    pid: Number(of("p")[0]),
    cwd: of("d")[0] ?? "",
    fds: of("f")[0] ?? "",
    argv: of("a"),
    env,
    variables,
  };
}

const programs = new Map<string, Promise<string>>();

function once(name: string, make: (file: string) => Promise<void>): Promise<string> {
  const made = programs.get(name) ?? (async () => {
    const file = `${await Deno.makeTempDir({ prefix: "wherry-launcher-" })}/${name}`;
    globalThis.addEventListener("unload", () => {
      Deno.removeSync(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    });
    await make(file);
    return file;
  })();
  programs.set(name, made);
  return made;
}

/** The launcher, in a file that no other test replaces. */
export function launcherFile(arch: Arch = thisArch()): Promise<string> {
  return once(`launcher-${arch}`, async (file) => {
    await Deno.writeFile(file, await compileC("launcher", arch), { mode: 0o755 });
  });
}

/** The probe: prints what it sees. */
export function probeFile(): Promise<string> {
  const sources = ["memory.c", "start.c", "test_probe.c", "text.c"];
  return once("probe", (file) => compileVariant(file, { sources }));
}

/** This machine's processor. */
export function thisArch(): Arch {
  return Deno.build.arch === "x86_64" ? "amd64" : "arm64";
}

/** A scene in a temporary directory of its own. */
export class Scene {
  private constructor(
    readonly dir: string,
    readonly probe: string,
    private readonly launcher: string,
  ) {}

  /** Empty layers and an empty application, and the probe as <app>/probe. */
  static async make(metadata: MetadataEntries = {}): Promise<Scene> {
    const dir = await Deno.realPath(await Deno.makeTempDir({ prefix: "wherry-scene-" }));
    await Deno.chmod(dir, 0o755);
    const scene = new Scene(dir, `${dir}/app/probe`, await launcherFile());
    await Deno.mkdir(`${dir}/layers`);
    await Deno.mkdir(`${dir}/app`);
    await Deno.copyFile(await probeFile(), scene.probe);
    await scene.metadata(metadata);
    return scene;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }

  get layers(): string {
    return `${this.dir}/layers`;
  }

  get app(): string {
    return `${this.dir}/app`;
  }

  /** Writes a file below the scene, with the directories above it. */
  async write(path: string, content: string | Uint8Array, mode = 0o644): Promise<string> {
    const file = `${this.dir}/${path}`;
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await Deno.writeFile(file, bytes);
    await Deno.chmod(file, mode);
    return file;
  }

  /** A shell script, as exec.d or anything else. */
  script(path: string, lines: string): Promise<string> {
    return this.write(path, `#!/bin/sh\n${lines}\n`, 0o755);
  }

  async mkdir(path: string): Promise<void> {
    await Deno.mkdir(`${this.dir}/${path}`, { recursive: true });
  }

  async metadata(entries: MetadataEntries): Promise<void> {
    await this.write(
      "layers/config/metadata.toml",
      stringify({
        processes: entries.processes ??
          [{ type: "web", command: [this.probe], direct: true, "buildpack-id": "some/bp" }],
        buildpacks: entries.buildpacks ?? [{ id: "some/bp", api: "0.10" }],
      }),
    );
  }

  /** The file that starts the launcher under the name `type`. */
  async entrypoint(type: string, program: string): Promise<string> {
    const dir = `${this.dir}/process-${program.replaceAll("/", "_")}`;
    await Deno.mkdir(dir, { recursive: true });
    await Deno.symlink(program, `${dir}/${type}`).catch((error) => {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    });
    return `${dir}/${type}`;
  }

  environment(launch: Launch): Record<string, string> {
    const all = {
      CNB_LAYERS_DIR: this.layers,
      CNB_APP_DIR: this.app,
      CNB_PLATFORM_API: launch.platform ?? "0.12",
      PATH: "/usr/bin:/bin",
      ...launch.env,
    };
    return Object.fromEntries(
      Object.entries(all).flatMap(([name, value]) => value === undefined ? [] : [[name, value]]),
    );
  }

  async launch(launch: Launch = {}): Promise<Launched> {
    const entry = await this.entrypoint(
      launch.type ?? "launcher",
      launch.program ?? this.launcher,
    );
    const [command, ...rest] = [...launch.via ?? [], entry, ...launch.args ?? []];
    const child = new Deno.Command(command ?? entry, {
      args: rest,
      env: this.environment(launch),
      clearEnv: true,
      cwd: launch.cwd ?? this.dir,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const output = await child.output();
    const stdout = text(output.stdout);
    return {
      code: output.code,
      signal: output.signal,
      stdout,
      stderr: text(output.stderr),
      pid: child.pid,
      seen: parseSeen(stdout),
    };
  }
}

/** A scene whose process "web" is the probe, with these files below `layers/some_bp`. */
export async function sceneWithLayers(files: Readonly<Record<string, string>>): Promise<Scene> {
  const scene = await Scene.make();
  for (const [path, content] of Object.entries(files)) {
    await scene.write(`layers/some_bp/${path}`, content);
  }
  return scene;
}
