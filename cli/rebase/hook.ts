/** The user's own command between waves of a fleet. */
import type { Session } from "../session.ts";

/**
 * Runs `command` in a shell, with `variables` beside ours; what it says goes to our stderr.
 *
 * @throws {Error} When it does not end with 0.
 */
export async function runHook(
  command: string,
  session: Session,
  variables: Readonly<Record<string, string>>,
): Promise<void> {
  const { io, ctx } = session;
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", command],
    cwd: io.cwd,
    env: { ...io.env, ...variables },
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: ctx.signal,
  }).spawn();
  const pass = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const chunk of stream) session.log.output(chunk);
  };
  const [status] = await Promise.all([child.status, pass(child.stdout), pass(child.stderr)]);
  session.log.flush();
  ctx.signal.throwIfAborted();
  if (status.success) return;
  throw new Error(`the hook ended with ${status.signal ?? status.code}: ${command}`);
}
