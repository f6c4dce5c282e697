/** Command lines run as `main.ts` runs them, in this process, with an Io of our own. */
import { failureOf } from "./exit.ts";
import type { Io } from "./io.ts";
import { run } from "./run.ts";

/** How a command line ended. */
export interface ShellResult {
  /** Exit code. */
  readonly code: number;
  /** Results. */
  readonly out: string;
  /** Logs, and the error if there was one. */
  readonly err: string;
}

/** A directory to stand in, with an empty HOME and a store; gone at the end of the scope. */
export interface Shell extends AsyncDisposable {
  /** Where it stands; absolute. */
  readonly dir: string;
  /** Runs one command line to its end. */
  wherry(...args: readonly string[]): Promise<ShellResult>;
  /** As {@linkcode wherry}; throws with its words when it fails. Gives stdout. */
  ok(...args: readonly string[]): Promise<string>;
  /** Writes files below `dir`; a text that begins with `#!` may be executed. */
  write(files: Readonly<Record<string, string>>): Promise<void>;
}

/** Makes one. */
export async function makeShell(env: Readonly<Record<string, string>> = {}): Promise<Shell> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-shell-" });
  const wherry = async (...args: readonly string[]): Promise<ShellResult> => {
    let [out, err] = ["", ""];
    const sink = (add: (text: string) => void) => ({
      write: (text: string | Uint8Array) =>
        add(typeof text === "string" ? text : new TextDecoder().decode(text)),
      isTerminal: false,
      columns: () => 80,
    });
    const io: Io = {
      args,
      env: { HOME: `${dir}/home`, WHERRY_STORE: `${dir}/store`, PATH: "/usr/bin:/bin", ...env },
      cwd: dir,
      user: { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 },
      stdout: sink((text) => out += text),
      stderr: sink((text) => err += text),
      signal: new AbortController().signal,
    };
    try {
      return { code: await run(io), out, err };
    } catch (error) {
      const { code, message } = failureOf(error);
      return { code, out, err: `${err}ERROR: ${message ?? ""}\n` };
    }
  };
  return {
    dir,
    wherry,
    async ok(...args) {
      const { code, out, err } = await wherry(...args);
      if (code !== 0) throw new Error(`wherry ${args.join(" ")} ended with ${code}: ${err}`);
      return out;
    },
    async write(files) {
      for (const [name, text] of Object.entries(files)) {
        const path = `${dir}/${name}`;
        await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
        await Deno.writeTextFile(path, text);
        await Deno.chmod(path, text.startsWith("#!") ? 0o755 : 0o644);
      }
    },
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}
