/** Debian's docker-registry as a process of its own that tells what was asked of it: somebody else's count. */
import { installed, tool } from "./wherry_testing.ts";

/** One request, from the registry's access log. */
export interface Access {
  /** `GET`, ... */
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Of the answer. */
  readonly status: number;
}

/** A running registry; ended and removed with the scope. */
export interface LoggedRegistry extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** Its files. */
  readonly dir: string;
  /** Its number. */
  readonly pid: number;
  /** Waits for the first request that fits. */
  until(fits: (access: Access) => boolean): Promise<Access>;
  /** All requests since the last call; of a registry without TLS. */
  take(): Promise<readonly Access[]>;
  /** Blobs on its disk, as hex digests. */
  blobs(): Promise<ReadonlySet<string>>;
  /** Ends it at once. */
  kill(): Promise<void>;
}

/** Whether tests with a registry can run. */
export const hasRegistry: boolean = installed("docker-registry");

/**
 * Requests that bring a blob: an upload that is only begun (a question about rights, or whether one request is enough)
 * brings none.
 */
export function uploads(log: readonly Access[]): readonly Access[] {
  return log.filter(({ method, path, status }) =>
    path.includes("/blobs/uploads/") &&
    (method === "PATCH" || method === "PUT" ||
      (method === "POST" && status === 201 && /[?&]digest=/.test(path)))
  );
}

/**
 * Starts one. With `users` (name to password) it wants basic authentication; with `tls` (PEM) it speaks https.
 */
export async function startRegistry(
  users: Readonly<Record<string, string>> = {},
  tls?: { readonly cert: string; readonly key: string },
): Promise<LoggedRegistry> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-accept-registry-" });
  let auth = "";
  for (const [name, password] of Object.entries(users)) {
    const line = await tool("htpasswd", ["-nbB", name, password]);
    await Deno.writeTextFile(`${dir}/htpasswd`, line.trim() + "\n", { append: true });
    auth = `auth:\n  htpasswd:\n    realm: accept\n    path: ${dir}/htpasswd\n`;
  }
  let http = "";
  if (tls !== undefined) {
    await Deno.writeTextFile(`${dir}/cert.pem`, tls.cert);
    await Deno.writeTextFile(`${dir}/key.pem`, tls.key);
    http = `  tls:\n    certificate: ${dir}/cert.pem\n    key: ${dir}/key.pem\n`;
  }
  await Deno.writeTextFile(
    `${dir}/config.yml`,
    `version: 0.1
log:
  level: info
storage:
  filesystem:
    rootdirectory: ${dir}/data
  delete:
    enabled: true
http:
  addr: 127.0.0.1:0
${http}${auth}`,
  );
  const child = new Deno.Command("docker-registry", {
    args: ["serve", `${dir}/config.yml`],
    env: { OTEL_TRACES_EXPORTER: "none" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let log: Access[] = [];
  const waiting = new Set<(access: Access) => void>();
  const listening = Promise.withResolvers<string>();
  const readers = [
    eachLine(child.stdout, (line) => {
      const found = /"([A-Z]+) (\S+) HTTP\/[\d.]+" (\d+)/.exec(line);
      if (found === null) return;
      const access = { method: found[1]!, path: found[2]!, status: Number(found[3]) };
      log.push(access);
      for (const one of waiting) one(access);
    }),
    eachLine(child.stderr, (line) => {
      const found = /listening on (127\.0\.0\.1:\d+)/.exec(line);
      if (found !== null) listening.resolve(found[1]!);
    }).then(() => listening.reject(new Error("docker-registry did not start"))),
  ];
  const until = (fits: (access: Access) => boolean) =>
    new Promise<Access>((resolve) => {
      const look = (access: Access) => {
        if (!fits(access)) return;
        waiting.delete(look);
        resolve(access);
      };
      waiting.add(look);
    });
  const host = await listening.promise;
  const kill = async () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // it has ended
    }
    await Promise.all([child.status, ...readers]);
  };
  let marks = 0;
  return {
    host,
    dir,
    pid: child.pid,
    until,
    kill,
    async take() {
      // The log is in order: when our own mark is in it, so is all before.
      const mark = `/v2/?mark=${++marks}`;
      const seen = until(({ path }) => path === mark);
      await (await fetch(`http://${host}${mark}`)).body?.cancel();
      await seen;
      const taken = log.filter(({ path }) => !path.startsWith("/v2/?mark="));
      log = [];
      return taken;
    },
    async blobs() {
      const found = new Set<string>();
      const root = `${dir}/data/docker/registry/v2/blobs/sha256`;
      for await (const two of Deno.readDir(root)) {
        for await (const blob of Deno.readDir(`${root}/${two.name}`)) found.add(blob.name);
      }
      return found;
    },
    async [Symbol.asyncDispose]() {
      await kill();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

async function eachLine(
  stream: ReadableStream<Uint8Array>,
  to: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) to(line);
  }
}
