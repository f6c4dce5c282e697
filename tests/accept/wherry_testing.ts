/** The executable as its users meet it: a process with arguments, an environment, two streams and an exit code. */
import assert from "node:assert/strict";

/** The checkout. */
export const ROOT: string = decodeURIComponent(new URL("../..", import.meta.url).pathname);

/** What is tested: `$WHERRY`, else what `deno task build` made. */
export const WHERRY: string = Deno.env.get("WHERRY") ?? `${ROOT}dist/wherry`;

/** The examples. */
export const EXAMPLES: string = `${ROOT}examples`;

/** How a process ended. */
export interface Outcome {
  /** Exit code. */
  readonly code: number;
  /** Results. */
  readonly stdout: string;
  /** Logs. */
  readonly stderr: string;
}

/** How a process is started. */
export interface RunOptions {
  /** Where; default the scene's directory. */
  readonly cwd?: string;
  /** Beside PATH and HOME. */
  readonly env?: Readonly<Record<string, string>>;
  /** Who; needs root. */
  readonly uid?: number;
  /** For example `077`. */
  readonly umask?: string;
  /** A store of its own. */
  readonly store?: string;
}

/** A process under way. */
export interface Running {
  /** Its number. */
  readonly pid: number;
  /** Waits for a line of stderr; fails when the process ends without it. */
  until(pattern: RegExp): Promise<string>;
  /** Sends a signal. */
  kill(signal: Deno.Signal): void;
  /** Its end. */
  readonly ended: Promise<Outcome>;
}

/** A directory with an empty HOME and an empty store, gone with everything in it at the end of the scope. */
export interface Scene extends AsyncDisposable {
  /** Absolute; everybody may enter. */
  readonly dir: string;
  /** The store. */
  readonly store: string;
  /** HOME. */
  readonly home: string;
  /** Starts wherry. */
  start(args: readonly string[], options?: RunOptions): Running;
  /** Runs wherry to its end. */
  run(args: readonly string[], options?: RunOptions): Promise<Outcome>;
  /** Runs wherry, which must succeed; gives stdout without the last line end. */
  ok(args: readonly string[], options?: RunOptions): Promise<string>;
  /** As {@linkcode ok}, with `-o json` behind, parsed. */
  json<T = BuildResult>(args: readonly string[], options?: RunOptions): Promise<T>;
  /** Writes files (a text) and directories (null) below `dir`; a text that begins with `#!` may be executed. */
  write(files: Readonly<Record<string, string | null>>): Promise<void>;
}

/** What `build -o json` prints. */
export interface BuildResult {
  readonly name: string;
  readonly tags: readonly string[];
  readonly digest: string;
  readonly buildpacks: readonly { readonly id: string; readonly version: string }[];
  readonly layers: readonly {
    readonly id?: string;
    readonly diffId: string;
    readonly how: string;
  }[];
}

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Makes a scene. */
export async function makeScene(): Promise<Scene> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-accept-" });
  await Deno.chmod(dir, 0o755);
  const store = `${dir}/store`;
  const home = `${dir}/home`;
  await Deno.mkdir(home);
  const start = (args: readonly string[], options: RunOptions = {}) => {
    const env = { PATH, HOME: home, WHERRY_STORE: options.store ?? store, ...options.env };
    return startProcess(WHERRY, args, { cwd: dir, ...options, env });
  };
  const run = (args: readonly string[], options?: RunOptions) => start(args, options).ended;
  const ok = async (args: readonly string[], options?: RunOptions) => {
    const outcome = await run(args, options);
    assert.equal(outcome.code, 0, `wherry ${args.join(" ")}: ${outcome.stderr}`);
    return outcome.stdout.replace(/\n$/, "");
  };
  return {
    dir,
    store,
    home,
    start,
    run,
    ok,
    json: async <T>(args: readonly string[], options?: RunOptions) =>
      JSON.parse(await ok([...args, "-o", "json"], options)) as T,
    write: (files) => writeFiles(dir, files),
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}

/** Starts any program with exactly this environment. */
export function startProcess(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Running {
  const wrapped = options.umask === undefined ? { program, args: [...args] } : {
    program: "/bin/sh",
    args: ["-c", `umask ${options.umask}; exec "$@"`, "sh", program, ...args],
  };
  const child = new Deno.Command(wrapped.program, {
    args: wrapped.args,
    env: { PATH, ...options.env },
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  }).spawn();
  let stderr = "";
  let over = false;
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const one of waiting) one();
  };
  const readStderr = async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) {
      stderr += decoder.decode(chunk, { stream: true });
      wake();
    }
    over = true;
    wake();
  };
  const ended = (async () => {
    const [status, stdout] = await Promise.all([
      child.status,
      new Response(child.stdout).text(),
      readStderr(),
    ]);
    return { code: status.code, stdout, stderr };
  })();
  return {
    pid: child.pid,
    ended,
    kill: (signal) => {
      child.kill(signal);
    },
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = pattern.exec(stderr);
          if (found === null && !over) return;
          waiting.delete(look);
          if (found !== null) resolve(found[0]);
          else reject(new Error(`Cannot find ${pattern} in what it said: ${stderr}`));
        };
        waiting.add(look);
        look();
      }),
  };
}

/** Runs a foreign tool, which must succeed; gives its stdout. */
export async function tool(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const outcome = await startProcess(program, args, options).ended;
  assert.equal(outcome.code, 0, `${program} ${args.join(" ")}: ${outcome.stderr}${outcome.stdout}`);
  return outcome.stdout;
}

/** Whether a program is installed; says on the console that tests are skipped when not. */
export function installed(program: string): boolean {
  for (const dir of PATH.split(":")) {
    try {
      if (Deno.statSync(`${dir}/${program}`).isFile) return true;
    } catch {
      // not in this directory
    }
  }
  // deno-lint-ignore no-console
  console.log(`skipped: tests with ${program}, which is not installed`);
  return false;
}

/** See {@linkcode Scene.write}. */
export async function writeFiles(
  dir: string,
  files: Readonly<Record<string, string | null>>,
): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = `${dir}/${name}`;
    await Deno.mkdir(content === null ? path : path.slice(0, path.lastIndexOf("/")), {
      recursive: true,
    });
    if (content === null) continue;
    await Deno.writeTextFile(path, content);
    await Deno.chmod(path, content.startsWith("#!") ? 0o755 : 0o644);
  }
}

/** Copies a directory, modes and links kept. */
export async function copyDir(from: string, to: string): Promise<void> {
  await tool("cp", ["-a", from, to]);
}

/** That exactly one line begins with `ERROR: `, and that it is the last. */
export function assertOneError(outcome: Outcome, code: number, pattern: RegExp): void {
  const lines = outcome.stderr.trimEnd().split("\n");
  const errors = lines.filter((line) => line.startsWith("ERROR: "));
  assert.equal(errors.length, 1, `want one ERROR line, got: ${outcome.stderr}`);
  assert.match(errors[0]!, pattern);
  assert.equal(lines.at(-1), errors[0], `want the ERROR line last: ${outcome.stderr}`);
  assert.equal(outcome.code, code, outcome.stderr);
}
