/**
 * How long the executable takes to start, as ratios to a bare `deno run` of an empty file:
 *
 *     deno run -A tests/bench/startup.ts [rounds]
 *
 * Interleaved, medians and best times; look at `uptime` first, other work makes the longer command look worse.
 */
const WHERRY = new URL("../../dist/wherry", import.meta.url).pathname;

/** One command's times, milliseconds. */
export interface StartupTime {
  readonly name: string;
  readonly median: number;
  readonly best: number;
}

async function time(command: readonly string[]): Promise<number> {
  const [program = "", ...args] = command;
  const start = performance.now();
  const { code } = await new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).output();
  if (code !== 0) throw new Error(`Cannot measure ${command.join(" ")}: exit code ${code}`);
  return performance.now() - start;
}

/** Measures `rounds` interleaved starts of each; the first result is the bare `deno run`. */
async function measureStartup(rounds: number): Promise<readonly StartupTime[]> {
  const empty = await Deno.makeTempFile({ suffix: ".js" });
  try {
    const commands: readonly (readonly [string, readonly string[]])[] = [
      ["deno run empty.js", [Deno.execPath(), "run", empty]],
      ["wherry version", [WHERRY, "version"]],
      ["wherry --help", [WHERRY, "--help"]],
      ["wherry version -o json", [WHERRY, "version", "-o", "json"]],
      ["wherry build --help", [WHERRY, "build", "--help"]],
    ];
    const times = commands.map((): number[] => []);
    for (let round = 0; round < rounds + 1; round++) {
      for (const [index, [, command]] of commands.entries()) {
        const ms = await time(command);
        if (round > 0) times[index]?.push(ms); // the first round warms the page cache
      }
    }
    return commands.map(([name], index) => {
      const sorted = (times[index] ?? []).toSorted((a, b) => a - b);
      return { name, median: sorted[sorted.length >> 1] ?? NaN, best: sorted[0] ?? NaN };
    });
  } finally {
    await Deno.remove(empty);
  }
}

/** Prints the table. */
export async function benchStartup(rounds = 15): Promise<void> {
  const results = await measureStartup(rounds);
  const [bare] = results;
  const line = (...cells: readonly string[]) => {
    const [name = "", ...numbers] = cells;
    const text = name.padEnd(24) + numbers.map((each) => each.padStart(12)).join("");
    Deno.stdout.writeSync(new TextEncoder().encode(text + "\n"));
  };
  line("start-up", "median ms", "best ms", "x median", "x best");
  for (const { name, median, best } of results) {
    line(
      name,
      median.toFixed(1),
      best.toFixed(1),
      (median / (bare?.median ?? NaN)).toFixed(2),
      (best / (bare?.best ?? NaN)).toFixed(2),
    );
  }
}

if (import.meta.main) await benchStartup(Number(Deno.args[0] ?? 15));
