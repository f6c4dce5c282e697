/** Making V8's code cache for the bundle at build time. */
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

/** The environment Deno starts with in the executable. */
export const DENO_SETTINGS = ["DENO_DIR=/dev/null/x", "DENO_NO_UPDATE_CHECK=1"] as const;

/** Command lines whose functions are compiled ahead. */
const WARM_UPS = [["--help"], ["version"]];

/**
 * The code cache for `code`, made by the Deno program `deno`.
 *
 * Throws Error when two makings differ: the executable would not be reproducible.
 */
export async function makeCodeCache(
  code: Uint8Array,
  deno: readonly string[],
): Promise<Uint8Array<ArrayBuffer>> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeFile(`${folder}/bundle.js`, code);
    await Deno.copyFile(new URL("./code_cache.js", import.meta.url), `${folder}/make.js`);
    const make = async (name: string) => {
      const [program = "", ...rest] = deno;
      await runTool(program, [
        ...rest,
        ...DENO_ARGS,
        `${folder}/make.js`,
        `${folder}/bundle.js`,
        `${folder}/${name}`,
        JSON.stringify(WARM_UPS),
      ], {
        cwd: "/",
        env: Object.fromEntries(
          DENO_SETTINGS.map((setting) => setting.split("=", 2) as [string, string]),
        ),
      });
      return await Deno.readFile(`${folder}/${name}`);
    };
    const first = await make("first");
    const second = await make("second");
    if (first.length !== second.length || first.some((byte, at) => byte !== second[at])) {
      throw new Error("Cannot use the code cache: two makings of it differ");
    }
    return first;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
