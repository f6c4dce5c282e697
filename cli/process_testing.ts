/** wherry from source as a process of its own: for what only a process has, such as signals and a terminal. */

const MAIN = decodeURIComponent(new URL("main.ts", import.meta.url).pathname);

/** What runs it; a command's words follow. */
export const FROM_SOURCE: readonly [string, ...string[]] = [
  ...[Deno.execPath(), "run", "-A", "--no-check", "--quiet", MAIN] as const,
];

/** What it needs of our environment: with another HOME the runtime would fetch everything again. */
export const DENO_ENV: Readonly<Record<string, string>> = {
  DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`,
};

/** Starts it in a shell's directory, with its HOME and its store. What hangs is killed after minutes. */
export function startProcess(
  dir: string,
  words: readonly string[],
  options: Pick<Deno.CommandOptions, "stdin" | "stdout" | "stderr"> = {},
): Deno.ChildProcess {
  const [program, ...args] = FROM_SOURCE;
  return new Deno.Command(program, {
    args: [...args, ...words],
    cwd: dir,
    env: { HOME: `${dir}/home`, WHERRY_STORE: `${dir}/store`, ...DENO_ENV },
    signal: AbortSignal.timeout(240_000),
    ...options,
  }).spawn();
}
