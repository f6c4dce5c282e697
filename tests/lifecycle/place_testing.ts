/** Registries that let one user in, or speak TLS, and remember who asked for what. */
import { ok } from "node:assert/strict";
import { connectRegistry } from "../../registry/client/client.ts";
import { copy } from "../../registry/copy.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { createServer, type RegistryServer } from "../../registry/server/server.ts";
import { type Listening, serve } from "../../registry/server/serve.ts";

/** A registry with the run image, and who asked it for what. */
export interface Place extends AsyncDisposable {
  readonly host: string;
  /** `METHOD path user` of each request that was let in. */
  readonly seen: string[];
}

/** A copy of the run image of `host`: `user` is let in with the password `p`, or everybody; with `tls` over https. */
export async function place(
  host: string,
  options: {
    readonly user?: string;
    readonly tls?: { readonly cert: string; readonly key: string };
    /** Awaited before a request is answered. */
    readonly before?: (request: Request) => Promise<void>;
  },
): Promise<Place> {
  const memory = memoryRegistry();
  await using from = connectRegistry(host);
  await copy(from, "run", "base", memory, "run");
  const inner = createServer(memory);
  const seen: string[] = [];
  const { user, tls, before } = options;
  const server: RegistryServer = {
    fetch: async (request, peer) => {
      const given = request.headers.get("authorization");
      if (user !== undefined && given !== `Basic ${btoa(`${user}:p`)}`) {
        return new Response(null, {
          status: 401,
          headers: { "www-authenticate": 'Basic realm="test"' },
        });
      }
      seen.push(`${request.method} ${new URL(request.url).pathname} ${user ?? ""}`);
      await before?.(request);
      return await inner.fetch(request, peer);
    },
  };
  const listening: Listening = await serve(server, {
    listen: { hostname: "127.0.0.1", port: 0 },
    tls,
  });
  ok("port" in listening.address);
  return {
    host: `127.0.0.1:${listening.address.port}`,
    seen,
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}
