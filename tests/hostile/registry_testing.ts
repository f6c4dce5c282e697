/** A registry that means harm, and a user who runs commands against it with a secret to lose. */
import { encodeJson } from "../../registry/image.ts";
import { type QuirkServer, quirkServer, type Seen } from "../../registry/client/quirk_testing.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { failureOf } from "../../cli/exit.ts";
import { run } from "../../cli/run.ts";

/** Nobody but the registry it is for may ever see it, in any form. */
export const CANARY = "canary-7c1f-hush";
/** Bytes that a terminal obeys: a colour, a title, a cleared screen, C1, and a line of its own. */
export const ESCAPES = "\x1b[31mred\x1b]0;title\x07\x1b[2J\x9b5n\u202e\r\nforged: line";

/** What a command left behind. */
export interface Outcome {
  /** Of the exit. */
  readonly code: number;
  /** Both streams. */
  readonly said: string;
}

/** A user at a desk with a password for one host. */
export interface User extends AsyncDisposable {
  /** Where the desk stands. */
  readonly home: string;
  /** Runs a command. */
  run(...args: readonly string[]): Promise<Outcome>;
}

/** A user who is logged in to `host`. */
export async function userOf(host: string, env: Record<string, string> = {}): Promise<User> {
  const home = await Deno.makeTempDir({ prefix: "wherry-hostile-" });
  await Deno.mkdir(`${home}/.docker`);
  await Deno.writeTextFile(
    `${home}/.docker/config.json`,
    JSON.stringify({ auths: { [host]: { auth: btoa(`user:${CANARY}`) } } }),
    { mode: 0o600 },
  );
  return {
    home,
    async run(...args) {
      let said = "";
      const sink = {
        write: (text: string | Uint8Array) =>
          void (said += typeof text === "string" ? text : new TextDecoder().decode(text)),
        isTerminal: false,
        columns: () => 80,
      };
      try {
        const code = await run({
          args: [...args, "--store", `${home}/store`],
          env: { HOME: home, PATH: "", ...env },
          cwd: home,
          user: { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 },
          stdout: sink,
          stderr: sink,
          signal: new AbortController().signal,
        });
        return { code: Number(code ?? 0), said };
      } catch (error) {
        const { code, message } = failureOf(error);
        return { code, said: said + message };
      }
    },
    async [Symbol.asyncDispose]() {
      await Deno.remove(home, { recursive: true });
    },
  };
}

/** Whether a request carries the secret, however it is written down. */
export function carriesSecret({ headers, url, body }: Seen): boolean {
  const all = [url, new TextDecoder().decode(body), ...[...headers].flat()].join("\n");
  return [CANARY, btoa(`user:${CANARY}`), encodeURIComponent(CANARY)].some((form) =>
    all.includes(form)
  ) || headers.has("authorization") || headers.has("cookie");
}

/** An image a registry can serve. */
export const IMAGE = (() => {
  const layer = new Uint8Array(200_000).map((_, at) => at * 13);
  const config = encodeJson({
    architecture: "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: [digestOf(layer)] },
  });
  const name = (mediaType: string, bytes: Uint8Array) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.byteLength,
  });
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: name("application/vnd.oci.image.config.v1+json", config),
    layers: [name("application/vnd.oci.image.layer.v1.tar", layer)],
  });
  return { layer, config, bytes, digest: digestOf(bytes) };
})();

/** An honest answer for {@linkcode IMAGE}; `undefined` for what is none of it. */
export function honest({ method, url }: Seen): Response | undefined {
  const [path] = url.split("?");
  const body = (bytes: Uint8Array<ArrayBuffer>, type: string) =>
    new Response(method === "HEAD" ? null : bytes, {
      headers: { "content-type": type, "content-length": String(bytes.byteLength) },
    });
  if (/\/manifests\//.test(path!)) return body(IMAGE.bytes, MediaType.ociManifest);
  for (const blob of [IMAGE.layer, IMAGE.config]) {
    if (path!.endsWith(`/blobs/${digestOf(blob)}`)) return body(blob, "application/octet-stream");
  }
  return undefined;
}

/** A registry that wants the user's password, then does as `act` says; what that leaves open is answered honestly. */
export function evilRegistry(
  act: (seen: Seen) => Response | undefined | Promise<Response | undefined>,
): QuirkServer {
  return quirkServer(async (seen) => {
    if (seen.headers.get("authorization") === null) {
      return new Response(null, {
        status: 401,
        headers: { "www-authenticate": 'Basic realm="r"' },
      });
    }
    return await act(seen) ?? honest(seen) ?? new Response(null, { status: 404 });
  });
}
