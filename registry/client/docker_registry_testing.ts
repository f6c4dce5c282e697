/** Debian's docker-registry as a process of its own: somebody else's server to test against. */

/** A running registry. Dispose it to end it and remove its files. */
export interface DockerRegistry extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** Its number. */
  readonly pid: number;
}

const PROGRAMS: readonly string[] = ["/usr/bin/docker-registry", "/usr/local/bin/docker-registry"];

/** Where the program is, or `undefined`: tests are skipped then. `apt-get install docker-registry` brings it. */
export const dockerRegistry: string | undefined = PROGRAMS.find((path) => {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
});

/** Starts a registry on a free port. `htpasswd` is the text of a password file: then it wants credentials. */
export async function startDockerRegistry(
  options: { readonly htpasswd?: string; readonly extra?: string } = {},
): Promise<DockerRegistry> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-registry-" });
  const auth = options.htpasswd === undefined
    ? ""
    : `auth:\n  htpasswd:\n    realm: test\n    path: ${dir}/htpasswd\n`;
  if (options.htpasswd !== undefined) await Deno.writeTextFile(`${dir}/htpasswd`, options.htpasswd);
  await Deno.writeTextFile(
    `${dir}/config.yml`,
    `version: 0.1
log:
  level: info
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: ${dir}/data
  delete:
    enabled: true
http:
  addr: 127.0.0.1:0
${options.extra ?? ""}${auth}`,
  );
  const child = new Deno.Command(dockerRegistry ?? "docker-registry", {
    args: ["serve", `${dir}/config.yml`],
    env: { OTEL_TRACES_EXPORTER: "none" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const listening = Promise.withResolvers<string>();
  const log = (async () => {
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) {
      text = (text + decoder.decode(chunk, { stream: true })).slice(-64 * 1024);
      const match = /listening on (127\.0\.0\.1:\d+)/.exec(text);
      if (match !== null) listening.resolve(match[1]!);
    }
    listening.reject(new Error(`docker-registry did not start: ${text.slice(-2000)}`));
  })();
  const host = await listening.promise;
  return {
    host,
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await log;
      await child.status;
      await Deno.remove(dir, { recursive: true });
    },
  };
}
