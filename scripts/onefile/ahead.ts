/**
 * Chunks that are compiled when the executable is built: of the processor time of a rebuild a third was V8 reading
 * JavaScript and making bytecode of it, the same each time. Docs: decision 0001.
 */
import { DENO_ARGS, DENO_SETTINGS } from "./deno_args.ts";
import type { Bundle } from "./bundle.ts";
import { textOf } from "./loader.js";
import { runTool } from "./tool.ts";

/** One group of chunks, compiled together. */
export interface Compiled {
  /** In this order, separated by spaces. */
  readonly names: string;
  /** What V8 keeps of them. Means nothing to another version of it, which then compiles the text. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Groups by the chunk that asks for them. */
export type Ahead = ReadonlyMap<string, Compiled>;

/**
 * What `wherry build` loads, in this order: first without, then with what is compiled here. zod is not among it: a build uses
 * a fifth of it, and the file may not be larger.
 */
const BEFORE = ["cli/main.ts", "cli/run.ts", "cli/command/build.ts"];
const LOADED = [
  "cli/build_app.ts",
  "registry/store/store.ts",
  "cli/open_builder.ts",
  "cli/connect.ts",
];

const WORKER = decodeURIComponent(new URL("ahead_worker.js", import.meta.url).pathname);

/**
 * Compiles what a build loads, all functions of it, so that the result depends on nothing but the text and `deno`.
 *
 * @param deno The program that will run it. It has to start on this machine.
 * @throws {Error} When V8 does not take what it made itself.
 */
export async function compileAhead(
  { chunks, ...shape }: Pick<Bundle, "chunks" | "modules" | "needs">,
  deno: Uint8Array,
): Promise<Ahead> {
  const groups = groupsOf(shape);
  if (groups.size === 0) return new Map();
  const dir = await Deno.makeTempDir({ prefix: "wherry-ahead-" });
  try {
    await Deno.writeFile(`${dir}/deno`, deno, { mode: 0o755 });
    for (const [name, names] of groups) {
      const texts = names.map((each) => chunks.get(each)!);
      await Deno.writeTextFile(`${dir}/${name}`, textOf(texts, new TextDecoder("latin1")));
    }
    // As the executable starts it: V8 compares its settings.
    const env = Object.fromEntries(DENO_SETTINGS.map((setting) => setting.split("=")));
    const words = [...DENO_ARGS, WORKER, dir, ...groups.keys()];
    for (const _act of ["compile", "check"]) {
      await runTool(`${dir}/deno`, words, { env, clearEnv: true });
    }
    const made = new Map<string, Compiled>();
    for (const [name, names] of groups) {
      made.set(name, {
        names: names.join(" "),
        bytes: await Deno.readFile(`${dir}/${name}.ahead`),
      });
    }
    return made;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** The chunks that are loaded together, each once, in the order of `loader.js`. Another program than wherry has none. */
export function groupsOf(
  { modules, needs }: Pick<Bundle, "modules" | "needs">,
): Map<string, string[]> {
  const loaded = new Set<string>();
  const gather = (name: string, names: string[]): string[] => {
    if (loaded.has(name)) return names;
    loaded.add(name);
    names.push(name);
    for (const need of needs.get(name) ?? []) gather(need, names);
    return names;
  };
  const groups = new Map<string, string[]>();
  for (const module of [...BEFORE, ...LOADED]) {
    const name = modules.get(module);
    const names = name === undefined ? [] : gather(name, []);
    if (name !== undefined && LOADED.includes(module)) groups.set(name, names);
  }
  return groups;
}
