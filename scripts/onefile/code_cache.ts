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
 * Throws Error when no two makings agree: the executable would not be reproducible.
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
      // Nothing of the builder's environment: with NO_COLOR set other functions run, and get into the cache.
      await runTool(program, args, { cwd: folder, env, clearEnv: true });
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
  // On a loaded machine a making differs now and then (V8 drops functions it has not run for a while), so the
  // one that can be repeated counts.
  const makings: Map<string, Uint8Array<ArrayBuffer>>[] = [];
  let differing = "";
  while (makings.length < MOST_MAKINGS) {
    const making = await make();
    for (const earlier of makings) {
      const name = firstDifference(making, earlier);
      if (name === undefined) return making;
      differing = name;
    }
    makings.push(making);
  }
  throw new Error(
    `Cannot use the code cache of ${differing}: ${MOST_MAKINGS} makings of it all differ`,
  );
}

const MOST_MAKINGS = 6;

/** The chunk whose caches differ, or undefined. */
function firstDifference(
  one: ReadonlyMap<string, Uint8Array>,
  other: ReadonlyMap<string, Uint8Array>,
): string | undefined {
  for (const name of new Set([...one.keys(), ...other.keys()])) {
    const a = one.get(name) ?? new Uint8Array();
    const b = other.get(name) ?? new Uint8Array();
    if (a.length !== b.length || a.some((byte, at) => byte !== b[at])) return name;
  }
  return undefined;
}
