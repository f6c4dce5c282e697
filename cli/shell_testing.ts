/** A place to type command lines in: a directory with an empty HOME and a store. */
import { type Ended, runLine } from "./line_testing.ts";

/** A directory to stand in, with an empty HOME and a store; gone at the end of the scope. */
export interface Shell extends AsyncDisposable {
  /** Where it stands; absolute. */
  readonly dir: string;
  /** Runs one command line to its end. */
  wherry(...args: readonly string[]): Promise<Ended>;
  /** As {@linkcode wherry}; throws with its words when it fails. Gives stdout. */
  ok(...args: readonly string[]): Promise<string>;
  /** Writes files below `dir`; a text that begins with `#!` may be executed. */
  write(files: Readonly<Record<string, string>>): Promise<void>;
}

/** Makes one. */
export async function makeShell(env: Readonly<Record<string, string>> = {}): Promise<Shell> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-shell-" });
  const around = {
    dir,
    env: { HOME: `${dir}/home`, WHERRY_STORE: `${dir}/store`, PATH: "/usr/bin:/bin", ...env },
  };
  const wherry = (...args: readonly string[]) => runLine(args, around);
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
