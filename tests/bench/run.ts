/** Runs a program and reads from the kernel what it cost, the processes it waited for included. */

/** What a run cost. */
export interface Cost {
  /** Seconds by the clock. */
  readonly wall: number;
  /** User and system seconds; on a busy machine the number to compare. */
  readonly cpu: number;
  /** Peak resident memory of the program itself. */
  readonly peakMib: number;
}

/** Kernel ticks a second: 100 on every Linux that Deno runs on. */
const TICKS = 100;
/** Looks this often; what happens after the last look is not counted. */
const EVERY_MS = 10;

/**
 * Runs it to its end.
 *
 * @throws {Error} With the last of its output when it fails.
 */
export async function costOf(
  program: string,
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly cwd?: string } = {},
): Promise<Cost> {
  const start = performance.now();
  const child = new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...options,
  }).spawn();
  let cpu = 0;
  let peakMib = 0;
  const look = () => {
    try {
      const stat = Deno.readTextFileSync(`/proc/${child.pid}/stat`);
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
      cpu = Math.max(cpu, ticks / TICKS);
      const status = Deno.readTextFileSync(`/proc/${child.pid}/status`);
      peakMib = Math.max(peakMib, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024);
    } catch {
      // It has ended.
    }
  };
  const timer = setInterval(look, EVERY_MS);
  try {
    const [status, out, err] = await Promise.all([
      child.status,
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    if (!status.success) {
      const said = (out + err).slice(-2000);
      throw new Error(`Cannot run ${program} ${args[0]}: exit ${status.code}: ${said}`);
    }
    return { wall: (performance.now() - start) / 1000, cpu, peakMib };
  } finally {
    clearInterval(timer);
  }
}

/** The cost of one after the other. */
export function sumOf(costs: readonly Cost[]): Cost {
  return {
    wall: costs.reduce((sum, { wall }) => sum + wall, 0),
    cpu: costs.reduce((sum, { cpu }) => sum + cpu, 0),
    peakMib: Math.max(...costs.map(({ peakMib }) => peakMib)),
  };
}
