/**
 * Runs a program to its end and watches its peak resident memory (of that process alone, not its children).
 *
 * @throws {Error} With the last of its output when it fails.
 */
export async function peakOf(
  program: string,
  args: readonly string[],
): Promise<{ readonly peakKib: number }> {
  const child = new Deno.Command(program, { args: [...args], stdout: "piped", stderr: "piped" })
    .spawn();
  let peakKib = 0;
  const look = () => {
    try {
      const status = Deno.readTextFileSync(`/proc/${child.pid}/status`);
      peakKib = Math.max(peakKib, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0));
    } catch {
      // It has ended.
    }
  };
  const timer = setInterval(look, 50);
  try {
    const [status, out, err] = await Promise.all([
      child.status,
      text(child.stdout),
      text(child.stderr),
    ]);
    if (!status.success) {
      throw new Error(
        `Cannot run ${program} ${args[0]}: exit ${status.code}: ${(err || out).slice(-2000)}`,
      );
    }
    return { peakKib };
  } finally {
    clearInterval(timer);
  }
}

async function text(stream: ReadableStream<Uint8Array>): Promise<string> {
  return await new Response(stream).text();
}
