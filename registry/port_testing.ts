/** Ports of servers that a test ends and starts again, or that another program opens. */

/** A port where nobody listens, and none that the kernel gives to others before it is taken. */
export function freePort(): number {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch {
      // somebody has it
    }
  }
}
