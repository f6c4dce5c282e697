/** Making V8's code cache for the bundle at build time. */
import { bundleScript } from "./entry.ts";
import { runTool } from "./tool.ts";

/** How Deno is run in the executable, before the script. */
export const DENO_ARGS = [
  "run",
  "-A",
  "--quiet",
  "--no-config",
  "--no-remote",
  "--no-npm",
  "--no-lock",
  "--no-code-cache",
  "--no-prompt",
  "--ext=js",
] as const;

/**
 * What the stub puts into the environment Deno starts with; `entry.js` takes it out again. Deno wants a cache directory, and
 * none will do, but on a terminal it complains, as an error. It reads `.npmrc` in HOME and fails when that is broken: nobody can make a file under this one.
 */
export const DENO_SETTINGS = [
  "DENO_DIR=/dev/null/x",
  "DENO_LOG=error,deno::cache::cache_db=off",
  "DENO_NO_UPDATE_CHECK=1",
  "HOME=/proc/self/x",
] as const;

/** Command lines whose functions are compiled ahead: they load the chunks of every command. */
function warmUps(commands: readonly string[]): readonly (readonly string[])[] {
  return [["--help"], ["version"], ...commands.map((command) => [command, "--help"])];
}

/**
 * The code caches of the program's chunks, by chunk name.
 *
 * Throws Error when two makings differ: the executable would not be reproducible.
 *
 * @param chunks Chunk name to text.
 * @param commands Names of commands to load, whose `--help` must succeed.
 * @param deno The program of the executable and what must stand before it.
 */
export async function makeCodeCaches(
  chunks: ReadonlyMap<string, Uint8Array>,
  commands: readonly string[],
  deno: readonly string[],
): Promise<ReadonlyMap<string, Uint8Array<ArrayBuffer>>> {
  const script = await bundleScript("code_cache.js");
  const make = async (): Promise<Map<string, Uint8Array<ArrayBuffer>>> => {
    const folder = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${folder}/make.js`, script);
      for (const [name, code] of chunks) await Deno.writeFile(`${folder}/${name}`, code);
      const [program = "", ...rest] = deno;
      const args = [...rest, ...DENO_ARGS, "make.js", ".", JSON.stringify(warmUps(commands))];
      const env = Object.fromEntries(DENO_SETTINGS.map((each) => each.split(/=(.*)/, 2)));
      await runTool(program, args, { cwd: folder, env });
      const caches = new Map<string, Uint8Array<ArrayBuffer>>();
      for (const name of chunks.keys()) {
        const bytes = await Deno.readFile(`${folder}/${name}.cache`).catch(() => undefined);
        if (bytes) caches.set(name, bytes);
      }
      return caches;
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  };
  const first = await make();
  const second = await make();
  for (const [name, bytes] of first) {
    const other = second.get(name) ?? new Uint8Array();
    if (bytes.length !== other.length || bytes.some((byte, at) => byte !== other[at])) {
      throw new Error(`Cannot use the code cache of ${name}: two makings of it differ`);
    }
  }
  return first;
}
