/** What the registry's benchmark needs: our server as a process, files of noise, a look at a process's memory. */
import { Digester } from "../../registry/oci/digest.ts";
import { tempDir } from "../../registry/temp_testing.ts";

/** A server as a process of its own. */
export interface Server {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** Its number. */
  readonly pid: number;
}

/**
 * Starts `wherry serve` over `store`; ended with the scope.
 *
 * @param words In front of `serve`: what the program wants where it is not wherry itself.
 * @param port 0 for a free one.
 */
export async function startServe(
  program: string,
  words: readonly string[],
  store: string,
  port: number,
): Promise<Server & AsyncDisposable> {
  const process = new Deno.Command(program, {
    args: [...words, "serve", "--listen", `127.0.0.1:${port}`, "--store", store],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  while (!said.includes("\n")) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`Cannot start ${program} serve: it ended`);
    said += value;
  }
  return {
    host: said.trim().replace(/^http:\/\//, ""),
    pid: process.pid,
    async [Symbol.asyncDispose]() {
      process.kill("SIGTERM");
      await process.status;
      await reader.cancel();
    },
  };
}

/** The same over a fresh store, which is removed with the scope, on a free port. */
export async function startOurs(wherry: string | undefined): Promise<Server & AsyncDisposable> {
  const dir = await tempDir();
  const main = new URL("../../cli/main.ts", import.meta.url).pathname;
  const words = wherry === undefined ? ["run", "-A", "--no-check", main] : [];
  const server = await startServe(wherry ?? Deno.execPath(), words, `${dir.path}/store`, 0);
  return {
    ...server,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** Runs a program to its end; returns what it wrote. */
export async function run(program: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  const text = new TextDecoder().decode(stdout);
  if (success) return text;
  const why = new TextDecoder().decode(stderr) || text;
  throw new Error(`Cannot run ${program} ${args[0]}: ${why.slice(-2000)}`);
}

/** As {@linkcode run}; returns how long it took and how much of the processors it had, in milliseconds. */
export async function timed(
  program: string,
  args: readonly string[],
): Promise<{ readonly wall: number; readonly cpu: number }> {
  const start = performance.now();
  const said = await run("sh", ["-c", '"$@" >&2 || exit 1; times', "sh", program, ...args]);
  const wall = performance.now() - start;
  // The second line of `times` is of children: `0m0.123s 0m0.045s`.
  const parts = [...said.trim().split("\n").at(-1)!.matchAll(/(\d+)m([\d.]+)s/g)];
  const cpu = parts.reduce((sum, [, m, s]) => sum + Number(m) * 60_000 + Number(s) * 1000, 0);
  return { wall, cpu };
}

/** A directory for files, removed with the scope. */
export class Places implements AsyncDisposable {
  /** Where it is. */
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes one. */
  static async make(): Promise<Places> {
    return new Places(await Deno.makeTempDir({ prefix: "wherry-bench-" }));
  }

  /** A file of noise. */
  async noise(name: string, size: number): Promise<string> {
    const path = `${this.path}/${name}`;
    using file = await Deno.create(path);
    const noise = new Uint8Array(1024 * 1024);
    for (let at = 0; at < noise.byteLength; at += 65536) {
      crypto.getRandomValues(noise.subarray(at, at + 65536));
    }
    for (let left = size; left > 0;) {
      left -= await file.write(noise.subarray(0, Math.min(left, noise.byteLength)));
    }
    return path;
  }

  /** Another file of the same length: `seed` stands at its beginning. Returns its digest. */
  async stir(path: string, seed: string): Promise<string> {
    using file = await Deno.open(path, { read: true, write: true });
    await file.write(new TextEncoder().encode(seed.padEnd(64)));
    await file.seek(0, Deno.SeekMode.Start);
    const digester = new Digester("sha256");
    const buffer = new Uint8Array(1024 * 1024);
    for (let got = await file.read(buffer); got !== null; got = await file.read(buffer)) {
      digester.update(buffer.subarray(0, got));
    }
    return digester.digest();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** Processor time a process has had, in milliseconds. Linux only. */
export function processorMs(pid: number): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ").at(-1)!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Watches a process's resident memory, in MiB, until it is told to stop. */
export function lookAt(
  pid: number,
): { stop(): { readonly peak: number; readonly over: string } } {
  const seen: number[] = [];
  const look = () => {
    try {
      const status = Deno.readTextFileSync(`/proc/${pid}/status`);
      seen.push(Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024);
    } catch {
      // It has ended.
    }
  };
  const timer = setInterval(look, 20);
  return {
    stop() {
      clearInterval(timer);
      const step = Math.max(1, Math.floor(seen.length / 12));
      const over = seen.filter((_, at) => at % step === 0).map((mib) => mib.toFixed(0)).join(" ");
      return { peak: Math.max(0, ...seen), over };
    },
  };
}

/** A door to `host` behind a line on which every byte takes `ms` milliseconds; without any, `host` itself. */
export function farAway(host: string, ms: number): { readonly host: string } & AsyncDisposable {
  if (ms === 0) return { host, [Symbol.asyncDispose]: () => Promise.resolve() };
  const [hostname = "", port] = host.split(":");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  const wait = (time: number) => new Promise<void>((resolve) => setTimeout(resolve, time));
  const carry = async (from: Deno.Conn, to: Deno.TcpConn) => {
    let before = Promise.resolve();
    for (let over = false; !over;) {
      const bytes = new Uint8Array(64 * 1024);
      const got = await from.read(bytes).catch(() => null);
      over = got === null;
      const due = performance.now() + ms;
      const last = before;
      before = (async () => {
        await wait(Math.max(0, due - performance.now()));
        await last;
        if (got === null) return await to.closeWrite();
        for (let at = 0; at < got;) at += await to.write(bytes.subarray(at, got));
      })();
      before.catch(() => {});
    }
    await before.catch(() => {});
  };
  const serve = async (near: Deno.TcpConn) => {
    open.add(near);
    await wait(2 * ms); // as long as it takes to shake hands
    const far = await Deno.connect({ hostname, port: Number(port) });
    open.add(far);
    await Promise.all([carry(near, far), carry(far, near)]);
    for (const one of [near, far]) if (open.delete(one)) one.close();
  };
  const accepting = (async () => {
    for await (const near of listener) serve(near).catch(() => {});
  })();
  return {
    host: `127.0.0.1:${listener.addr.port}`,
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const one of open) one.close();
      open.clear();
      await accepting;
    },
  };
}
